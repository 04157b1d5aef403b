"""A delivery status notification (RFC 3464) as whoever gets it reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

from flufl.bounce import all_failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn:
    """Its fields. `about` is of the message, `recipients` has the fields of each recipient."""

    about: Message
    recipients: Sequence[Message]
    returned: str
    """Content type of what came back of the message."""
    permanent: frozenset[str]
    """Who failed for good, as a list manager's reader of bounces understands it."""
    temporary: frozenset[str]

    @property
    def actions(self) -> dict[str, str]:
        """What was done, by final recipient."""
        return {
            field(each, "Final-Recipient").partition(";")[2].strip(): field(each, "Action").lower()
            for each in self.recipients
        }


def read(octets: bytes) -> Dsn:
    """Fails where it is no such notification."""
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/report", octets.decode(errors="replace")
    assert message["Auto-Submitted"]
    _, status, returned = message.iter_parts()
    assert status.get_content_type() == "message/delivery-status"
    blocks = status.get_payload()
    assert isinstance(blocks, list)
    about, *recipients = (block for block in blocks if isinstance(block, Message))
    temporary, permanent = all_failures(message)
    return Dsn(
        about=about,
        recipients=[each for each in recipients if each.keys()],
        returned=returned.get_content_type(),
        permanent=frozenset(each.decode() for each in permanent),
        temporary=frozenset(each.decode() for each in temporary),
    )


def field(fields: Message, name: str) -> str:
    """Its value on one line, "" without."""
    return " ".join(str(fields.get(name, "")).split())
