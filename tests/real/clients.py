"""The clients that people use, each told the same: one message, one recipient, a login or none.

Law: a client verifies TLS and says whether it is content; one that isn't raises Refused with
its words.
"""

import asyncio
import json
import os
import smtplib
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aiosmtplib

from tests.conftest import need, unavailable


class Refused(Exception):  # noqa: N818 - the server is right to do so
    """The client was not content; what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client is told to do. Without `mechanism` it doesn't log in."""

    address: str
    port: int
    implicit: bool
    mechanism: str
    user: str
    password: str
    sender: str
    recipient: str
    message: bytes
    ca: Path
    directory: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """For the clients in Python."""
        return ssl.create_default_context(cafile=str(self.ca))

    @property
    def in_unix_lines(self) -> bytes:
        """The message as files on this system have it."""
        return self.message.replace(b"\r\n", b"\n")

    @property
    def as_json(self) -> bytes:
        """For a script."""
        message = b64encode(self.message).decode()
        return json.dumps({**asdict(self), "message": message}, default=str).encode()


Client = Callable[[Order], None]


def swaks(order: Order) -> None:
    """It ends the last line itself."""
    data = order.directory / "message"
    data.write_bytes(order.in_unix_lines.removesuffix(b"\n"))
    login = ["--auth-user", order.user, "--auth-password", order.password]
    _run(
        *("swaks", "--server", order.address, "--port", str(order.port), "--timeout", "10"),
        *("--tls-on-connect" if order.implicit else "--tls", "--tls-verify"),
        *("--tls-ca-path", str(order.ca), "--from", order.sender, "--to", order.recipient),
        *(["--auth", order.mechanism, *login] if order.mechanism else []),
        *("--data", f"@{data}"),
    )


def curl(order: Order) -> None:
    scheme = "smtps" if order.implicit else "smtp"
    login = ["--user", f"{order.user}:{order.password}"]
    login += ["--login-options", f"AUTH={order.mechanism}"]
    _run(
        *("curl", "--silent", "--show-error", "--max-time", "10", "--ssl-reqd"),
        *("--url", f"{scheme}://{order.address}:{order.port}", "--cacert", str(order.ca)),
        *(login if order.mechanism else []),
        *("--mail-from", order.sender, "--mail-rcpt", order.recipient, "--upload-file", "-"),
        given=order.message,
    )


def msmtp(order: Order) -> None:
    config = order.directory / "msmtprc"
    login = f"auth {order.mechanism.lower()}\nuser {order.user}\npassword {order.password}\n"
    config.write_text(
        f"account default\nhost {order.address}\nport {order.port}\nfrom {order.sender}\n"
        f"{login if order.mechanism else 'auth off'}\ntimeout 10\ntls on\n"
        f"tls_starttls {'off' if order.implicit else 'on'}\ntls_trust_file {order.ca}\n"
    )
    config.chmod(0o600)
    _run("msmtp", "--file", str(config), order.recipient, given=order.in_unix_lines)


PERL = """\
use strict; use JSON::PP; use MIME::Base64; use Net::SMTP; use Authen::SASL;
my $o = decode_json(do { local $/; <STDIN> });
my %tls = (SSL_ca_file => $o->{ca}, SSL_verify_mode => 1);
my $smtp = Net::SMTP->new($o->{address}, Port => $o->{port}, Timeout => 10,
  $o->{implicit} ? (SSL => 1, %tls) : ()) or die "connect: $@";
sub check { $_[0] or die $smtp->code . " " . $smtp->message }
check $smtp->starttls(%tls) unless $o->{implicit};
check $smtp->auth(Authen::SASL->new(mechanism => $o->{mechanism},
  callback => {user => $o->{user}, pass => $o->{password}})) if $o->{mechanism};
check $smtp->mail($o->{sender}, Bits => 8);
check $smtp->to($o->{recipient});
check $smtp->data(decode_base64($o->{message}));
$smtp->quit;
"""


def perl(order: Order) -> None:
    """Net::SMTP."""
    _run("perl", "-e", PERL, given=order.as_json)


NODE = """\
const o = JSON.parse(require("fs").readFileSync(0));
const transport = require("nodemailer").createTransport({
  host: o.address, port: o.port, secure: o.implicit, requireTLS: !o.implicit,
  tls: {ca: require("fs").readFileSync(o.ca)}, connectionTimeout: 10000,
  ...(o.mechanism && {auth: {user: o.user, pass: o.password}, authMethod: o.mechanism}),
});
transport.sendMail({
  envelope: {from: o.sender, to: o.recipient, use8BitMime: true},
  raw: Buffer.from(o.message, "base64"),
}).catch(error => { console.error(error.message); process.exitCode = 1; });
"""


def node(order: Order) -> None:
    """Nodemailer, from Debian or from the npm registry (NODE_PATH)."""
    path = os.pathsep.join((os.environ.get("NODE_PATH", ""), "/usr/share/nodejs"))
    found = subprocess.run(
        [need("node"), "-e", 'require("nodemailer")'],
        env={**os.environ, "NODE_PATH": path},
        capture_output=True,
        check=False,
    )
    if found.returncode:
        unavailable("node finds no nodemailer: it is in node-nodemailer")
    _run("node", "-e", NODE, given=order.as_json, NODE_PATH=path)


def stdlib(order: Order) -> None:
    """smtplib."""
    try:
        with _opened(order) as client:
            if not order.implicit:
                client.starttls(context=order.trust)
            client.ehlo()
            if order.mechanism:
                client.user, client.password = order.user, order.password
                step = client.auth_plain if order.mechanism == "PLAIN" else client.auth_login
                client.auth(order.mechanism, step)
            client.sendmail(order.sender, [order.recipient], order.message, ["BODY=8BITMIME"])
    except smtplib.SMTPException as error:
        raise Refused(str(error)) from None


def _opened(order: Order) -> smtplib.SMTP:
    if order.implicit:
        return smtplib.SMTP_SSL(order.address, order.port, timeout=10, context=order.trust)
    return smtplib.SMTP(order.address, order.port, timeout=10)


def aio(order: Order) -> None:
    """aiosmtplib, which our own client stands on."""
    try:
        asyncio.run(_aio(order))
    except aiosmtplib.SMTPException as error:
        raise Refused(str(error)) from None


async def _aio(order: Order) -> None:
    client = aiosmtplib.SMTP(
        hostname=order.address,
        port=order.port,
        timeout=10,
        use_tls=order.implicit,
        start_tls=False,
        tls_context=order.trust,
    )
    async with client:
        if not order.implicit:
            await client.starttls()
        await client.ehlo()
        if order.mechanism:
            login = client.auth_plain if order.mechanism == "PLAIN" else client.auth_login
            await login(order.user, order.password)
        options = ["BODY=8BITMIME"]
        await client.sendmail(order.sender, [order.recipient], order.message, mail_options=options)


CLIENTS: dict[str, Client] = {
    "swaks": swaks,
    "curl": curl,
    "msmtp": msmtp,
    "Net::SMTP": perl,
    "smtplib": stdlib,
    "aiosmtplib": aio,
    "nodemailer": node,
}


def _run(program: str, *arguments: str, given: bytes = b"", **environment: str) -> None:
    """With `given` on its standard input; it must be content."""
    done = subprocess.run(
        [need(program), *arguments],
        input=given,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stdout.decode(errors="replace"))
