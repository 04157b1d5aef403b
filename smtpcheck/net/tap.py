"""Records what goes over one connection, with its time, within a budget.

Law: the caller declares what is secret, the tap never guesses; what does not fit is counted.
"""

import time
from datetime import UTC, datetime

from smtpcheck.facts.transcript import Event, Layer, Side, Transcript

MAX_EVENTS = 2000
"""One octet a segment would otherwise cost a hundred times its size."""


class Tap:
    """A transcript in the making."""

    def __init__(self, octets: int) -> None:
        self.layer = Layer.PLAIN
        self.peer = self.local = ""
        self._room = octets
        self._omitted = 0
        self._opened = datetime.now(UTC)
        self._zero = time.monotonic()
        self._events: list[Event] = []

    @property
    def last(self) -> int:
        """The index of the newest event, -1 before the first."""
        return len(self._events) - 1

    def sent(self, data: bytes, *, secret: bool = False, note: str = "") -> None:
        """A write of ours; a secret one is kept as its length alone."""
        if secret:
            data, note = b"", note or f"‹{len(data)} bytes›"
        self._add(Side.CLIENT, data, note)

    def received(self, data: bytes, note: str = "") -> None:
        """A segment of the peer's, as readable as it will get."""
        self._add(Side.SERVER, data, note)

    def remark(self, note: str) -> None:
        """Something that happened to the connection itself."""
        self._add(Side.LOCAL, b"", note)

    def transcript(self) -> Transcript:
        """All so far."""
        return Transcript(
            opened=self._opened,
            peer=self.peer,
            local=self.local,
            events=tuple(self._events),
            omitted=self._omitted,
        )

    def _add(self, side: Side, data: bytes, note: str) -> None:
        kept = data[: max(0, self._room)]
        self._room -= len(kept)
        self._omitted += len(data) - len(kept)
        if len(self._events) >= MAX_EVENTS or (data and not kept):
            self._omitted += len(kept)
            return
        at = round(time.monotonic() - self._zero, 6)
        self._events.append(Event(at=at, side=side, layer=self.layer, data=kept, note=note))
