"""The options that commands share, each also an environment variable SMTPCHECK_NAME."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from smtpcheck.cli.values import AddressType, DurationType, EndpointType, PortType, SeverityType

F = TypeVar("F", bound=Callable[..., Any])

READABLE = click.Path(exists=True, dir_okay=False, readable=True)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """`click.option` that also reads SMTPCHECK_<LONG NAME>."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "SMTPCHECK_" + long.strip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **settings)


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order of `--help`."""

    def decorate(function: F) -> F:
        for each in reversed(options):
            function = each(function)
        return function

    return decorate


def examples(*lines: str) -> str:
    """An epilog that shows how a command is used."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


target_options = together(
    option(
        "--port", "-p", "ports", type=PortType(), multiple=True,
        help="A port with its role (mx, submission, submissions) and security (none, starttls, "
        "implicit); repeatable. Default: 25, 465 and 587.",
    ),
    option("--name", "-n", metavar="NAME", help="Verify this name and send it as SNI."),
    option(
        "--ehlo", metavar="NAME",
        help="What to call ourselves. Default: our host name, or our address.",
    ),
    option(
        "--address", "-a", "addresses", type=AddressType(), multiple=True,
        help="Connect here instead of asking DNS; repeatable.",
    ),
    click.option("-4", "only4", is_flag=True, help="IPv4 only."),
    click.option("-6", "only6", is_flag=True, help="IPv6 only."),
    option("--source", type=AddressType(), help="Connect from this address of ours."),
    option("--ca-file", type=READABLE, help="Trust these CAs (PEM) instead of the system's."),
    option("--cert", type=READABLE, help="Client certificate (PEM, with its chain)."),
    option("--key", type=READABLE, help="Its key, when it is in another file."),
    option("--resolver", metavar="HOST[:PORT]", help="Ask this name server (an address)."),
    option(
        "--control", type=EndpointType(),
        help="A server known to be good, asked when another one does not answer: is it them or us?",
    ),
    option(
        "--timeout", "-t", type=DurationType(), default="90s", show_default=True,
        help="Of the whole run.",
    ),
    option(
        "--connections", type=click.IntRange(1, 100), default=5, show_default=True,
        help="At once, in the whole run.",
    ),
)  # fmt: skip

report_options = together(
    option(
        "--fail-on", type=SeverityType(), default="error", show_default=True,
        help="Exit with 1 from this severity on.",
    ),
    option(
        "--on-inconclusive", type=click.Choice(["pass", "fail"]),
        help="Exit with 0 or 1, instead of 3, when nothing decisive could be observed.",
    ),
    option(
        "--format", "-f", type=click.Choice(["console", "json"]), default="console",
        show_default=True, help="Of the report.",
    ),
    option("--with-observation", is_flag=True, help="JSON: include all that was observed."),
    option("--output", "-o", type=click.Path(dir_okay=False), help="Write the report to a file."),
    option("--transcript", is_flag=True, help="Show every dialogue."),
    option("--quiet", "-q", is_flag=True, help="One line."),
    option("--no-color", is_flag=True, help="No colours; so does NO_COLOR."),
)  # fmt: skip

save_options = together(
    option(
        "--save", type=click.Path(dir_okay=False),
        help="Keep the observation for `smtpcheck judge`.",
    ),
    option("--redact", is_flag=True, help="Save it without names, addresses and certificates."),
)  # fmt: skip
