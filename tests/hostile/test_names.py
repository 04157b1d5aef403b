"""The program and name servers that lie: it ends in time, and no answer is not the answer "no"."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

import dns.rcode
import pytest

from tests.hostile import names
from tests.hostile.clear import Healthy
from tests.hostile.conftest import AT_ONCE, Contexts, in_thread
from tests.hostile.names import NAME, cut_off, found, lying, over_tcp, says
from tests.hostile.peer import serving, set_up
from tests.hostile.program import Measured, measured
from tests.hostile.test_lies import GRACE, OURS, PEAK
from tests.hostile.test_lies import found as findings
from tests.net.nameserver import dead, with_rcode

COMMANDING = r"\027[2J\027]0\;owned\007.[red]x[/red].test."

MANY = [f"127.77.{n // 250}.{n % 250}" for n in range(4000)]
FIRST = sorted(MANY)[:16]
"""Those that are asked: a set has no order, so they are sorted."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One name server; what the report finds, and how the program ends."""

    title: str
    server: AbstractAsyncContextManager[str]
    expect: dict[str, str] = field(default_factory=dict)
    status: int = 0
    within: float = 2.0


def unsure(title: str, server: AbstractAsyncContextManager[str]) -> Row:
    """Nothing may be concluded."""
    return Row(title=title, server=server, expect={"dns-inconclusive": "inconclusive"}, status=3)


def rows() -> list[Row]:
    """All, with servers that can be raised once."""
    return [
        Row(title="the truth", server=lying(found())),
        Row(title="the truth, over TCP", server=lying(cut_off, over_tcp(found()))),
        unsure("dead", lying(dead)),
        unsure("nobody there", names.closed()),
        unsure("SERVFAIL", lying(with_rcode(dns.rcode.SERVFAIL))),
        unsure("lame: REFUSED", lying(with_rcode(dns.rcode.REFUSED))),
        unsure("not implemented", lying(with_rcode(dns.rcode.NOTIMP))),
        unsure("noise", lying(names.noise)),
        unsure("cut off, and TCP refuses", lying(cut_off)),
        unsure("cut off, and TCP hangs", lying(cut_off, names.hanging)),
        unsure("cut off, and TCP is endless", lying(cut_off, names.endless)),
        unsure("cut off, and TCP breaks off", lying(cut_off, names.breaking_off)),
        unsure("cut off, and over TCP again", lying(cut_off, over_tcp(cut_off))),
        unsure("aliases in a circle", lying(names.in_a_circle)),
        unsure("a chain of five hundred aliases", lying(cut_off, over_tcp(names.down_a_chain))),
        unsure("an answer about another name", lying(names.about_another)),
        unsure("an answer to another question", lying(names.to_another_question)),
        Row(
            title="SERVFAIL for AAAA alone", server=lying(names.half_failing),
            expect={"dns-inconclusive": "inconclusive"},
        ),
        Row(
            title="no address", server=lying(says()),
            expect={"domain-undeliverable": "critical"}, status=1,
        ),
        Row(
            title="four thousand addresses",
            server=lying(cut_off, over_tcp(says(*((NAME, "A", each) for each in MANY)))),
            within=30.0,
        ),
        Row(
            title="an alias that commands the terminal",
            server=lying(
                says(
                    (NAME, "CNAME", COMMANDING), (COMMANDING, "A", "127.0.0.1")
                )
            ),
        ),
        Row(
            title="addresses that are none",
            server=lying(says((NAME, "A", "255.255.255.255"), (NAME, "A", "224.0.0.1"))),
            status=3,
        ),
    ]  # fmt: skip


TITLES = [row.title for row in rows()]

Runs = dict[str, tuple["Future[Measured]", "Future[Measured]"]]


@pytest.fixture(scope="module")
def runs(contexts: Contexts) -> Iterator[Runs]:
    """Every row at once."""
    table, servers, port = rows(), dict[str, str](), [0]

    async def raise_all(stack: AsyncExitStack) -> None:
        healthy = set_up(Healthy, contexts["healthy"])
        port[0] = await stack.enter_async_context(serving(healthy))
        for address in FIRST:
            await stack.enter_async_context(serving(healthy, address, port[0]))
        for row in table:
            servers[row.title] = await stack.enter_async_context(row.server)

    with in_thread(raise_all), ThreadPoolExecutor(AT_ONCE) as pool:
        yield {row.title: _both(pool, row, servers[row.title], port[0]) for row in table}


def _both(
    pool: ThreadPoolExecutor, row: Row, server: str, port: int
) -> "tuple[Future[Measured], Future[Measured]]":
    command = (
        "host", NAME, "--port", f"{port}:mx:starttls", "--resolver", server, "--name", "peer.test",
        "--timeout", f"{row.within}s",
    )  # fmt: skip
    return (
        pool.submit(measured, *command, "--format", "json"),
        pool.submit(measured, *command, "--transcript", terminal=True),
    )


@pytest.mark.parametrize("title", TITLES)
def test_a_name_server(title: str, runs: Runs) -> None:
    (row,) = (row for row in rows() if row.title == title)
    piped, on_terminal = (each.result() for each in runs[title])
    for run in (piped, on_terminal):
        assert run.status == row.status, run
        assert run.took < row.within + GRACE
        assert run.peak < PEAK
    assert piped.stderr == ""
    assert findings(piped) == row.expect
    assert OURS.sub("", on_terminal.stdout).replace("\r\n", "").isprintable()


def test_the_addresses_left_out_are_counted(runs: Runs) -> None:
    report = runs["four thousand addresses"][0].result().report
    left_out = f"{len(MANY) - len(FIRST)} of {len(MANY)} addresses: more than are asked"
    assert left_out in [gap["what"] for gap in report["unchecked"]]
