"""Keeps what a session tells its observer: the transcript of an inbound connection.

Law: within a budget, with what didn't fit counted; of one piece, such as a message's content,
only the opening is kept.
"""

from datetime import UTC, datetime
from time import monotonic

import msgspec

from smtpcheck.facts.transcript import Event, Layer, Side, Transcript

MAX_OCTETS = 64 * 1024
MAX_PIECE = 2048
MAX_EVENTS = 1000

_Heard = list[tuple[float, Side, Layer, bytes, str]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[datetime, float, str, str, int, _Heard]).decode


class Record:
    """An Observer."""

    def __init__(self, peer: str = "", local: str = "", octets: int = MAX_OCTETS) -> None:
        self._opened = datetime.now(UTC)
        self._zero = monotonic()
        self._peer, self._local = peer, local
        self._room = octets
        self._omitted = 0
        self._heard: _Heard = []

    def __call__(self, side: Side, layer: Layer, data: bytes, note: str) -> None:
        """One write, one piece read, or one remark."""
        kept = data[: max(0, min(self._room, MAX_PIECE))]
        if len(self._heard) >= MAX_EVENTS or (data and not kept):
            self._omitted += len(data)
            return
        self._room -= len(kept)
        self._omitted += len(data) - len(kept)
        self._heard.append((monotonic(), side, layer, kept, note))

    def packed(self) -> bytes:
        """All so far, in a tenth of the time that a Transcript takes to be made and written."""
        return _encode(
            (self._opened, self._zero, self._peer, self._local, self._omitted, self._heard)
        )

    def transcript(self) -> Transcript:
        """All so far."""
        return unpacked(self.packed())


def unpacked(data: bytes) -> Transcript:
    """What `packed` gave, as a Transcript."""
    opened, zero, peer, local, omitted, heard = _decode(data)
    events = (
        Event(at=round(at - zero, 6), side=side, layer=layer, data=octets, note=note)
        for at, side, layer, octets, note in heard
    )
    return Transcript(opened=opened, peer=peer, local=local, events=tuple(events), omitted=omitted)
