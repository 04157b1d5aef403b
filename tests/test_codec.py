"""A saved observation: back and forth without loss, and refused when it is none."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.blame import BadInputError
from smtpcheck.codec import decode, encode
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost
from smtpcheck.facts.observation import Observation, Target, Vantage
from smtpcheck.facts.smtp import Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Offer, Version, VersionOffer
from smtpcheck.facts.transcript import Event, Side, Transcript
from smtpcheck.wire.reply import ReplyParser

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
HOST = MailHost(name="m.test", address="2001:db8::1")


def observation(raw: bytes = b"220 m.test\r\n") -> Observation:
    greetings = ReplyParser().feed(raw)
    events = (Event(at=0.000001, side=Side.SERVER, data=raw),)
    steps = tuple(
        Step(
            probe=Probe.VERSION,
            host=HOST,
            greeting=Exchange(reply=reply, took=0.1),
            version=VersionOffer(version=Version.TLS1_3, offer=Offer.REFUSED),
            failure=Failure(stage=Stage.TLS, kind=Kind.CLOSED),
            transcript=Transcript(opened=NOW, events=events),
        )
        for reply in greetings
    )
    return Observation(
        tool="smtpcheck 1",
        target=Target(given="m.test", host="m.test"),
        started=NOW,
        vantage=Vantage(ehlo="us.test"),
        steps=steps,
    )


def test_what_goes_in_comes_out() -> None:
    before = observation(b"220-m.test \xff\x00\x1b[2J\r\n220 b\n")
    data = encode(before)
    assert decode(data) == before
    assert encode(decode(data)) == data
    assert data.endswith(b"}\n")


@given(st.binary(max_size=300))
def test_whatever_a_server_says_can_be_saved(raw: bytes) -> None:
    before = observation(raw + b"\r\n")
    assert decode(encode(before)) == before


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ((b'"port": 25', b'"port": "25"'), "$.steps[0].host.port"),
        ((b'"probe": "version"', b'"probe": "guess"'), "$.steps[0].probe"),
        ((b'"started": "2026', b'"started": "x2026'), "$.started"),
        ((b'"vantage"', b'"advantage"'), "vantage"),
    ],
)
def test_a_fault_in_the_file_is_named(damage: tuple[bytes, bytes], where: str) -> None:
    data = encode(observation())
    assert damage[0] in data
    with pytest.raises(BadInputError, match="no saved observation") as refused:
        decode(data.replace(*damage))
    assert where in str(refused.value)


@given(st.integers(min_value=0), st.binary(max_size=8))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(at: int, splice: bytes) -> None:
    data = encode(observation())
    at %= len(data)
    with contextlib.suppress(BadInputError):
        decode(data[:at] + splice + data[at + len(splice) :])
