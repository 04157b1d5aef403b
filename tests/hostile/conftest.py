"""The lying servers, all at once in one thread, and the program against each of them."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.hostile.cases import CASES, SUBMISSIONS, Case
from tests.hostile.peer import serving, set_up
from tests.hostile.program import Measured, measured

NAME = "peer.test"

AT_ONCE = 6
"""Processes: most of their time is spent waiting for servers that make them wait."""

Runs = Mapping[str, tuple["Future[Measured]", "Future[Measured]"]]
Contexts = Mapping[str, ssl.SSLContext]


@pytest.fixture(scope="session")
def contexts(ca: ThrowawayCA, tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """The certificates that the rows name, each as a server shows it."""
    healthy = ca.issue([NAME])
    short, long = (
        [form.format(n) for n in range(10_000)] for form in ("h{:04}.t", "host-{:04}.mail.test")
    )
    identities = {
        "healthy": healthy,
        "names": ca.issue([*short, NAME]),
        "other names": ca.issue(short),
        "long names": ca.issue([*long, NAME]),
        "chain": replace(healthy, chain=(*healthy.chain, *[healthy.chain[1]] * 98)),
        "escapes": ca.issue(
            ["\x1b[2J\x1b]0;owned\x07.test"], common_name="[red]x[/red]\x1b[31m\x9b31m"
        ),
        "tickets": healthy,
    }
    folder = tmp_path_factory.mktemp("hostile")
    made = {name: context(each, folder, name) for name, each in identities.items()}
    made["tickets"].num_tickets = 10_000
    return made


def context(identity: Identity, folder: Path, name: str) -> ssl.SSLContext:
    """A server's side that shows `identity`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*identity.write(folder, name.replace(" ", "-")))
    return made


@contextmanager
def in_thread(work: Callable[[AsyncExitStack], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Enter servers in a thread's event loop; they serve until the block ends."""
    ready: Future[None] = Future()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            try:
                await work(stack)
            except BaseException as error:
                ready.set_exception(error)
                return
            ready.set_result(None)
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    try:
        ready.result()
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, contexts: Contexts, ca_file: Path) -> Iterator[Runs]:
    """For the row of each test to come: the program with JSON on a pipe, and on a terminal."""
    asked = {row.name for item in request.session.items if (row := _row(item))}
    rows = [row for row in CASES if row.name in asked]
    ports: dict[str, list[int]] = {}

    async def raise_all(stack: AsyncExitStack) -> None:
        for row in rows:
            implicit = row.port == SUBMISSIONS
            logins = row.port.startswith("submission")
            lying = set_up(
                row.behaviour, contexts[row.certificate], implicit=implicit, logins=logins
            )
            twice = [await stack.enter_async_context(serving(lying)) for _ in range(2)]
            ports[row.name] = twice  # each counts the connections of one run

    with in_thread(raise_all), ThreadPoolExecutor(AT_ONCE) as pool:
        yield {row.name: _both(pool, row, ports[row.name], ca_file) for row in rows}
        pool.shutdown(cancel_futures=True)


def _row(item: pytest.Item) -> Case | None:
    params = getattr(item, "callspec", None)
    row = params.params.get("case") if params else None
    return row if isinstance(row, Case) else None


def _both(
    pool: ThreadPoolExecutor, row: Case, ports: list[int], ca_file: Path
) -> "tuple[Future[Measured], Future[Measured]]":
    command = (
        "host", "127.0.0.1", "--name", NAME, "--ca-file", str(ca_file),
        "--timeout", f"{row.within}s",
    )  # fmt: skip
    first, second = (("--port", f"{port}:{row.port}") for port in ports)
    return (
        pool.submit(measured, *command, *first, "--format", "json"),
        pool.submit(measured, *command, *second, "--transcript", terminal=True),
    )
