"""What a next hop can take of a message: as it is, downgraded, or not at all.

Law: what the hop offers is never exceeded. Only content is rewritten, never an address, and
never what a signature covers by its octets (multipart/signed); what can't be is refused.
"""

from binascii import b2a_base64, b2a_qp
from collections.abc import Iterable
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay.bounce import header
from smtpcheck.wire.reply import Reply, reply

NOT_CONVERTIBLE = reply(
    554, "5.6.3 The next host takes no 8-bit content, and it can't be converted"
)
NEEDS_SMTPUTF8 = reply(553, "5.6.7 The next host takes no internationalised address or header")
NEEDS_REQUIRETLS = reply(550, "5.7.30 The next host does not promise REQUIRETLS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One message for some of its recipients, about to be handed over."""

    envelope: Envelope
    content: bytes
    forward_paths: tuple[ForwardPath, ...]

    def to(self, forward_paths: Iterable[ForwardPath]) -> "Mail":
        """The same for others."""
        return replace(self, forward_paths=tuple(forward_paths))

    @property
    def needs_smtputf8(self) -> bool:
        """Whether an address or, as the sender declared, the header is not ASCII."""
        envelope = self.envelope
        addresses = (envelope.reverse_path, *(path.address for path in self.forward_paths))
        if not all(address.isascii() for address in addresses):
            return True
        return envelope.smtputf8 and not header(self.content).isascii()


def fitted(mail: Mail, offers: frozenset[str]) -> Mail | Reply:
    """`mail` as a hop with these extensions can take it, or our refusal."""
    if mail.needs_smtputf8 and "SMTPUTF8" not in offers:
        return NEEDS_SMTPUTF8
    if mail.envelope.requiretls and "REQUIRETLS" not in offers:
        return NEEDS_REQUIRETLS
    if "8BITMIME" in offers or mail.content.isascii():
        return mail
    content = seven_bit(mail.content)
    if content is None:
        return NOT_CONVERTIBLE
    return replace(mail, content=content, envelope=replace(mail.envelope, eight_bit=False))


def seven_bit(content: bytes) -> bytes | None:
    """`content` in ASCII, its 8-bit parts encoded (RFC 6152 §3), or None where that can't be."""
    try:
        return _converted(content)
    except Exception:  # the email package raises many kinds on what is not quite mail
        return None


def _converted(content: bytes) -> bytes | None:
    message = message_from_bytes(content, policy=policy.compat32)
    for part in message.walk():
        if part.get_content_type() in ("multipart/signed", "multipart/encrypted"):
            return None
        if part.is_multipart():
            _relabel(part, "7bit")
        elif not _encode(part):
            return None
    written = BytesIO()
    form = policy.compat32.clone(linesep="\r\n", max_line_length=0)
    BytesGenerator(written, mangle_from_=False, maxheaderlen=0, policy=form).flatten(message)
    octets = written.getvalue()
    return octets if octets.isascii() else None


def _encode(part: Message) -> bool:
    """One leaf; whether it is ASCII now."""
    octets = part.get_payload(decode=True)
    if str(part.get("Content-Transfer-Encoding", "")).lower() in ("base64", "quoted-printable"):
        return True
    if not isinstance(octets, bytes):
        return False
    if octets.isascii():
        return True
    if part.get_content_maintype() == "text":
        part.set_payload(b2a_qp(octets, istext=True).decode("ascii"))
        _relabel(part, "quoted-printable")
    else:
        pieces = (octets[at : at + 57] for at in range(0, len(octets), 57))
        lines = (b2a_base64(piece, newline=False) + b"\r\n" for piece in pieces)
        part.set_payload(b"".join(lines).decode("ascii"))
        _relabel(part, "base64")
    return True


def _relabel(part: Message, encoding: str) -> None:
    if "Content-Transfer-Encoding" in part:
        part.replace_header("Content-Transfer-Encoding", encoding)
    elif not part.is_multipart():
        part["Content-Transfer-Encoding"] = encoding
