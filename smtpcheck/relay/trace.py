"""What a message carries of its way: its identifier and the Received field (RFC 5321 §4.4).

Law: nothing that the client said gets into a header unless it is printable ASCII without
structure of its own.
"""

import re
from email.utils import format_datetime
from ipaddress import ip_address
from secrets import randbits
from time import time_ns

from smtpcheck.facts.delivery import Envelope

_UNFIT = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_MAX_HELO = 255


def new_message_id() -> str:
    """Unique, and later ones sort later."""
    return f"{time_ns() // 1000:014X}{randbits(24):06X}"


def protocol(*, extended: bool, utf8: bool, secured: bool, authenticated: bool) -> str:
    """The `with` keyword (RFC 3848; RFC 6531 §4.3 for the UTF8 ones)."""
    if not extended:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + "S" * secured + "A" * authenticated


def received(envelope: Envelope, hostname: str, tls: str = "") -> bytes:
    """The Received field with its CRLF. One recipient is named, several would tell on Bcc.

    `hostname` is ours; `tls` (version and cipher) becomes a comment.
    """
    from_ = _UNFIT.sub("?", envelope.helo)[:_MAX_HELO] or "unknown"
    lines = [f"Received: from {from_} ({_literal(envelope.peer)})"]
    if tls:
        lines.append(f"(using {_UNFIT.sub(' ', tls)})")
    by = f"by {hostname} with {envelope.protocol} id {envelope.message_id}"
    if len(envelope.forward_paths) == 1 and envelope.forward_paths[0].address.isascii():
        lines += [by, f"for <{envelope.forward_paths[0].address}>"]
    else:
        lines.append(by)
    lines[-1] += ";"
    lines.append(format_datetime(envelope.received))
    return "\r\n\t".join(lines).encode("ascii", "replace") + b"\r\n"


def _literal(peer: str) -> str:
    """The TCP-info (RFC 5321 §4.4): an address literal."""
    try:
        return f"[IPv6:{peer}]" if ip_address(peer).version == 6 else f"[{peer}]"
    except ValueError:
        return "unknown"
