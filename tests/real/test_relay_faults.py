"""Next hops that fail in every way that smtp-sink knows, with a backup behind them.

What is expected of each row is the MX walk of docs/architecture.md: who has not spoken, or said
"later", is passed by; "no" is final; what may have been taken is given to nobody else.
"""

import asyncio
import smtplib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from smtpcheck.facts.delivery import Attempt, Outcome
from smtpcheck.facts.failure import Stage
from smtpcheck.limits import Limits
from smtpcheck.net.zone import Zone
from smtpcheck.relay.config import Config, Listen, PortRole, maildir
from smtpcheck.relay.engine import Engine
from smtpcheck.relay.queue import Entry, Selection, State
from smtpcheck.relay.schedule import Schedule
from tests.conftest import need_root
from tests.real.dsn import Dsn, field, read
from tests.real.ours import send
from tests.real.rig import loopback, next_in
from tests.real.sink import sink

pytestmark = pytest.mark.real

OURS, PRIMARY, BACKUP = loopback(330), loopback(331), loopback(332)
HOME, ALICE = "home.test", "alice@home.test"
ONE, TWO = "one@there.test", "two@there.test"
BOTH = [f"{ONE} {TWO}"]
MESSAGE = b"From: alice@home.test\r\nSubject: x\r\n\r\n.dot\r\nhello\r\n"

ZONE = {
    ("there.test", "MX"): ["10 primary.there.test.", "20 backup.there.test."],
    ("alone.test", "MX"): ["10 primary.there.test."],
    ("primary.there.test", "A"): [PRIMARY],
    ("backup.there.test", "A"): [BACKUP],
}
HASTY = Limits(connect=1, greeting=0.7, reply=0.7, handshake=1, quit=0.5, run=60, addresses=8)
ONCE = Schedule(delays=(3600,), greylisted=(3600, 3600), warning=3600, lifetime=7200)
"""A second try is nobody's who runs this test."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the first host does, how it ends for both recipients, and which hosts hear of it."""

    switches: str
    end: str
    hosts: str
    stopped: str = ""
    """Where the first attempt met its end, and by what."""


PASSED_BY = [
    Row("-f connect", "delivered", "primary backup", "greeting rejected"),
    Row("-r connect", "delivered", "primary backup", "greeting throttled"),
    Row("-q connect", "delivered", "primary backup", "greeting closed"),
    Row("-Q connect", "delivered", "primary backup", "greeting throttled"),
    Row("-W connect:9", "delivered", "primary backup", "greeting timed-out"),
    Row("-f ehlo,helo", "delivered", "primary backup", "ehlo rejected"),
    Row("-r ehlo,helo", "delivered", "primary backup", "ehlo throttled"),
    Row("-q ehlo", "delivered", "primary backup", "ehlo closed"),
    Row("-Q ehlo", "delivered", "primary backup", "ehlo throttled"),
    Row("-W ehlo:9", "delivered", "primary backup", "ehlo timed-out"),
    Row("-r mail", "delivered", "primary backup", "mail throttled"),
    Row("-q mail", "delivered", "primary backup", "mail closed"),
    Row("-Q mail", "delivered", "primary backup", "mail throttled"),
    Row("-p -W mail:9", "delivered", "primary backup", "mail timed-out"),
    Row("-r rcpt", "delivered", "primary backup", "rcpt throttled"),
    Row("-q rcpt", "delivered", "primary backup", "rcpt closed"),
    Row("-Q rcpt", "delivered", "primary backup", "rcpt closed rcpt throttled"),
    Row("-p -W rcpt:9", "delivered", "primary backup", "rcpt timed-out"),
    Row("-r data", "delivered", "primary backup", "data throttled"),
    Row("-q data", "delivered", "primary backup", "data closed"),
    Row("-Q data", "delivered", "primary backup", "data throttled"),
    Row("-p -W data:9", "delivered", "primary backup", "data timed-out"),
    Row("-r .", "delivered", "primary backup", "data throttled"),
    Row("-Q .", "delivered", "primary backup", "data throttled"),
]
FINAL = [
    Row("-f mail", "failed", "primary", "mail rejected"),
    Row("-f rcpt", "failed", "primary", "rcpt rejected"),
    Row("-f data", "failed", "primary", "data rejected"),
    Row("-f .", "failed", "primary", "data rejected"),
    Row("-A 0", "failed", "primary", "data rejected"),
]
DOUBTFUL = [
    Row("-q .", "unknown", "primary", "data closed"),
]
FINE = [
    Row("-f ehlo", "delivered", "primary"),
    Row("-f quit", "delivered", "primary"),
    Row("-q quit", "delivered", "primary"),
    Row("-W .:1", "delivered", "primary"),
    Row("-H 1", "delivered", "primary"),
    Row("-8", "delivered", "primary"),
    Row("-e", "delivered", "primary"),
    Row("-E", "delivered", "primary"),
    Row("-N", "delivered", "primary"),
    Row("-p", "delivered", "primary"),
    Row("-P", "delivered", "primary"),
]


def serve(work: Callable[[Engine], Awaitable[None]], data: Path, schedule: Schedule = ONCE) -> None:
    """Run `work` beside a relay of ours that swallows no fault."""
    need_root()
    faults: list[BaseException] = []

    async def main() -> None:
        async with Zone(ZONE) as zone:
            config = Config(
                hostname="relay.home.test",
                data=data,
                listen=(Listen(address=OURS, port=0, role=PortRole.MX),),
                local_domains=frozenset({HOME}),
                mailboxes=frozenset({ALICE}),
                networks=(ip_network("127.0.0.0/8"),),
                resolver=zone.server,
                schedule=schedule,
            )
            async with Engine(config, limits=HASTY, fault=faults.append) as engine:
                await work(engine)

    asyncio.run(main())
    assert faults == []


async def submitted(engine: Engine, *recipients: str) -> str:
    """A message on its way; its id."""

    def submit() -> str:
        with smtplib.SMTP(OURS, engine.port(PortRole.MX), timeout=20) as client:
            return send(client, ALICE, recipients, MESSAGE).rpartition(" ")[2]

    return await asyncio.to_thread(submit)


async def when(
    engine: Engine, message_id: str, ripe: Callable[[Entry], bool], within: float = 20.0
) -> Entry:
    """The message as soon as it is `ripe`."""
    async with asyncio.timeout(within):
        while True:
            entries = await engine.queue.entries(Selection(message_id=message_id), limit=1)
            if entries and ripe(entries[0]):
                return entries[0]
            await asyncio.sleep(0.01)  # a queue has no bell for those outside


def tried(entry: Entry) -> bool:
    return all(recipient.tries for recipient in entry.recipients)


async def report(engine: Engine) -> Dsn:
    """What alice hears of."""
    box = maildir(engine.data, ALICE)
    path = await asyncio.to_thread(next_in, box, 10, lambda: "no report")
    octets = path.read_bytes()
    path.unlink()
    return read(octets)


@pytest.mark.parametrize(
    "row", [*PASSED_BY, *FINAL, *DOUBTFUL, *FINE], ids=lambda row: row.switches
)
def test_a_first_host_that(row: Row, tmp_path: Path) -> None:
    with sink(PRIMARY, *row.switches.split()) as primary, sink(BACKUP) as backup:

        async def work(engine: Engine) -> None:
            entry = await when(engine, await submitted(engine, ONE, TWO), tried)
            assert hosts(entry.attempts) == row.hosts
            assert met(entry.attempts[0]) == row.stopped
            last = {o.address: o.outcome for o in entry.attempts[-1].outcomes}
            assert last == dict.fromkeys((ONE, TWO), Outcome(row.end))
            if row.end == "failed":
                assert (await report(engine)).actions == {ONE: "failed", TWO: "failed"}
            if row.end == "unknown":
                assert {r.state for r in entry.recipients} == {State.QUEUED}

        serve(work, tmp_path)
        assert backup.taken() == (BOTH if "backup" in row.hosts else [])
        if row.end == "delivered" and "backup" not in row.hosts:
            assert primary.taken() == BOTH


def hosts(attempts: tuple[Attempt, ...]) -> str:
    """Who was tried, in order."""
    return " ".join(each.host.name.partition(".")[0] for each in attempts if each.host)


def met(attempt: Attempt) -> str:
    """Where it ended before all was delivered."""
    failures = {attempt.failure, *(outcome.failure for outcome in attempt.outcomes)} - {None}
    return " ".join(sorted(f"{each.stage} {each.kind}" for each in failures if each))


# What comes later.

ALONE = "one@alone.test"
SOON = Schedule(delays=(0.3,), greylisted=(0.3, 0.3), warning=600, lifetime=600)
BRIEF = Schedule(delays=(0.3,), greylisted=(0.3, 0.3), warning=600, lifetime=1)


@pytest.mark.parametrize(
    ("switches", "minutes"), [("-r rcpt", 1), ("-r mail", 60), ("-r data", 60), ("-r connect", 60)]
)
def test_a_refusal_at_rcpt_alone_is_taken_for_greylisting(
    switches: str, minutes: int, tmp_path: Path
) -> None:
    async def work(engine: Engine) -> None:
        entry = await when(engine, await submitted(engine, ALONE), tried)
        wait = entry.recipients[0].due - engine.now()
        assert 0.8 * minutes * 60 < wait < 1.2 * minutes * 60

    schedule = Schedule(delays=(3600,), greylisted=(60, 300))
    with sink(PRIMARY, *switches.split()):
        serve(work, tmp_path, schedule)


def finished(entry: Entry) -> bool:
    return entry.finished is not None


def ends(entry: Entry) -> list[Outcome]:
    """Of each attempt that reached a host that was up, in order, without repetitions."""
    found = [a.outcomes[0].outcome for a in entry.attempts if not refused_connection(a)]
    return [each for n, each in enumerate(found) if found[n - 1 : n] != [each]]


def refused_connection(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.stage is Stage.CONNECT


@pytest.mark.parametrize(
    ("switches", "first"), [("-r rcpt", Outcome.DEFERRED), ("-q .", Outcome.UNKNOWN)]
)
def test_it_is_tried_again_and_taken(switches: str, first: Outcome, tmp_path: Path) -> None:
    """What was perhaps taken is flagged for good, as a duplicate is then possible."""

    async def work(engine: Engine) -> None:
        with sink(PRIMARY, *switches.split()):
            message_id = await submitted(engine, ALONE)
            await when(engine, message_id, tried)
        with sink(PRIMARY) as healthy:
            entry = await when(engine, message_id, finished)
            assert healthy.taken() == [ALONE]
        assert ends(entry) == [first, Outcome.DELIVERED]
        assert entry.recipients[0].state is State.DELIVERED

    serve(work, tmp_path, SOON)


def test_when_all_say_later_for_too_long_the_sender_hears_their_words(tmp_path: Path) -> None:
    async def work(engine: Engine) -> None:
        entry = await when(engine, await submitted(engine, ONE), finished)
        assert entry.recipients[0].state is State.EXPIRED
        tries = len(entry.attempts) // 2
        assert tries > 1
        assert hosts(entry.attempts) == " ".join(["primary backup"] * tries)
        dsn = await report(engine)
        assert dsn.actions == {ONE: "failed"}
        assert "452 4.2.2 full" in field(dsn.recipients[0], "Diagnostic-Code")

    full = ("-r", "rcpt", "-b", "452 4.2.2 full")
    with sink(PRIMARY, *full), sink(BACKUP, *full):
        serve(work, tmp_path, BRIEF)


def test_when_nobody_is_there_for_too_long_the_sender_hears_so(tmp_path: Path) -> None:
    async def work(engine: Engine) -> None:
        entry = await when(engine, await submitted(engine, ONE), finished)
        assert all(map(refused_connection, entry.attempts))
        dsn = await report(engine)
        assert dsn.actions == {ONE: "failed"}
        assert field(dsn.recipients[0], "Status") == "4.4.1"
        assert "refused" in field(dsn.recipients[0], "Diagnostic-Code")

    serve(work, tmp_path, BRIEF)


def test_a_connection_that_died_while_it_was_kept_costs_nothing(tmp_path: Path) -> None:
    """The host ends after one message; the next finds the connection dead, then the host."""

    async def work(engine: Engine) -> None:
        with sink(PRIMARY):
            await when(engine, await submitted(engine, ONE), finished)
        with sink(BACKUP) as backup:
            entry = await when(engine, await submitted(engine, TWO), finished)
            assert hosts(entry.attempts) == "primary backup"
            assert backup.taken() == [TWO]

    serve(work, tmp_path)
