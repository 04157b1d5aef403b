"""The mail programs that people have fetch our mail to the byte, and Dovecot reads our Maildir."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from smtpcheck.facts.host import Security
from smtpcheck.relay.maildir import Maildrop
from smtpcheck.relay.pop3_listener import Pop3Config
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import need, need_root
from tests.real.rig import open_directory
from tests.relay.test_pop3_server import (
    CLEAR,
    MESSAGES,
    PASSWORD,
    TRACE,
    fill,
    left,
    serving,
    tls,
)

pytestmark = pytest.mark.real

WHOLE = [TRACE + message for message in MESSAGES]


def against(mailbox: Path, config: Pop3Config, work: Callable[[int], None]) -> None:
    """Run `work` against a server with three messages; the server has no fault to report."""
    fill(mailbox)
    assert asyncio.run(serving(mailbox, work, config)) == []


def run(*command: str, **environment: str) -> bytes:
    done = subprocess.run(
        command,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def as_stored(messages: list[bytes]) -> list[bytes]:
    """Line ends as Unix programs keep them."""
    return sorted(message.replace(b"\r\n", b"\n") for message in messages)


CURL = [
    # scheme, security, options
    pytest.param("pop3", None, [], id="clear"),
    pytest.param("pop3", Security.STARTTLS, ["--ssl-reqd"], id="STLS"),
    pytest.param("pop3s", Security.IMPLICIT, [], id="implicit TLS"),
    pytest.param("pop3s", Security.IMPLICIT, ["--login-options", "AUTH=PLAIN"], id="AUTH PLAIN"),
    pytest.param("pop3s", Security.IMPLICIT, ["--sasl-ir"], id="initial response"),
]


@pytest.mark.parametrize(("scheme", "security", "options"), CURL)
def test_curl(
    tmp_path: Path,
    ca: ThrowawayCA,
    ca_file: Path,
    scheme: str,
    security: Security | None,
    options: list[str],
) -> None:
    curl = need("curl")

    def work(port: int) -> None:
        base = [curl, "-sS", "-m", "20", "--cacert", str(ca_file), "-u", f"alice:{PASSWORD}"]
        url = f"{scheme}://localhost:{port}/"
        got = [run(*base, *options, f"{url}{number}") for number in (1, 2, 3)]
        assert got == WHOLE
        listing = run(*base, *options, url).splitlines()
        assert listing == [f"{n} {len(message)}".encode() for n, message in enumerate(WHOLE, 1)]
        run(*base, *options, "-X", "DELE", "--head", f"{url}2")

    against(tmp_path / "box", tls(ca, security) if security else CLEAR, work)
    assert left(tmp_path / "box") == [WHOLE[0], WHOLE[2]]


FETCHMAIL = """\
set no bouncemail
poll localhost protocol pop3 port {port}
  username "alice" password "{password}"
  {tls}
  sslcertfile "{ca_file}" sslcertck
  fetchall no rewrite {keep}
  mda "{mda}"
"""


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
def test_fetchmail(tmp_path: Path, ca: ThrowawayCA, ca_file: Path, security: Security) -> None:
    fetchmail = need("fetchmail")
    mda = tmp_path / "mda"
    mda.write_text(f"#!/bin/sh\nexec cat > {tmp_path}/got.$$\n")
    mda.chmod(0o700)
    rc = tmp_path / "fetchmailrc"

    def work(port: int) -> None:
        mode = "ssl" if security is Security.IMPLICIT else 'sslproto "TLS1.2+"'
        rc.touch(mode=0o600)
        rc.write_text(
            FETCHMAIL.format(
                port=port, password=PASSWORD, tls=mode, ca_file=ca_file, keep="no keep", mda=mda
            )
        )
        run(
            fetchmail,
            "-f",
            str(rc),
            "--nosyslog",
            "--pidfile",
            str(tmp_path / "pid"),
            FETCHMAILHOME=str(tmp_path),
            HOME=str(tmp_path),
        )

    against(tmp_path / "box", tls(ca, security), work)
    got = [without_added_trace(path.read_bytes()) for path in tmp_path.glob("got.*")]
    assert sorted(got) == as_stored([without_return_path(message) for message in WHOLE])
    assert left(tmp_path / "box") == []


def without_added_trace(message: bytes) -> bytes:
    """Fetchmail puts a Received field of its own on top, and rebuilds Return-Path."""
    return b"Delivered-To:" + message.partition(b"Delivered-To:")[2]


def without_return_path(message: bytes) -> bytes:
    return message.partition(b"\r\n")[2]


@pytest.mark.parametrize("auth", ["user", "plain"])
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
def test_mpop(
    tmp_path: Path, ca: ThrowawayCA, ca_file: Path, security: Security, auth: str
) -> None:
    mpop = need("mpop")
    into = tmp_path / "into"
    for part in ("tmp", "new", "cur"):
        (into / part).mkdir(parents=True)

    def work(port: int) -> None:
        run(
            mpop,
            "--host=localhost",
            f"--port={port}",
            "--user=alice",
            f"--auth={auth}",
            f"--passwordeval=echo '{PASSWORD}'",
            "--tls=on",
            f"--tls-trust-file={ca_file}",
            f"--tls-starttls={'on' if security is Security.STARTTLS else 'off'}",
            "--received-header=off",
            "--keep=off",
            f"--uidls-file={tmp_path / 'uidls'}",
            f"--delivery=maildir,{into}",
            HOME=str(tmp_path),
        )

    against(tmp_path / "box", tls(ca, security), work)
    got = sorted(path.read_bytes() for path in (into / "new").iterdir())
    assert got == as_stored(WHOLE)
    assert left(tmp_path / "box") == []


DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
mail_location = maildir:{directory}/box
first_valid_uid = 1
"""


def test_dovecot_reads_the_maildir_and_we_read_it_after_dovecot() -> None:
    need_root()
    doveadm = need("doveadm")
    with open_directory() as directory:
        box = directory / "box"
        fill(box)
        ids = [path.name.partition(",")[0] for path in sorted((box / "new").iterdir())]
        for path in [box, *box.rglob("*")]:
            shutil.chown(path, "dovecot", "dovecot")
        (directory / "conf").write_text(DOVECOT.format(directory=directory))
        dove = [
            doveadm,
            "-c",
            str(directory / "conf"),
            "-o",
            "mail_uid=dovecot",
            "-o",
            "mail_gid=dovecot",
            "-f",
            "flow",
        ]
        environment = {"USER": "dovecot", "HOME": str(directory)}
        text = run(*dove, "fetch", "text", "mailbox", "INBOX", **environment)
        sizes = run(*dove, "fetch", "size.virtual", "mailbox", "INBOX", **environment)
        for message in WHOLE:
            assert message.replace(b"\r\n", b"\n").rstrip(b"\n") in text.replace(b"\r\n", b"\n")
        assert sizes.split() == [f"size.virtual={len(message)}".encode() for message in WHOLE]
        # A flag changes the name, and its place with some: what we tell of it stays the same.
        run(*dove, "flags", "add", "\\Seen", "mailbox", "INBOX", "all", **environment)
        assert len(list(box.glob("*/*:2,S"))) == 3
        assert left(box) == WHOLE
        drop = Maildrop(box)
        drop.close()
        assert [stored.uid for stored in drop.messages] == ids
