"""Our relay as its user runs it: a process, a relay.yaml, a name server that it asks.

Law: the block ends with the relay stopped by SIGTERM, status 0 and nothing on standard error;
a fault that it swallowed is a failed test.
"""

import asyncio
import contextlib
import json
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from smtpcheck.net.zone import Records
from smtpcheck.relay.control import ask
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import REPOSITORY, need_root
from tests.net.nameserver import from_zone, nameserver
from tests.real.rig import next_in, outlived_by_none

HOME, HOSTNAME = "home.test", "relay.home.test"
ALICE, BOB, PASSWORD = f"alice@{HOME}", f"bob@{HOME}", "s3cret with blanks"

PORTS = {"mx": 25, "submission": 587, "submissions": 465, "pop3": 110, "pop3s": 995}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A running relay, on the usual ports of `address`."""

    address: str
    directory: Path
    ca_file: Path

    @property
    def data(self) -> Path:
        """Where its queue and mailboxes are."""
        return self.directory / "data"

    def maildir(self, mailbox: str) -> Path:
        """Where the mail of `mailbox` is, after the first."""
        local, _, domain = mailbox.rpartition("@")
        return self.data / "mail" / quote(domain) / quote(local)

    def next_mail(self, mailbox: str, within: float = 10.0) -> bytes:
        """The oldest message in `mailbox`, taken out of it."""
        path = next_in(self.maildir(mailbox), within, lambda: json.dumps(self.queue(), indent=1))
        content = path.read_bytes()
        path.unlink()
        return content

    def ask(self, **request: Any) -> Any:
        """What the control socket answers."""
        answer = asyncio.run(ask(self.data, request))
        assert answer is not None, "no relay serves"
        assert "error" not in answer, answer
        return answer["result"]

    def queue(self) -> list[dict[str, Any]]:
        """All messages, finished or not."""
        found: list[dict[str, Any]] = self.ask(do="list", finished=True)
        return found

    def ended(self, message_id: str, within: float = 20.0) -> dict[str, Any]:
        """The message with its attempts, once nothing more will happen to it."""
        return self.shown(message_id, lambda found: found["finished"] is not None, within)

    def shown(
        self, message_id: str, ripe: Callable[[dict[str, Any]], bool], within: float = 20.0
    ) -> dict[str, Any]:
        """The message with its attempts, as soon as it is `ripe`."""
        found: dict[str, Any] = {}

        def looks_ripe() -> bool:
            found.update(self.ask(do="show", id=message_id))
            return ripe(found)

        until(looks_ripe, within, lambda: json.dumps(found, indent=1))
        return found

    def submit(
        self,
        message: bytes,
        *recipients: str | tuple[str, str],
        sender: str = ALICE,
        options: Sequence[str] = ("BODY=8BITMIME",),
    ) -> str:
        """Send it on the submission port, inside verified TLS and logged in; its id here."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with smtplib.SMTP(self.address, 587, timeout=20) as client:
            client.starttls(context=context)
            client.login(ALICE, PASSWORD)
            return send(client, sender, recipients, message, options).rpartition(" ")[2]


def send(
    client: smtplib.SMTP,
    sender: str,
    recipients: Sequence[str | tuple[str, str]],
    message: bytes,
    options: Sequence[str] = (),
) -> str:
    """One transaction; a recipient may come with its parameters. The text of the last reply."""
    client.ehlo_or_helo_if_needed()
    assert client.mail(sender, options)[0] == 250
    for recipient in recipients:
        address, parameters = (recipient, "") if isinstance(recipient, str) else recipient
        said = client.rcpt(address, [parameters] if parameters else [])
        assert said[0] == 250, said
    code, text = client.data(message)
    assert code == 250, text
    return text.decode()


def until(ripe: Callable[[], bool], within: float, why: Callable[[], str]) -> None:
    """Return as soon as `ripe`."""
    deadline = time.monotonic() + within
    while not ripe():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)  # a queue has no bell for those outside


@contextlib.contextmanager
def names(zone: Records) -> Iterator[str]:
    """A name server with `zone`, in a thread of its own, as ADDRESS:PORT."""
    ready, found = threading.Event(), list[str]()
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def serve() -> None:
        async with nameserver(from_zone(zone)) as (where, _):
            found.append(where)
            ready.set()
            await stopped.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def relay(
    address: str,
    directory: Path,
    ca: ThrowawayCA,
    *,
    zone: Records | None = None,
    tls: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Relay]:
    """Run one with users alice and bob, asking `zone`.

    `tls` goes into that section of relay.yaml, `settings` are further sections.
    """
    need_root()
    chain, key = ca.issue([HOSTNAME], [address]).write(directory)
    ca_file = ca.write(directory)
    (directory / "data").mkdir()
    with names(zone or {}) as resolver:
        file = directory / "relay.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "hostname": HOSTNAME,
                    "data": "data",
                    "listeners": [
                        {"address": address, "port": port, "role": role}
                        for role, port in PORTS.items()
                    ],
                    "users": {ALICE: PASSWORD, BOB: PASSWORD},
                    "local": {"domains": [HOME]},
                    "resolver": resolver,
                    "retry": {"profile": "seconds"},
                    "tls": {
                        "certificate": str(chain),
                        "key": str(key),
                        "trust": str(ca_file),
                        **(tls or {}),
                    },
                    **settings,
                }
            )
        )
        with _serving(file):
            yield Relay(address=address, directory=directory, ca_file=ca_file)


@contextlib.contextmanager
def _serving(config: Path) -> Iterator[None]:
    command = (sys.executable, "-m", "smtpcheck", "relay", "--format", "json")
    complaints = config.with_name("stderr")
    with complaints.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            cwd=REPOSITORY,
        )
    assert process.stdout is not None
    with process.stdout, outlived_by_none(process):
        ready = process.stdout.readline()
        assert ready, complaints.read_text()
        assert json.loads(ready)["ready"]
        yield
    assert (process.returncode, complaints.read_text()) == (0, "")
