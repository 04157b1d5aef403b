"""Whose fault: what the user gave can't be used. The peer's faults are facts, not exceptions."""


class BadInputError(ValueError):
    """One line for people: what is wrong, where, and what to do. Exit status 2."""
