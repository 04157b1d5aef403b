"""`smtpcheck relay` and `smtpcheck queue` as a user runs them: ports, a command, the queue."""

import json
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, Smtpcheck

SERVE = [sys.executable, "-m", "smtpcheck", "relay", "--listen", "127.0.0.1:0:mx"]
DEAD = ["--smarthost", "127.0.0.1:1", "--network", "127.0.0.0/8"]


@contextmanager
def serving(data: Path, *options: str) -> Iterator[dict[str, Any]]:
    command = [*SERVE, "--data", str(data), "--format", "json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def send(port: int, *to: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail("a@s.test", list(to), "Subject: x\r\n\r\nbody\r\n")


def listed(smtpcheck: Smtpcheck, data: Path, *options: str) -> list[dict[str, Any]]:
    run = smtpcheck("queue", "list", "--data", str(data), "--format", "json", *options)
    assert run.status == 0, run.stderr
    messages: list[dict[str, Any]] = json.loads(run.stdout)["messages"]
    return messages


def acted(smtpcheck: Smtpcheck, data: Path, *words: str) -> Run:
    run = smtpcheck("queue", *words, "--data", str(data))
    assert run.status == 0, run.stderr
    return run


def states(smtpcheck: Smtpcheck, data: Path) -> list[str]:
    return [r["state"] for m in listed(smtpcheck, data, "--all") for r in m["recipients"]]


def test_a_command_gets_the_ports_and_gives_its_status() -> None:
    script = "import os, smtplib; h, p = os.environ['SMTPCHECK_RELAY_MX'].rsplit(':', 1); "
    script += "raise SystemExit(smtplib.SMTP(h, int(p)).noop()[0] - 243)"
    run = subprocess.run(
        [*SERVE, "--", sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 7, run.stderr
    assert run.stdout.startswith("ready: mx 127.0.0.1:")


@pytest.mark.parametrize("running", [True, False], ids=["through the socket", "by itself"])
def test_an_operator_at_work(smtpcheck: Smtpcheck, tmp_path: Path, running: bool) -> None:
    with serving(tmp_path, *DEAD) as ready:
        send(ready["ports"][0]["port"], "b@one.test")
        send(ready["ports"][0]["port"], "c@two.test")
        if running:
            operate(smtpcheck, tmp_path)
    if not running:
        operate(smtpcheck, tmp_path)


def operate(smtpcheck: Smtpcheck, data: Path) -> None:
    one, two = (message["id"] for message in listed(smtpcheck, data))
    assert [m["id"] for m in listed(smtpcheck, data, "--domain", "two.test")] == [two]
    assert acted(smtpcheck, data, "hold", "--domain", "one.test").stdout == "hold: 1 message\n"
    assert states(smtpcheck, data) == ["held", "queued"]
    acted(smtpcheck, data, "release", one)
    assert "b@one.test: queued" in acted(smtpcheck, data, "list").stdout
    shown = acted(smtpcheck, data, "show", two).stdout
    assert "C: rcpt TO:<c@two.test>" in shown
    assert "250 2.0.0 Ok: queued as" in shown
    assert acted(smtpcheck, data, "export", two).stdout.endswith("\n\nbody\n")
    acted(smtpcheck, data, "retry")
    acted(smtpcheck, data, "remove", "--all")
    assert states(smtpcheck, data) == ["removed", "removed"]
    assert acted(smtpcheck, data, "list").stdout == "The queue is empty.\n"


def test_a_queue_that_nobody_serves_is_worked_once(smtpcheck: Smtpcheck, tmp_path: Path) -> None:
    with serving(tmp_path, *DEAD) as ready:
        send(ready["ports"][0]["port"], "b@one.test")
    with serving(tmp_path / "other", "--mailbox", "b@one.test", "--local-domain", "one.test") as to:
        smarthost = f"127.0.0.1:{to['ports'][0]['port']}"
        acted(smtpcheck, tmp_path, "retry")
        acted(smtpcheck, tmp_path, "run", "--smarthost", smarthost)
    assert states(smtpcheck, tmp_path) == ["delivered"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["relay", "--listen", "127.0.0.1:0:smtp"], "the role is one of mx"),
        (["relay", "--listen", "host.test:0:mx"], "write ADDRESS:PORT:ROLE"),
        (["relay", "--listen", "127.0.0.1:99999:mx"], "the port is a number"),
        (["relay", "--listen", "192.0.2.1:0:mx"], "can't listen on 192.0.2.1:0:mx"),
        (["relay", "--network", "10.0.0.0/99"], "--network"),
        (["relay", "--mailbox", "nobody"], "--mailbox"),
        (["relay", "--user", "alice"], "SMTPCHECK_RELAY_PASSWORD"),
        (["relay", "--config", "none.yaml"], "none.yaml"),
        (["relay", "--listen", "127.0.0.1:0:mx", "--", "/no/such/program"], "/no/such/program"),
        (["relay", "--resolver", "dns.test"], "dns.test"),
        (["queue", "list"], "which queue?"),
        (["queue", "list", "--data", "/no/such"], "/no/such: no queue there"),
        (["queue", "hold", "--data", "/no/such"], "name a message"),
        (["queue", "run"], "which queue?"),
    ],
)
def test_bad_input_is_one_line(smtpcheck: Smtpcheck, words: list[str], said: str) -> None:
    run = smtpcheck(*words)
    assert run.status == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_one_relay_at_a_time(smtpcheck: Smtpcheck, tmp_path: Path) -> None:
    with serving(tmp_path):
        run = smtpcheck("relay", "--data", str(tmp_path), "--listen", "127.0.0.1:0:mx")
    assert run.status == 2
    assert "in use by another relay" in run.stderr


def test_no_such_message(smtpcheck: Smtpcheck, tmp_path: Path) -> None:
    with serving(tmp_path):
        for words in (["show", "X"], ["export", "X"], ["remove", "X"]):
            run = smtpcheck("queue", *words, "--data", str(tmp_path))
            assert (run.status, run.stderr.count("\n")) == (2, 1)
