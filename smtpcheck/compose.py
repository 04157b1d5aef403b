"""The test message: found again by its token, harmless to whoever opens it.

Law: the same arguments make the same octets; CRLF line ends, lines of at most 998 octets;
no argument can add a header line or an address.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

TOKEN_HEADER = "X-Smtpcheck-Token"  # noqa: S105 - a header name
"""Where the token stands, for whoever looks the message up."""

TEXT = """\
This is a test message sent by smtpcheck to learn whether mail arrives.
Nothing needs to be done; it can be deleted.

Token: {token}
"""


def new_token() -> str:
    """A token that no other message has."""
    return secrets.token_hex(12)


def compose(
    *,
    sender: str,
    recipients: Sequence[str],
    token: str,
    date: datetime,
    hostname: str,
    subject: str = "smtpcheck test message",
    text: str = "",
) -> bytes:
    """A plain text message. `date` is aware; Message-ID is TOKEN@HOSTNAME.

    An address that is not ASCII makes headers in UTF-8: the message then needs SMTPUTF8
    (RFC 6532). Raises ValueError for an argument that would break out of its header.
    """
    addresses = (sender, *recipients)
    for value in (*addresses, token, hostname, subject):
        _require_one_line(value)
    for address in addresses:
        _require_address(address)
    international = not "".join((*addresses, hostname)).isascii()
    message = EmailMessage(SMTPUTF8 if international else SMTP)
    message["Date"] = format_datetime(date)
    message["Message-ID"] = f"<{token}@{hostname}>"
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message[TOKEN_HEADER] = token
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text or TEXT.format(token=token))
    return message.as_bytes()


def _require_one_line(value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"{value!r}: a control character in a header")


def _require_address(address: str) -> None:
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or set(address) & set(' ,;:<>()[]\\"'):
        raise ValueError(f"{address!r}: not an address of the form local@domain")
