"""How a report may look where it goes: its width, its colours, its characters.

Law: a terminal is asked, anything else gets the same plain page wherever it is made.
"""

import os
from dataclasses import dataclass
from typing import TextIO

PAGE = 80
"""Columns where nobody says how many: a pipe, a file, a mail."""

NARROWEST = 40
WIDEST = 120
"""Longer lines are hard to follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Columns, whether colours are welcome, and whether characters beyond ASCII are."""

    width: int = PAGE
    color: bool = False
    unicode: bool = True


def look_for(file: TextIO, *, color: bool = True, width: int | None = None) -> Look:
    """What `file` can show. `color=False` forbids colours, `width` settles the columns."""
    terminal = file.isatty()
    dumb = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    encoding = (file.encoding or "ascii").lower().replace("-", "").replace("_", "")
    return Look(
        width=_bounded(width or (_columns(file) if terminal else PAGE)),
        color=color and terminal and not dumb,
        unicode=encoding.startswith("utf"),
    )


def _columns(file: TextIO) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or PAGE
    except (OSError, ValueError):
        return PAGE


def _bounded(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)
