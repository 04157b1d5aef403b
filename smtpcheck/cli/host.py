"""`smtpcheck host HOST`."""

from dataclasses import replace
from typing import Any

import click

from smtpcheck.blame import BadInputError
from smtpcheck.cli import files
from smtpcheck.cli.options import examples, report_options, save_options, target_options
from smtpcheck.cli.status import ExitStatus
from smtpcheck.cli.values import EndpointType, expected
from smtpcheck.cli.world import ReportOptions, World
from smtpcheck.wire.endpoint import Endpoint, EndpointError, endpoint, host_name


@click.command(
    "host",
    epilog=examples(
        "smtpcheck host mail.example.org",
        "smtpcheck host mail.example.org:587 --transcript",
        "smtpcheck host 192.0.2.7 --name mail.example.org --ca-file our-ca.pem",
        "smtpcheck host [2001:db8::7]:2525 --port 25 --control mx.example.net",
        "smtpcheck host mail.example.org --format json --save run.json",
    ),
)
@click.argument("host", type=EndpointType())
@target_options
@save_options
@report_options
def command(host: Endpoint, *, save: str | None, redact: bool, **options: Any) -> ExitStatus:
    """Check one mail host on its ports.

    HOST is a name, an IPv4 or IPv6 address, optionally with :PORT. Without a port, 25, 465 and
    587 are checked side by side on every address.
    """
    from smtpcheck import codec
    from smtpcheck.observe.observer import observe_host

    report = _report_options(options)
    for path, name in ((save, "--save"), (report.output, "--output")):
        if path is not None:
            files.check_writable(path, name)
    if redact and save is None:
        raise BadInputError("--redact is about the saved file: give --save FILE with it")
    world = World()
    observation = world.run(
        observe_host(_target(host, options), _circumstances(options), world.progress)
    )
    status = world.show(observation, report)
    if save is not None:
        files.write(save, codec.encode(_redacted(observation) if redact else observation))
    return status


def _report_options(options: dict[str, Any]) -> ReportOptions:
    fields = ReportOptions.__slots__
    return ReportOptions(**{name: options.pop(name) for name in fields})


def _redacted(observation: Any) -> Any:
    from smtpcheck.redact import redacted

    return redacted(observation)


def _target(host: Endpoint, options: dict[str, Any]) -> Any:
    from smtpcheck.facts.host import Port, Role, Security
    from smtpcheck.facts.observation import Target
    from smtpcheck.observe.plan import usual_ports

    ports: dict[int, Port] = {}
    for port in options["ports"]:
        if ports.setdefault(port.number, port) != port:
            raise BadInputError(f"--port {port.number} is given twice, with different roles")
    if host.port is not None and host.port not in ports:
        role, security = expected(host.port)
        own = Port(number=host.port, role=Role(role), security=Security(security), asked=True)
        ports = {host.port: own, **ports}
    return Target(
        given=str(host),
        host=host.host,
        verify=_name(options["name"]) or ("" if host.literal else host.host),
        ports=tuple(ports.values()) or usual_ports(),
        control=str(options["control"] or ""),
    )


def _name(given: str | None) -> str:
    if not given:
        return ""
    try:
        return endpoint(given).host
    except EndpointError as error:
        raise BadInputError(f"--name: {error}") from None


def _circumstances(options: dict[str, Any]) -> Any:
    from smtpcheck.limits import DEFAULT
    from smtpcheck.observe.observer import Circumstances

    if options["only4"] and options["only6"]:
        raise BadInputError("-4 and -6 leave nothing: give one of them")
    if options["key"] and not options["cert"]:
        raise BadInputError("--key goes with --cert FILE")
    families: tuple[str, ...] = ("A", "AAAA")
    if options["only4"] or options["only6"]:
        families = ("A",) if options["only4"] else ("AAAA",)
    if options["source"]:
        families = _families_of(options["source"], families)
    return Circumstances(
        ehlo=_ehlo(options["ehlo"]),
        families=families,
        addresses=options["addresses"],
        source=options["source"] or "",
        resolver=options["resolver"] or "",
        ca_file=options["ca_file"] or "",
        certificate_file=options["cert"] or "",
        key_file=options["key"] or "",
        limits=replace(DEFAULT, run=options["timeout"], connections=options["connections"]),
    )


def _ehlo(given: str | None) -> str:
    """Our name: as told, else the host name when it is a full one; else "" for our address."""
    import socket

    try:
        if given and given.startswith("["):
            literal = endpoint(given)
            if not literal.literal or literal.port is not None:
                raise BadInputError(f"--ehlo: {given!r} is no address literal; write [ADDRESS]")
            return f"[IPv6:{literal.host}]" if ":" in literal.host else f"[{literal.host}]"
        if given:
            return host_name(given)
        name = socket.gethostname()
        return host_name(name) if "." in name else ""
    except EndpointError as error:
        if given:
            raise BadInputError(f"--ehlo: {error}") from None
        return ""


def _families_of(source: str, families: tuple[str, ...]) -> tuple[str, ...]:
    """Only what can be reached from `source`, which must be an address of this machine."""
    import socket

    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((source, 0))
    except OSError as error:
        raise BadInputError(f"--source {source}: {error.strerror}") from None
    kept = tuple(each for each in families if each == ("AAAA" if ":" in source else "A"))
    if not kept:
        raise BadInputError(f"--source {source} is of the other family than -4 or -6 asks for")
    return kept
