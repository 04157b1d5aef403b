"""The server's side of AUTH, one generator a mechanism (RFC 4422 §3; RFC 4616 for PLAIN).

Law: an exchange yields challenges, is sent responses, and returns Credentials or raises
ExchangeError; base64, `*` and line lengths are the session's. Whether a password is right
is decided elsewhere, unless the exchange itself proved it (`proven`).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who says to be whom. `authorization` is "" unless somebody else's name is asked for.

    `proven`: the exchange has checked the secret, as SCRAM does; there is no password then.
    """

    mechanism: str
    username: str
    password: str = field(default="", repr=False)
    authorization: str = ""
    proven: bool = False


class ExchangeError(ValueError):
    """A response that the mechanism can't read, or a proof that is wrong."""


Exchange = Generator[bytes, bytes, Credentials]


@dataclass(frozen=True, slots=True)
class Mechanism:
    """`start` opens an exchange. `server_first`: an initial response makes no sense."""

    start: Callable[[], Exchange]
    server_first: bool = False


def plain() -> Exchange:
    """message = [authzid] NUL authcid NUL passwd (RFC 4616 §2)."""
    parts = _text((yield b"")).split("\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise ExchangeError("malformed PLAIN message")
    authorization, username, password = parts
    return Credentials(
        mechanism="PLAIN",
        username=username,
        password=password,
        authorization="" if authorization == username else authorization,
    )


def login() -> Exchange:
    """draft-murchison-sasl-login: clients know these two prompts by heart."""
    username = _text((yield b"Username:"))
    password = _text((yield b"Password:"))
    if not username or not password:
        raise ExchangeError("empty user name or password")
    return Credentials(mechanism="LOGIN", username=username, password=password)


def _text(response: bytes) -> str:
    try:
        return response.decode()
    except UnicodeDecodeError:
        raise ExchangeError("not UTF-8") from None


MECHANISMS = MappingProxyType({"PLAIN": Mechanism(plain), "LOGIN": Mechanism(login)})
"""What a listener offers unless told otherwise, in this order."""
