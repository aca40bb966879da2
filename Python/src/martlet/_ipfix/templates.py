"""The templates of a session, and what one message does to them: nothing, unless it is whole.

What a message costs is in proportion to its octets, whatever it defines and withdraws: a flood of either is no more than octets.
"""

from __future__ import annotations

from .records import Template

#: Domain and number.
Key = tuple[int, int]
#: A domain, and whether options templates are meant: what a withdrawal of all is about (RFC 7011 section 8.1).
Group = tuple[int, bool]


#: What a template weighs besides its fields, each of which is some 80 octets of memory.
TEMPLATE = 5


class Budget:
    """What the templates of all sessions of a collector may weigh together: 170 MB. One session's limit times as many as there
    may be would be gigabytes."""

    MOST = 1 << 21

    def __init__(self) -> None:
        self.weight = 0

    @property
    def is_spent(self) -> bool:
        return self.weight >= self.MOST


class Templates:
    """Templates by domain and number."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._known: dict[Key, Template] = {}
        self._numbers: dict[Group, set[int]] = {}
        #: Fields of all templates.
        self.fields = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key) -> Template | None:
        return self._known.get(key)

    def remove(self, key: Key) -> None:
        """Forgets a template, where there is one."""
        if old := self._known.pop(key, None):
            self.fields -= len(old.fields)
            self.budget.weight -= len(old.fields) + TEMPLATE
            group = key[0], old.scope > 0
            self._numbers[group].discard(key[1])
            if not self._numbers[group]:
                del self._numbers[group]

    def commit(self, changes: Changes) -> None:
        """Does what a message says."""
        for group in changes.withdrawn:
            for number in list(self._numbers.get(group, ())):
                self.remove((group[0], number))
        for key, template in changes.made.items():
            self.remove(key)
            if template:
                self._known[key] = template
                self._numbers.setdefault((key[0], template.scope > 0), set()).add(key[1])
                self.fields += len(template.fields)
                self.budget.weight += len(template.fields) + TEMPLATE

    def clear(self) -> None:
        """Forgets all."""
        self.budget.weight -= self.fields + TEMPLATE * len(self._known)
        self._known, self._numbers, self.fields = {}, {}, 0


class Changes:
    """What one message does to templates, in its order."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates
        #: What each number means from here on; None where it means nothing any more.
        self.made: dict[Key, Template | None] = {}
        #: Those of which all that were there before are withdrawn.
        self.withdrawn: set[Group] = set()
        self._new: dict[Group, set[Key]] = {}
        #: Templates that are new, and their fields.
        self.count = self.fields = 0

    @property
    def weight(self) -> int:
        """What the new templates weigh in a `Budget`."""
        return self.fields + TEMPLATE * self.count

    def __contains__(self, key: Key) -> bool:
        return key in self.made or (bool(self.withdrawn) and self.get(key) is None)

    def get(self, key: Key) -> Template | None:
        """What the number means at this place of the message."""
        if key in self.made:
            return self.made[key]
        known = self._templates.get(key)
        return None if known is None or (key[0], known.scope > 0) in self.withdrawn else known

    def set(self, key: Key, template: Template | None) -> None:
        """Gives a number a meaning, or takes it away."""
        if old := self.made.get(key):
            self.count -= 1
            self.fields -= len(old.fields)
            self._new[key[0], old.scope > 0].discard(key)
        self.made[key] = template
        if template:
            self.count += 1
            self.fields += len(template.fields)
            self._new.setdefault((key[0], template.scope > 0), set()).add(key)

    def withdraw_all(self, group: Group) -> None:
        """Takes the meaning of all numbers away that the domain has for templates, or for options templates."""
        self.withdrawn.add(group)
        for key in list(self._new.get(group, ())):
            self.set(key, None)
