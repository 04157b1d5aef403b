"""A dialogue as it went over the wire: every write and every segment, with its time.

Law: bytes stay bytes; what was secret never got in (the tap stored `‹n bytes›` instead);
what did not fit is counted, not silently dropped.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Side(StrEnum):
    """Who spoke; LOCAL is a remark of ours, such as a finished handshake."""

    CLIENT = "client"
    SERVER = "server"
    LOCAL = "local"


class Layer(StrEnum):
    """Whether the octets were readable on the wire."""

    PLAIN = "plain"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One write or one segment. `at` is seconds since the transcript was opened, to the µs."""

    at: float
    side: Side
    layer: Layer = Layer.PLAIN
    data: bytes = b""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The events of one connection. `omitted` counts octets beyond the cap."""

    opened: datetime
    peer: str = ""
    local: str = ""
    events: tuple[Event, ...] = ()
    omitted: int = 0
