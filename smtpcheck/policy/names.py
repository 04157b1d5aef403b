"""Does a certificate name the host that was asked for (RFC 9525 §6.3 and §6.4, RFC 7817 §3)?

Law: the common name is never consulted here; a wildcard is the whole left-most label and
stands for exactly one; an address is compared with iPAddress entries and nothing else.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address


def names_host(host: str, names: Iterable[str], addresses: Iterable[str] = ()) -> bool:
    """Whether one of the dNSName `names`, or of the iPAddress `addresses`, fits `host`.

    `host` is a domain name (U-labels are converted) or an IP literal, with or without brackets.
    """
    if literal := _address(host):
        return any(_address(entry) == literal for entry in addresses)
    return any(fits(host, name) for name in names)


def fits(host: str, name: str) -> bool:
    """Whether the dNSName `name`, perhaps a wildcard, fits the domain name `host`."""
    wanted, presented = _labels(host), _labels(name)
    if not wanted or not presented:
        return False
    if presented[0] != "*":
        return wanted == presented
    return len(presented) > 1 and wanted[1:] == presented[1:]


def a_label(name: str) -> str:
    """`name` in lower-case A-labels and without a final dot; "" when IDNA can't express it."""
    name = name.strip().removesuffix(".")
    if name.isascii():
        return name.lower()
    import idna  # its tables are large, and almost no host needs them

    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


def _labels(name: str) -> list[str]:
    labels = a_label(name).split(".")
    if not all(labels) or any("*" in label for label in labels[1:]):
        return []
    return labels if labels[0] == "*" or "*" not in labels[0] else []


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return ip_address(text)
    except ValueError:
        return None
