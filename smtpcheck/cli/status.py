"""How the process ends, for scripts: one meaning a number."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the shell sees in $?."""

    OK = 0
    """Nothing at or above --fail-on."""
    FINDINGS = 1
    """Findings at or above --fail-on."""
    USAGE = 2
    """What the user gave can't be used."""
    INCONCLUSIVE = 3
    """Nothing decisive could be observed."""
    INTERNAL = 4
    """A fault of this program."""
    INTERRUPTED = 130
