"""Keeps what a session tells its observer: the transcript of an inbound connection.

Law: within a budget, with what didn't fit counted; of one piece, such as a message's content,
only the opening is kept.
"""

from datetime import UTC, datetime
from time import monotonic

from smtpcheck.facts.transcript import Event, Layer, Side, Transcript

MAX_OCTETS = 64 * 1024
MAX_PIECE = 2048
MAX_EVENTS = 1000


class Record:
    """An Observer."""

    def __init__(self, peer: str = "", local: str = "", octets: int = MAX_OCTETS) -> None:
        self._opened = datetime.now(UTC)
        self._zero = monotonic()
        self._peer, self._local = peer, local
        self._room = octets
        self._omitted = 0
        self._events: list[Event] = []

    def __call__(self, side: Side, layer: Layer, data: bytes, note: str) -> None:
        """One write, one piece read, or one remark."""
        kept = data[: max(0, min(self._room, MAX_PIECE))]
        if len(self._events) >= MAX_EVENTS or (data and not kept):
            self._omitted += len(data)
            return
        self._room -= len(kept)
        self._omitted += len(data) - len(kept)
        at = round(monotonic() - self._zero, 6)
        self._events.append(Event(at=at, side=side, layer=layer, data=kept, note=note))

    def transcript(self) -> Transcript:
        """All so far."""
        return Transcript(
            opened=self._opened,
            peer=self._peer,
            local=self._local,
            events=tuple(self._events),
            omitted=self._omitted,
        )
