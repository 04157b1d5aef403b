"""The promise of `accept` against the machine: killed, told EIO, and out of space.

What was `kept` is found again with its octets; what was refused was refused with the reply
for its cause; and the same process keeps promises again once the storage does.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from smtpcheck.relay.queue import Selection
from smtpcheck.relay.sqlite_queue import SqliteQueue
from tests.conftest import need, unavailable
from tests.relay.acceptor import body

REPOSITORY = Path(__file__).parents[2]
KILLS = int(os.environ.get("SMTPCHECK_KILLS", "20"))


def acceptor(directory: Path, senders: int, count: int) -> list[str]:
    given = (str(directory), str(senders), str(count))
    return [sys.executable, "-m", "tests.relay.acceptor", *given]


def promised(lines: list[str]) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith("kept ") and line.endswith("\n")}


def refusals(lines: list[str]) -> set[str]:
    return {" ".join(line.split()[2:4]) for line in lines if line.startswith("refused ")}


def lost(directory: Path, ids: set[str]) -> set[str]:
    """Those of `ids` that are not in the queue with all recipients and the right octets."""

    async def main() -> set[str]:
        queue = SqliteQueue(directory)
        await queue.recover(0, 1e12)
        entries = await queue.entries(Selection(), limit=10**6)
        found = {e.envelope.message_id for e in entries if len(e.recipients) == 2}
        whole = {each for each in found & ids if await queue.content(each) == body(each)}
        await queue.close()
        return ids - whole

    return asyncio.run(main())


def test_what_was_kept_survives_kill_9(tmp_path: Path) -> None:
    """Killed after some number of promises, on one directory again and again."""
    kept: set[str] = set()
    for kill in range(KILLS):
        command = acceptor(tmp_path, senders=32, count=10_000)
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            with closing(run.stdout) as output:
                lines = [output.readline() for _ in range(3 + kill * 17)]
                run.send_signal(signal.SIGKILL)
                lines += output.readlines()
        kept |= promised(lines)
    assert len(kept) > KILLS
    assert lost(tmp_path, kept) == set()


@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("fdatasync", "40+40"),
        ("fdatasync", "41..44"),
        ("pwrite64", "300+200"),
        ("pwrite64", "301..330"),
        ("fsync", "3+9"),  # of spool files and their directory, and of nothing else
        ("fsync", "3..5"),
    ],
)
def test_eio_is_451_and_passes(tmp_path: Path, call: str, when: str) -> None:
    """Every so manieth call fails, or a few in a row: the database is reopened, promises hold."""
    strace = need("strace")
    inject = f"inject={call}:error=EIO:when={when}"
    log = tmp_path / "strace"
    command = [strace, "-f", "-qq", "-o", str(log), "-e", f"trace={call}", "-e", inject]
    run = subprocess.run(
        [*command, *acceptor(tmp_path / "data", senders=4, count=60)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "(INJECTED)" in log.read_text()
    lines = run.stdout.splitlines(keepends=True)
    assert refusals(lines) == {"451 4.3.0"}
    kept = promised(lines)
    assert len(kept) > 100
    assert lost(tmp_path / "data", kept) == set()
    assert set(refused_ids(lines)).isdisjoint(all_ids(tmp_path / "data"))


def refused_ids(lines: list[str]) -> list[str]:
    return [line.split()[1] for line in lines if line.startswith("refused ")]


def all_ids(directory: Path) -> set[str]:
    async def main() -> set[str]:
        queue = SqliteQueue(directory)
        entries = await queue.entries(Selection(), limit=10**6)
        await queue.close()
        return {entry.envelope.message_id for entry in entries}

    return asyncio.run(main())


def test_a_full_disk_is_452(tmp_path: Path) -> None:
    """On a tmpfs of 3 MiB in a mount namespace of its own."""
    unshare = need("unshare")
    data, copy = tmp_path / "data", tmp_path / "copy"
    data.mkdir()
    script = f'mount -t tmpfs -o size=3m tmpfs {data} || exit 77; "$@"; cp -r {data} {copy}'
    run = subprocess.run(
        [unshare, "-m", "sh", "-c", script, "sh", *acceptor(data, senders=8, count=120)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if run.returncode == 77 or "unshare failed" in run.stderr:
        unavailable("no mount namespaces here")
    lines = run.stdout.splitlines(keepends=True)
    assert refusals(lines) == {"452 4.3.1"}
    kept = promised(lines)
    assert len(kept) > 50
    assert lost(copy, kept) == set()
