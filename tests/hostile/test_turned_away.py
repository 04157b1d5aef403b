"""Servers that had enough of us: what was seen stands, the rest is a gap, and nobody is blamed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from smtpcheck.facts.host import DEFAULTS, Port, Role, Security
from smtpcheck.facts.observation import Target
from smtpcheck.judge import judge
from smtpcheck.judge.report import Report, Status
from smtpcheck.limits import Limits
from smtpcheck.observe.observer import Circumstances, observe_host
from tests.hostile import refusing
from tests.hostile.clear import Healthy
from tests.hostile.conftest import NAME, Contexts, in_thread
from tests.hostile.peer import Peer, serving, set_up
from tests.hostile.program import measured
from tests.hostile.refusing import rationed

FAST = Limits(
    lookup=0.5, connect=1.0, greeting=2.0, reply=2.0, handshake=2.0, quit=0.5, silence=0.3,
    silence_mx=0.3, back_off=0.2, run=20,
)  # fmt: skip

MX, SUBMISSION, SUBMISSIONS = 25, 587, 465


def observed(
    peer: type[Peer], like: int, contexts: Contexts, ca_file: Path, *, most: int = 0
) -> Report:
    """What is said of `peer` on a port like 25, 465 or 587 when we come as we always come."""
    role, security = DEFAULTS[like]
    ready = set_up(
        peer,
        contexts["healthy"],
        implicit=security is Security.IMPLICIT,
        logins=role is not Role.MX,
    )

    async def main() -> Report:
        async with serving(ready, most=most) as number:
            port = Port(number=number, role=role, security=security, asked=True)
            target = Target(given=NAME, host="127.0.0.1", verify=NAME, ports=(port,))
            how = Circumstances(limits=FAST, ca_file=str(ca_file))
            return judge(await observe_host(target, how, lambda _: None))

    return asyncio.run(main())


def stands(report: Report) -> None:
    """The main dialogue went the whole way, and nothing is held against the server."""
    main = report.observation.steps[0]
    assert main.failure is None, main.failure
    assert main.tls is not None
    faults = [f for f in report.findings if f.status is Status.FAIL]
    assert faults == []


def throttled(report: Report) -> bool:
    return "client-throttled" in {finding.id for finding in report.findings}


def gaps(report: Report) -> str:
    return " | ".join(f"{gap.what}: {gap.why}" for gap in report.unchecked)


SPEAKING = (refusing.Rationed, refusing.Busy, refusing.LateRefusal)
"""They need clear text: in TLS from the first octet nothing can be said before the handshake."""

SILENT = (refusing.Banning, refusing.Closing, refusing.CuttingOff, refusing.Tarpit)


@pytest.mark.parametrize(
    ("manner", "like"),
    [
        *((manner, like) for manner in SPEAKING for like in (MX, SUBMISSION)),
        *((manner, like) for manner in SILENT for like in (MX, SUBMISSION, SUBMISSIONS)),
    ],
    ids=lambda value: str(getattr(value, "__doc__", "") if isinstance(value, type) else value),
)
@pytest.mark.parametrize("allowed", [1, 3])
def test_some_are_let_in(
    manner: type[refusing.Rationed], like: int, allowed: int, contexts: Contexts, ca_file: Path
) -> None:
    report = observed(rationed(manner, allowed), like, contexts, ca_file)
    stands(report)
    assert "TLS 1." in gaps(report)
    if (manner, like) != (refusing.Tarpit, SUBMISSIONS):  # a ClientHello may be swallowed, too
        assert throttled(report), gaps(report)


@pytest.mark.parametrize("like", [MX, SUBMISSIONS])
def test_nobody_listens_any_more(like: int, contexts: Contexts, ca_file: Path) -> None:
    """A firewall that rejects us after the first: the port is not closed."""
    report = observed(Healthy, like, contexts, ca_file, most=1)
    stands(report)
    assert throttled(report)
    assert "TLS 1." in gaps(report)


@pytest.mark.parametrize("like", [MX, SUBMISSION, SUBMISSIONS])
def test_who_comes_one_at_a_time_sees_it_all(like: int, contexts: Contexts, ca_file: Path) -> None:
    report = observed(refusing.TwoAtOnce, like, contexts, ca_file)
    stands(report)
    assert not throttled(report)
    assert gaps(report) == ""
    accepted = [
        s.version.version for s in report.observation.steps if s.version and s.version.cipher
    ]
    assert [str(each) for each in accepted] == ["TLSv1.2", "TLSv1.3"]


@pytest.mark.parametrize("allowed", [1, 2, 3])
@pytest.mark.parametrize("manner", [refusing.OldBanning, refusing.OldCuttingOff])
def test_a_ban_is_no_missing_version(
    manner: type[refusing.Rationed], allowed: int, contexts: Contexts, ca_file: Path
) -> None:
    """TLS 1.2 was had, so it is not missing; whether 1.3 is there was not seen."""
    report = observed(rationed(manner, allowed), SUBMISSIONS, contexts, ca_file)
    stands(report)
    assert throttled(report)


def test_the_first_is_turned_away_and_the_second_let_in(contexts: Contexts, ca_file: Path) -> None:
    """A server that is full just now: we rest and come again, once."""

    class FullAtFirst(Peer):
        async def greet(self) -> None:
            await (self.send(b"421 full\r\n") if self.number == 1 else super().greet())

    report = observed(FullAtFirst, MX, contexts, ca_file)
    stands(report)
    assert gaps(report) == ""


def test_dropped_once_is_not_dropped(contexts: Contexts, ca_file: Path) -> None:
    class Stumbling(Peer):
        async def greet(self) -> None:
            await (self.refuse() if self.number == 1 else super().greet())

        async def refuse(self) -> None:
            self.close()

    stands(observed(Stumbling, MX, contexts, ca_file))


def test_what_was_seen_before_a_ban_is_not_taken_back(contexts: Contexts, ca_file: Path) -> None:
    """421 to EHLO, and when we come again nobody listens: throttled, not closed."""
    report = observed(rationed(refusing.LateRefusal, 0), MX, contexts, ca_file, most=1)
    assert [finding.id for finding in report.findings] == ["client-throttled"]


def test_the_program_says_so(contexts: Contexts, ca_file: Path) -> None:
    ready = set_up(rationed(refusing.Rationed, 3), contexts["healthy"])
    ports: list[int] = []

    async def raise_it(stack: object) -> None:
        ports.append(await stack.enter_async_context(serving(ready)))  # type: ignore[attr-defined]

    with in_thread(raise_it):
        run = measured(
            "host", "127.0.0.1", "--port", f"{ports[0]}:mx:starttls", "--name", NAME,
            "--ca-file", str(ca_file),
        )  # fmt: skip
    assert run.status == 0
    assert "turned away: 421 4.7.0 too many connections from you" in run.stdout
    assert "throttled after 3 connections" in run.stdout


def test_limits_here_are_those_of_a_run_but_for_the_waiting() -> None:
    waits = {"lookup", "connect", "greeting", "reply", "handshake", "quit", "silence",
             "silence_mx", "back_off", "run"}  # fmt: skip
    default = Limits()
    assert replace(default, **{name: getattr(FAST, name) for name in waits}) == FAST
