"""`smtpcheck relay [-- COMMAND]`: serve until told to stop, or until COMMAND ends."""

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smtpcheck.blame import BadInputError
from smtpcheck.cli.options import READABLE, examples, option, together
from smtpcheck.cli.status import ExitStatus
from smtpcheck.cli.values import EndpointType

if TYPE_CHECKING:
    from smtpcheck.relay.config import Config, Listen
    from smtpcheck.relay.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD = "SMTPCHECK_RELAY_PASSWORD"  # noqa: S105 - the name of the variable
GRACE = 10.0
"""Seconds that COMMAND gets to end when it is told to."""
ROLES = ("mx", "submission", "submissions", "pop3", "pop3s")


class ListenType(click.ParamType["Listen"]):
    """ADDRESS:PORT:ROLE, [ADDRESS]:PORT:ROLE."""

    name = "address:port:role"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Listen":
        from smtpcheck.relay.config import Listen, PortRole
        from smtpcheck.wire.endpoint import is_literal

        if isinstance(value, Listen):
            return value
        place, _, role = str(value).rpartition(":")
        address, _, port = place.rpartition(":")
        address = address.removeprefix("[").removesuffix("]")
        if role not in ROLES:
            self.fail(f"{value!r}: the role is one of {', '.join(ROLES)}", param, ctx)
        if not is_literal(address):
            self.fail(f"{value!r}: write ADDRESS:PORT:ROLE, with an IP address", param, ctx)
        if not (port.isdecimal() and len(port) < 6 and int(port) < 65536):
            self.fail(f"{value!r}: the port is a number up to 65535, 0 picks one", param, ctx)
        return Listen(address=address, port=int(port), role=PortRole(role))


relay_options = together(
    option("--config", type=READABLE, help="Read relay.yaml; options go before it."),
    option("--data", metavar="DIR", help="Queue and mailboxes are here. Default: a temporary one."),
    option("--hostname", metavar="NAME", help="What the relay calls itself."),
    option(
        "--local-domain", "local_domains", metavar="DOMAIN", multiple=True,
        help="Mail for it ends here; repeatable.",
    ),
    option(
        "--mailbox", "mailboxes", metavar="USER@DOMAIN", multiple=True,
        help="A mailbox in a local domain; repeatable.",
    ),
    option(
        "--user", "users", metavar="NAME", multiple=True,
        help=f"May log in and has a mailbox; the password is in {PASSWORD}.",
    ),
    option(
        "--network", "networks", metavar="CIDR", multiple=True,
        help="Clients that may relay; repeatable. Default: none.",
    ),
    option("--smarthost", type=EndpointType(), help="Hand all other mail to this server."),
    option("--resolver", metavar="HOST[:PORT]", help="Ask this name server (an address)."),
)  # fmt: skip


def configured(**options: Any) -> "Config":
    """The configuration file, with what the options say instead."""
    from dataclasses import replace

    from smtpcheck.relay.config import Config
    from smtpcheck.relay.config_file import load

    file = options.pop("config")
    base = load(Path(file)) if file else Config()
    return replace(base, **{k: v for k, v in _given(options).items() if v})


def _given(options: dict[str, Any]) -> dict[str, Any]:
    from ipaddress import ip_network

    from smtpcheck.relay.config import Smarthost
    from smtpcheck.wire.address import AddressError, canonical_domain, read_domain, read_mailbox

    try:
        domains = [canonical_domain(read_domain(each)) for each in options["local_domains"]]
        mailboxes = [read_mailbox(each).canonical.lower() for each in options["mailboxes"]]
        networks = [ip_network(each, strict=False) for each in options["networks"]]
        hostname = canonical_domain(read_domain(options["hostname"])) if options["hostname"] else ""
    except AddressError as error:
        raise BadInputError(f"--hostname, --local-domain or --mailbox: {error}") from None
    except ValueError as error:
        raise BadInputError(f"--network: {error}") from None
    smarthost = options["smarthost"]
    return {
        "data": Path(options["data"]) if options["data"] else None,
        "hostname": hostname,
        "listen": options.get("listen"),
        "local_domains": frozenset(domains),
        "mailboxes": frozenset(mailboxes),
        "users": dict.fromkeys(options["users"], _password()) if options["users"] else {},
        "networks": tuple(networks),
        "smarthost": smarthost and Smarthost(host=smarthost.host, port=smarthost.port or 587),
        "resolver": options["resolver"],
    }


def _password() -> str:
    password = os.environ.get(PASSWORD)
    if not password:
        raise BadInputError(f"--user needs a password: set {PASSWORD}")
    return password


@click.command(
    "relay",
    epilog=examples(
        "smtpcheck relay --local-domain example.test --mailbox me@example.test",
        "smtpcheck relay --config relay.yaml",
        "smtpcheck relay --listen 127.0.0.1:0:mx --network 127.0.0.0/8 -- pytest tests/mail",
    ),
)
@option(
    "--listen", type=ListenType(), multiple=True,
    help="A port; its role is mx, submission, submissions, pop3 or pop3s; 0 picks one; repeatable.",
)  # fmt: skip
@relay_options
@option(
    "--format", type=click.Choice(["console", "json"]), default="console", show_default=True,
    help="Of the line that tells the ports.",
)  # fmt: skip
@option(
    "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), default="auto", show_default=True,
    help="The event loop; auto takes uvloop where it is installed.",
)  # fmt: skip
@click.argument("program", metavar="[-- COMMAND]", nargs=-1, type=click.UNPROCESSED)
def command(
    format: str,  # noqa: A002
    loop: str,
    program: tuple[str, ...],
    **options: Any,
) -> int:
    """Run a small relay: it receives, queues, delivers and lets mail be picked up.

    Closed by default: on loopback, high ports, a throwaway certificate, relaying for
    authenticated users and listed networks alone. With COMMAND the ports are in its
    environment (SMTPCHECK_RELAY_MX and so on) and the relay stops when it ends.
    """
    return run(_serve(configured(**options), format, program), loop)


def run(work: Coroutine[Any, Any, int], loop: str = "auto") -> int:
    """On uvloop where it is installed, unless told otherwise."""
    import asyncio
    from importlib.util import find_spec

    if loop == "auto":
        loop = "uvloop" if find_spec("uvloop") else "asyncio"
    if loop == "asyncio":
        return asyncio.run(work)
    try:
        import uvloop
    except ImportError:
        raise BadInputError("--loop uvloop: uvloop is not installed") from None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _serve(config: "Config", form: str, program: tuple[str, ...]) -> int:
    import asyncio
    import signal

    from smtpcheck.relay.engine import Engine

    before = os.umask(0o077)  # queue, mail and certificate are for us alone to read
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    async with Engine(config, fault=complain) as engine:
        ports = environment(engine)
        click.echo(_ready(engine, form, ports.get("SMTPCHECK_RELAY_CA_FILE", "")))
        if not program:
            await told.wait()
            return ExitStatus.OK
        return await _alongside(program, ports, told, before)


async def _alongside(program: tuple[str, ...], ports: dict[str, str], told: Any, umask: int) -> int:
    """Run it; its exit status. When we are told to stop, so is it, and killed if it lingers."""
    import asyncio

    try:
        child = await asyncio.create_subprocess_exec(
            *program,
            env={**os.environ, **ports},
            preexec_fn=lambda: os.umask(umask),
        )
    except OSError as error:
        raise BadInputError(f"{program[0]}: {error.strerror}") from None
    ended, stopped = asyncio.ensure_future(child.wait()), asyncio.ensure_future(told.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        child.terminate()
        await asyncio.wait({ended}, timeout=GRACE)
    if not ended.done():
        child.kill()
    status = await ended
    return status if status >= 0 else 128 - status


def environment(engine: "Engine") -> dict[str, str]:
    """What COMMAND gets to know."""
    found = {"SMTPCHECK_RELAY_DATA": str(engine.data)}
    for bound in reversed(engine.ports):
        address = f"[{bound.address}]" if ":" in bound.address else bound.address
        found[f"SMTPCHECK_RELAY_{bound.role.upper()}"] = f"{address}:{bound.port}"
    if engine.root_pem:
        ca_file = engine.data / "ca.pem"
        ca_file.write_bytes(engine.root_pem)
        found["SMTPCHECK_RELAY_CA_FILE"] = str(ca_file)
    return found


def _ready(engine: "Engine", form: str, ca_file: str) -> str:
    import json

    if form == "json":
        return json.dumps(
            {
                "ready": True,
                "hostname": engine.config.hostname,
                "data": str(engine.data),
                "ca_file": ca_file,
                "ports": [
                    {"role": str(b.role), "address": b.address, "port": b.port}
                    for b in engine.ports
                ],
            }
        )
    ports = ", ".join(f"{b.role} {b.address}:{b.port}" for b in engine.ports)
    trust = f"; its CA is {ca_file}" if ca_file else ""
    return f"ready: {ports}; data in {engine.data}{trust}"


def complain(error: BaseException) -> None:
    """A line on standard error; with SMTPCHECK_DEBUG the whole story."""
    import traceback

    from smtpcheck.cli.run import one_line

    click.echo(f"smtpcheck: relay: {type(error).__name__}: {one_line(str(error))}", err=True)
    if os.environ.get("SMTPCHECK_DEBUG"):
        traceback.print_exception(error)
