"""Paths and mailboxes, as text becomes values (RFC 5321 §4.1.2, RFC 6531 §3.3).

Law: what isn't in the grammar is an AddressError, never a guess. A local part is held
unquoted and written with the least quoting; a domain is held as sent, without a final dot;
whoever compares uses `canonical`.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

MAX_LOCAL_PART = 64
"""Octets (RFC 5321 §4.5.3.1.1)."""
MAX_DOMAIN = 255
"""Octets (RFC 5321 §4.5.3.1.2)."""
MAX_PATH = 256
"""Octets with the angle brackets, without a source route (RFC 5321 §4.5.3.1.3)."""
MAX_LABEL = 63
"""Octets (RFC 1035 §2.3.4)."""


class AddressError(ValueError):
    """A path or mailbox outside the grammar; its text is fit for a reply."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`local_part` without quotes; `domain` may be a literal in brackets.

    The domain is empty for `<Postmaster>` alone (RFC 5321 §4.5.1).
    """

    local_part: str
    domain: str

    @property
    def canonical(self) -> str:
        """For comparing: the domain in lower case, the local part as it is (§2.4)."""
        return str(Mailbox(self.local_part, canonical_domain(self.domain)))

    def __str__(self) -> str:
        local_part = self.local_part
        if not _DOT_STRING.fullmatch(local_part):
            local_part = '"' + _SPECIAL.sub(r"\\\g<0>", local_part) + '"'
        return f"{local_part}@{self.domain}" if self.domain else local_part


@dataclass(frozen=True, slots=True)
class Path:
    """What stands between angle brackets. No mailbox: the null path.

    `source_route` is recognised and has no effect (RFC 5321 appendix C).
    """

    mailbox: Mailbox | None
    source_route: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The mailbox with the least quoting, "" for the null path."""
        return str(self.mailbox) if self.mailbox else ""


# atext (RFC 5322 §3.2.3) and Dot-string; UTF8-non-ascii joins both (RFC 6531 §3.3).
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT_STRING_ABNF = rf"{_ATOM}(?:\.{_ATOM})*"
# Quoted-string = DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE
_QUOTED_ABNF = r'"(?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])*"'
# sub-domain = Let-dig [Ldh-str]; a final dot is harmless and dropped
_LABEL = r"[A-Za-z0-9\x80-\U0010ffff](?:-*[A-Za-z0-9\x80-\U0010ffff])*"
_DOMAIN_ABNF = rf"{_LABEL}(?:\.{_LABEL})*"
# address-literal = "[" *dcontent "]", looked at closely by _literal
_LITERAL_ABNF = r"\[[!-Z^-~]*\]"
# A-d-l = At-domain *( "," At-domain )
_ROUTE_ABNF = rf"@{_DOMAIN_ABNF}(?:,@{_DOMAIN_ABNF})*"

_DOT_STRING = re.compile(_DOT_STRING_ABNF)
_SPECIAL = re.compile(r'["\\]')
_QUOTED_PAIR = re.compile(r"\\(.)")
_DOMAIN = re.compile(_DOMAIN_ABNF)
_MAILBOX = re.compile(
    rf"(?P<local>{_DOT_STRING_ABNF}|{_QUOTED_ABNF})@(?:(?P<domain>{_DOMAIN_ABNF})\.?|(?P<literal>{_LITERAL_ABNF}))"
)
# Path = "<" [ A-d-l ":" ] Mailbox ">"
_PATH = re.compile(rf"<(?:(?P<route>{_ROUTE_ABNF}):)?{_MAILBOX.pattern}>")
_POSTMASTER = re.compile(r"<(postmaster)>", re.IGNORECASE)


def read_path(text: str) -> tuple[Path, str]:
    """The path that opens `text`, and what follows it. Raises AddressError."""
    if text.startswith("<>"):
        return Path(None), text[2:]
    if found := _PATH.match(text):
        mailbox = _mailbox(found)
        route = found["route"]
        return Path(mailbox, tuple(route[1:].split(",@")) if route else ()), text[found.end() :]
    if found := _POSTMASTER.match(text):
        return Path(Mailbox(found[1], "")), text[found.end() :]
    if not text.startswith("<"):
        raise AddressError("an address stands in angle brackets")
    raise AddressError("malformed address")


def read_mailbox(text: str) -> Mailbox:
    """`text` as one mailbox, without brackets. Raises AddressError."""
    found = _MAILBOX.fullmatch(text)
    if found is None:
        raise AddressError("malformed address")
    return _mailbox(found)


def read_domain(text: str) -> str:
    """`text` as a domain or address literal, without a final dot. Raises AddressError."""
    if text.startswith("["):
        return _literal(text)
    domain = text.removesuffix(".")
    if not _DOMAIN.fullmatch(domain):
        raise AddressError("malformed domain")
    return _measured(domain)


def canonical_domain(domain: str) -> str:
    """For comparing: lower case, no final dot, IP literals in their shortest form."""
    if domain.startswith("["):
        tag, colon, address = domain[1:-1].rpartition("IPv6:")
        return f"[{tag}{colon}{address.lower()}]"
    return domain.removesuffix(".").lower()


def _mailbox(found: re.Match[str]) -> Mailbox:
    local, domain = found["local"], found["domain"]
    domain = _literal(found["literal"]) if domain is None else _measured(domain)
    octets = len(local) if local.isascii() else _octets(local)
    if octets > MAX_LOCAL_PART:
        raise AddressError(f"the local part is longer than {MAX_LOCAL_PART} octets")
    if octets + len(domain.encode()) + 3 > MAX_PATH:
        raise AddressError(f"the address is longer than {MAX_PATH} octets")
    if local[0] == '"':
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return Mailbox(local, domain)


def _octets(text: str) -> int:
    """The length in UTF-8. Controls and spaces beyond ASCII are nobody's name."""
    if not text.isprintable():
        raise AddressError("unprintable character")
    return len(text.encode())


def _measured(domain: str) -> str:
    ascii_ = domain.isascii()
    if (len(domain) if ascii_ else _octets(domain)) > MAX_DOMAIN:
        raise AddressError(f"the domain is longer than {MAX_DOMAIN} octets")
    if len(domain) > MAX_LABEL and any(len(label) > MAX_LABEL for label in domain.split(".")):
        raise AddressError(f"a label of the domain is longer than {MAX_LABEL} octets")
    return domain


def _literal(text: str) -> str:
    """IPv4-address-literal or IPv6-address-literal (RFC 5321 §4.1.3), in its shortest form.

    No other Standardized-tag was ever registered.
    """
    inner = text[1:-1]
    try:
        if text[-1:] != "]":
            raise AddressError("malformed address literal")
        if inner[:5].lower() != "ipv6:":
            return f"[{IPv4Address(inner)}]"
        if "%" in inner:  # a zone is this machine's affair, not the sender's
            raise AddressError("malformed address literal")
        return f"[IPv6:{IPv6Address(inner[5:])}]"
    except AddressValueError:
        raise AddressError("malformed address literal") from None
