"""The dialogues as they went over the wire, line by line.

Law: nothing of the peer's reaches the page unescaped, and nothing is left out unsaid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.transcript import Event, Layer, Side, Transcript
from smtpcheck.render import escape
from smtpcheck.render.escape import escaped

MOST_LINES = 1000
"""Of one dialogue; a server may send an empty line an octet."""

_PURPOSE = {
    Probe.DIALOGUE: "the whole dialogue",
    Probe.VERSION: "one TLS version",
    Probe.CLEARTEXT: "mail without TLS",
    Probe.TLS_FIRST: "TLS at once",
    Probe.CONTROL: "control",
}
_SPEAKER = {Side.CLIENT: "C:", Side.SERVER: "S:", Side.LOCAL: "--"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a dialogue, escaped. `at` is empty when it came with the line before.

    `layer` is empty for a remark of our own.
    """

    at: str = ""
    layer: str = ""
    side: Side
    text: str

    @property
    def margin(self) -> str:
        """Time, layer and speaker, all of one width."""
        return f"{self.at:>10}  {self.layer:<5}  {_SPEAKER[self.side]}"

    def __str__(self) -> str:
        return f"{self.margin} {self.text}".rstrip()


def render(observation: Observation) -> str:
    """All dialogues of a run as plain text."""
    return "\n".join(_page(step) for step in observation.steps if step.transcript)


def heading(step: Step) -> str:
    """Where a connection went, what it was for, and the time of day when it was opened."""
    purpose = f"{step.version.version} alone" if step.version else _PURPOSE[step.probe]
    opened = f"  {step.transcript.opened:%H:%M:%S.%f} UTC" if step.transcript else ""
    return f"{escaped(str(step.host), 60)}  {purpose}{opened}"


def lines(step: Step) -> Iterator[Line]:
    """The dialogue of one connection."""
    if not step.transcript:
        return
    everything = chain.from_iterable(map(spoken, step.transcript.events))
    yield from islice(everything, MOST_LINES)
    if more := sum(1 for _ in everything):
        yield Line(side=Side.LOCAL, text=f"{more} more lines are not shown")
    if step.transcript.omitted:
        yield Line(side=Side.LOCAL, text=f"{step.transcript.omitted} more octets were not kept")
    if step.failure and str(step.failure) not in _remarks(step.transcript):
        yield Line(side=Side.LOCAL, text=escaped(f"{step.failure}"))


def _remarks(transcript: Transcript) -> set[str]:
    return {event.note for event in transcript.events if event.side is Side.LOCAL}


def _page(step: Step) -> str:
    return "\n".join((heading(step), *map(str, lines(step)), ""))


def spoken(event: Event) -> Iterator[Line]:
    """The lines of one write or segment."""
    at, layer = f"{event.at:.6f}", "" if event.side is Side.LOCAL else _layer(event.layer)
    texts = list(_texts(event.data))
    if event.note:
        texts.append(escaped(event.note) if not texts else f"‹{escaped(event.note)}›")
    for text in texts:
        yield Line(at=at, layer=layer, side=event.side, text=text)
        at = layer = ""


def _layer(layer: Layer) -> str:
    return "tls" if layer is Layer.TLS else "plain"


def _texts(data: bytes) -> tuple[str, ...]:
    return (escape.hexadecimal(data),) if escape.binary(data) else escape.lines(data)
