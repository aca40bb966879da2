"""The parts of ``martlet.models``: fields of a table, expressions of them, a forest as C, its object, and its compilation."""
