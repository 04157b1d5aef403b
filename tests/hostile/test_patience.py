"""Lies that cost time, with limits scaled down: what is said when the run is not cut short."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from smtpcheck.facts.failure import Kind
from smtpcheck.facts.host import DEFAULTS, Port
from smtpcheck.facts.observation import Target
from smtpcheck.judge import judge
from smtpcheck.judge.report import Judgement, Report, Severity, Status
from smtpcheck.observe.observer import Circumstances, observe_host
from tests.hostile import clear, handshakes
from tests.hostile.conftest import NAME, Contexts
from tests.hostile.peer import Peer, serving, set_up
from tests.hostile.test_turned_away import FAST, MX, SUBMISSION, SUBMISSIONS

LIMITS = replace(FAST, greeting=0.8, reply=0.8, handshake=0.8, quit=0.3)

NO_TLS = {"starttls-handshake-fails": "critical"}
NO_GREETING = {"banner-slow": "warning"}

TABLE: list[tuple[type[Peer], int, dict[str, str], Judgement]] = [
    (clear.Drip, MX, NO_GREETING, Judgement.INCONCLUSIVE),
    (clear.Drip, SUBMISSIONS, NO_GREETING, Judgement.INCONCLUSIVE),
    (clear.NoLineEnd, MX, NO_GREETING, Judgement.INCONCLUSIVE),
    (clear.NoLineEnd, SUBMISSION, NO_GREETING, Judgement.INCONCLUSIVE),
    (clear.Http, MX, NO_GREETING, Judgement.INCONCLUSIVE),
    (clear.DripLines, MX, {}, Judgement.INCONCLUSIVE),
    (clear.DripInTls, SUBMISSIONS, {}, Judgement.INCONCLUSIVE),
    (clear.DripInTls, MX, {}, Judgement.INCONCLUSIVE),
    (clear.Deaf, MX, {}, Judgement.PASSED),
    (handshakes.SilentAfter220, MX, NO_TLS, Judgement.FAILED),
    (handshakes.SilentAfter220, SUBMISSION, NO_TLS, Judgement.FAILED),
    (handshakes.SilentAfter220, SUBMISSIONS, NO_TLS, Judgement.FAILED),
    (handshakes.EndlessHandshakeSlowly, MX, NO_TLS, Judgement.FAILED),
    (handshakes.EndlessHello, SUBMISSIONS, NO_TLS, Judgement.FAILED),
]


@pytest.fixture(scope="module")
def reports(contexts: Contexts, ca_file: Path) -> dict[tuple[type[Peer], int], Report]:
    """Every row in one event loop, as most of them do nothing but wait."""

    async def one(behaviour: type[Peer], like: int) -> Report:
        role, security = DEFAULTS[like]
        ready = set_up(
            behaviour, contexts["healthy"], implicit=like == SUBMISSIONS, logins=like != MX
        )
        async with serving(ready) as number:
            port = Port(number=number, role=role, security=security, asked=True)
            target = Target(given=NAME, host="127.0.0.1", verify=NAME, ports=(port,))
            how = Circumstances(limits=LIMITS, ca_file=str(ca_file))
            return judge(await observe_host(target, how, lambda _: None))

    async def main() -> list[Report]:
        return await asyncio.gather(*(one(row[0], row[1]) for row in TABLE))

    keys = [(row[0], row[1]) for row in TABLE]
    return dict(zip(keys, asyncio.run(main()), strict=True))


@pytest.mark.parametrize(
    ("behaviour", "like", "expect", "status"),
    TABLE,
    ids=[f"{row[0].__doc__} ({row[1]})" for row in TABLE],
)
def test_who_makes_us_wait(
    behaviour: type[Peer],
    like: int,
    expect: dict[str, str],
    status: Judgement,
    reports: dict[tuple[type[Peer], int], Report],
) -> None:
    report = reports[behaviour, like]
    faults = [f for f in report.findings if f.status is Status.FAIL]
    assert {f.id: f.severity.word for f in faults if f.severity >= Severity.WARNING} == expect
    assert report.status is status
    failure = report.observation.steps[0].failure
    assert failure is None or failure.kind in (Kind.TIMED_OUT, Kind.TLS_FAILED)
    assert report.observation.took < LIMITS.run / 2
