"""HOST, HOST:PORT, [IPV6]:PORT as people type them, read strictly: a name, or an address.

Law: one clear line says what is wrong with what was typed; names come out as A-labels
(RFC 5890 §2.3.2.1), lower-case and without the final dot.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")


class EndpointError(ValueError):
    """What was typed is no endpoint; the message is for people."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name or an address literal without brackets, and a port if one was given."""

    host: str
    port: int | None = None

    @property
    def literal(self) -> bool:
        """Whether `host` is an IP address."""
        return is_literal(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def is_literal(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def endpoint(text: str) -> Endpoint:
    """Read an endpoint. Raises EndpointError."""
    if is_literal(text):
        return Endpoint(str(ip_address(text)))
    if text.startswith("["):
        inside, closed, rest = text[1:].partition("]")
        inside = inside.removeprefix("IPv6:")
        if not closed or not is_literal(inside) or (rest and not rest.startswith(":")):
            raise EndpointError(f"{text!r} is not an address in brackets; write [ADDRESS]:PORT")
        return Endpoint(str(ip_address(inside)), port(rest[1:]) if rest else None)
    host, colon, number = text.partition(":")
    if ":" in number:
        raise EndpointError(f"{text!r} is not an IPv6 address; write [ADDRESS]:PORT")
    name = str(ip_address(host)) if is_literal(host) else host_name(host)
    return Endpoint(name, port(number) if colon else None)


def port(text: str) -> int:
    """A port number from 1 to 65535. Raises EndpointError."""
    if not _PORT.match(text) or not 1 <= int(text) <= 65535:
        raise EndpointError(f"{text!r} is not a port; give a number from 1 to 65535")
    return int(text)


def host_name(text: str) -> str:
    """A host name as A-labels, lower-case, without final dot. Raises EndpointError.

    Underscores pass: some private zones have them, and a tool for faults must be able to ask.
    """
    name = text.removesuffix(".").lower()
    if not name.isascii():
        name = _a_labels(text, name)
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.match(label) for label in labels):
        raise EndpointError(f"{text!r} is not a host name or address")
    if labels[-1].isdigit():
        raise EndpointError(f"{text!r} is not an IPv4 address: four numbers up to 255 make one")
    return name


def _a_labels(given: str, name: str) -> str:
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise EndpointError(f"{given!r} is not an internationalised host name") from None
