"""`smtpcheck host` as a user runs it, against a scripted server: options, files, exit statuses."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import run_smtpcheck, unused_port
from tests.net.nameserver import dead, from_zone, nameserver
from tests.net.peer import Behaviour, peer, says, silence

CLEAR = says(
    b"250-peer.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
    b"250 ENHANCEDSTATUSCODES\r\n",
    b"221 bye\r\n",
    greeting=b"220 peer.test ESMTP\r\n",
)


class Serving(threading.Thread):
    """A scripted server in a thread, so that the program can be another process."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(daemon=True)
        self._behaviour, self._ready = behaviour, threading.Event()
        self.port = 0

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with peer(self._behaviour) as self.port:
            self._ready.set()
            await self._done.wait()

    def __enter__(self) -> int:
        self.start()
        self._ready.wait()
        return self.port

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self.join()


@pytest.fixture(scope="module")
def clear() -> Iterator[str]:
    """HOST:PORT of an MX that has everything but STARTTLS: a warning and nothing worse."""
    with Serving(CLEAR) as port:
        yield f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 0),
        (("--fail-on", "warning"), 1),
        (("--fail-on", "critical"), 0),
    ],
)
def test_the_status_follows_fail_on(clear: str, options: tuple[str, ...], status: int) -> None:
    run = run_smtpcheck("host", clear, *options)
    assert run.status == status, run
    assert "starttls-missing" in run.stdout
    assert run.stderr == ""


def test_a_bare_target_is_a_host(clear: str) -> None:
    assert run_smtpcheck(clear, "-q").status == 0


def test_quiet_is_one_line(clear: str) -> None:
    run = run_smtpcheck("host", clear, "--quiet")
    assert run.stdout.count("\n") == 1
    assert "1 warning" in run.stdout


def test_the_transcript_shows_both_directions(clear: str) -> None:
    run = run_smtpcheck("host", clear, "--transcript", "--ehlo", "me.test")
    assert "C: EHLO me.test" in run.stdout
    assert "S: 220 peer.test ESMTP" in run.stdout


def test_a_saved_run_gives_the_same_report_byte_for_byte(clear: str, tmp_path: Path) -> None:
    saved = str(tmp_path / "run.json")
    for format_ in ("console", "json"):
        run = run_smtpcheck("host", clear, "--save", saved, "--format", format_)
        again = run_smtpcheck("judge", saved, "--format", format_)
        assert again.stdout == run.stdout
        assert again.status == run.status
    piped = run_smtpcheck("judge", saved, "--transcript")
    assert "S: 220 peer.test ESMTP" in piped.stdout


def test_a_redacted_run_tells_neither_name_nor_address(clear: str, tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    run_smtpcheck("host", clear, "--save", str(saved), "--redact", "--ehlo", "secret.example.org")
    text = saved.read_text()
    for private in ("peer.test", "secret.example", "cGVlci50ZXN0"):
        assert private not in text
    assert json.loads(text)["redacted"] is True
    again = run_smtpcheck("judge", str(saved), "--format", "json")
    assert [finding["id"] for finding in again.report["findings"]] == ["starttls-missing"]


def test_the_report_goes_to_a_file_whole(clear: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    run = run_smtpcheck("host", clear, "--format", "json", "--output", str(path))
    assert run.stdout == ""
    assert json.loads(path.read_text())["status"] == "pass"
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


def test_a_full_disk_is_one_line_and_the_report_is_shown_all_the_same(clear: str) -> None:
    run = run_smtpcheck("host", clear, "--save", "/dev/full", "--quiet")
    assert run.status == 2
    assert "1 warning" in run.stdout
    assert run.stderr == "smtpcheck: error: /dev/full: No space left on device\n"


def test_a_reader_that_has_read_enough_changes_nothing(clear: str) -> None:
    program = f"{sys.executable} -m smtpcheck host {clear} --fail-on warning"
    script = f"{program} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(("end", "status"), [(">&-", 0), ("2>&-", 0), (">/dev/full", 2)])
def test_standard_streams_may_be_closed_or_full(clear: str, end: str, status: int) -> None:
    program = f"{sys.executable} -m smtpcheck host {clear} {end}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert done.stderr.count("\n") == bool(status)


def test_a_port_named_twice_alike_is_one(clear: str) -> None:
    port = clear.rpartition(":")[2]
    run = run_smtpcheck("host", clear, "-p", f"{port}:mx", "-p", f"{port}:mx", "--format", "json")
    assert len(run.report["findings"]) == 1
    assert "also" not in run.report["findings"][0]


def test_options_come_from_the_environment(clear: str) -> None:
    assert run_smtpcheck("host", clear, SMTPCHECK_FAIL_ON="warning").status == 1


def test_nothing_listens_on_the_port_asked_for() -> None:
    run = run_smtpcheck("host", f"127.0.0.1:{unused_port()}", "--format", "json")
    assert run.status == 1
    assert [finding["id"] for finding in run.report["findings"]] == ["port-closed"]


def test_a_silent_server_is_undecided_and_ci_may_choose() -> None:
    with Serving(silence) as port:
        target = ("host", f"127.0.0.1:{port}", "--timeout", "2s", "--format", "json")
        assert run_smtpcheck(*target).status == 3
        assert run_smtpcheck(*target, "--on-inconclusive", "pass").status == 0
        assert run_smtpcheck(*target, "--on-inconclusive", "fail").status == 1


class Naming(Serving):
    """The same for a name server; `port` is its port."""

    def __init__(self, zone: dict[tuple[str, str], list[str]] | None) -> None:
        super().__init__(silence)
        self._answering = dead if zone is None else from_zone(zone)

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        async with nameserver(self._answering) as (server, _):
            self.port = int(server.rpartition(":")[2])
            self._ready.set()
            await self._done.wait()


def test_an_unknown_host_is_2_and_a_dead_resolver_3() -> None:
    with Naming({("m.test", "MX"): ["10 m.test."]}) as port:
        resolver = ("--resolver", f"127.0.0.1:{port}")
        unknown = run_smtpcheck("host", "n.test", *resolver)
        assert (unknown.status, unknown.stdout) == (2, "")
        assert "n.test: no such name" in unknown.stderr
        bare = run_smtpcheck("host", "m.test", *resolver, "--format", "json")
        assert bare.status == 1
        assert [f["id"] for f in bare.report["findings"]] == ["domain-undeliverable"]
    with Naming(None) as port:
        asked = ("--resolver", f"127.0.0.1:{port}", "--timeout", "2s")
        run = run_smtpcheck("host", "m.test", *asked, "--format", "json")
        assert run.status == 3
        assert [f["id"] for f in run.report["findings"]] == ["dns-inconclusive"]


def test_completion_is_a_script() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_SMTPCHECK_COMPLETE" in run_smtpcheck("completion", shell).stdout
    run = run_smtpcheck(
        _SMTPCHECK_COMPLETE="bash_complete", COMP_WORDS="smtpcheck ju", COMP_CWORD="1"
    )
    assert "judge" in run.stdout
