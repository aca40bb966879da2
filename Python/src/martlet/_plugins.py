"""Plugins: which there are, and what a choice of them is in the C interface's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from . import _library
from ._errors import InvalidOption

OptionValue: TypeAlias = "str | int | float | bool"
#: "pstats,tls", "pstats:packets=50,tls", a list of such, or {"pstats": {"packets": 50}, "tls": None}.
Plugins: TypeAlias = "str | Iterable[str] | Mapping[str, Mapping[str, OptionValue] | None]"
#: The plugin that takes models, of which nobody has one by default.
MODEL = "model"
#: What was chosen: options by plugin, in order; None is an option without a value.
Chosen: TypeAlias = "dict[str, dict[str, str | None]]"


@dataclass(frozen=True)
class PluginOption:
    """An option of a plugin."""

    name: str
    #: The default as text; empty where the option is off, or has none.
    default: str
    #: What it does.
    text: str


@dataclass(frozen=True)
class Field:
    """A column that a plugin gives."""

    #: The column's name.
    name: str
    #: The information element's name everywhere, as in JSON: ``iana@reverse:octetDeltaCount``; empty where it is none.
    element: str
    #: The type of its values in Arrow's words.
    type: str
    #: What it means.
    description: str


@dataclass(frozen=True)
class Plugin:
    """A plugin with its options and fields. The one with the empty name stands for what every record has."""

    name: str
    summary: str
    options: tuple[PluginOption, ...]
    fields: tuple[Field, ...]


def plugins() -> dict[str, Plugin]:
    """Plugins by name, with their options, and their fields with types; "" is what every record has.

    >>> martlet.plugins()["pstats"].fields[0].type
    'list<int16>'
    """
    return {
        one["name"]: Plugin(
            one["name"],
            one.get("summary", ""),
            tuple(
                PluginOption(option["name"], str(option.get("default") or ""), option.get("text", ""))
                for option in one.get("options", ())
            ),
            tuple(
                Field(field["name"], field["element"] or "", field["type"], field.get("description", ""))
                for field in one["fields"]
            ),
        )
        for one in _library.plugin_declarations()
    }


def parse(chosen: Plugins | None) -> Chosen:
    """What was chosen, by plugin. An item behind a plugin that is no plugin is an option of that one.

    Raises InvalidOption for a plugin or an option that there is not.
    """
    if chosen is None:
        return {}
    known = plugins()
    known.pop("", None)
    found: Chosen = {}
    if isinstance(chosen, Mapping):
        for name, options in chosen.items():
            if name == "all" and not options:
                _parse_text(name, known, found)
                continue
            _know(name, known)
            found.setdefault(name, {}).update(
                {
                    key: None if value is True else _quoted(str(value))
                    for key, value in (options or {}).items()
                    if value is not False
                }
            )
    else:
        for text in [chosen] if isinstance(chosen, str) else chosen:
            _parse_text(text, known, found)
    for name, given in found.items():
        declared = {option.name for option in known[name].options}
        for key in given:
            if key not in declared:
                wants = ", ".join(sorted(declared)) or "none"
                raise InvalidOption(f"plugin {name} has no option {key}; its options: {wants}")
    return found


def _know(name: str, known: Mapping[str, Plugin]) -> None:
    if name not in known:
        raise InvalidOption(f"there is no plugin {name}; there are: {', '.join(sorted(known))}")


def _parse_text(text: str, known: Mapping[str, Plugin], found: Chosen) -> None:
    last: dict[str, str | None] | None = None
    for item in _items(text):
        name, colon, rest = item.partition(":")
        if name == "all" and not colon:
            # As the command line has it: a model is of a file.
            for every in known:
                if every != MODEL:
                    found.setdefault(every, {})
            continue
        is_option = name not in known and last is not None and not colon
        if is_option and last is not None:
            _give(last, item)
            continue
        _know(name, known)
        last = found.setdefault(name, {})
        if rest:
            _give(last, rest)


def _items(text: str) -> list[str]:
    """The words between commas; a comma in a value in double quotes is part of its word."""
    words = re.findall(r'(?:="(?:[^"\\]|\\.)*"|[^,])+', text)
    return [word for word in (word.strip() for word in words) if word]


def _give(options: dict[str, str | None], text: str) -> None:
    key, equals, value = text.partition("=")
    if key in options and options[key] != (value if equals else None):
        more = ": further models are plugin=[\"model:file=…\", …]" if key == "file" else ""
        raise InvalidOption(f"option {key} is given twice, as {options[key]} and as {value}{more}")
    options[key] = value if equals else None


def require(chosen: Chosen, needed: Chosen, why: str) -> Chosen:
    """What was chosen, and what is needed besides.

    Raises InvalidOption where an option was chosen otherwise than it is needed.
    """
    merged = {name: dict(options) for name, options in chosen.items()}
    for name, options in needed.items():
        given = merged.setdefault(name, {})
        for key, value in options.items():
            if given.get(key, value) != value:
                raise InvalidOption(f"{why} needs {name}:{key}={value}, and {key}={given[key]} was chosen")
            given[key] = value
    return merged


def as_options(chosen: Chosen) -> list[tuple[str, str]]:
    """The C interface's options for a choice."""
    found = []
    for name, options in chosen.items():
        parts = [key if value is None else f"{key}={value}" for key, value in options.items()]
        found.append(("plugin", f"{name}:{','.join(parts)}" if parts else name))
    return found


def _quoted(value: str) -> str:
    """A value as the engine takes it whatever characters it has."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if "," in value or value.startswith('"') else value
