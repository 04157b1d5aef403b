"""The reply to EHLO, as a list of extensions (RFC 5321 §4.1.1.1).

Law: keywords are upper-cased once, here; order and duplicates are kept, they are facts.
"""

import re
from dataclasses import dataclass

from smtpcheck.wire.reply import Reply

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")


@dataclass(frozen=True, slots=True)
class Extension:
    """One keyword of an EHLO reply with its parameters as sent."""

    keyword: str
    parameters: tuple[str, ...] = ()

    @property
    def legal(self) -> bool:
        """Whether the keyword fits the grammar of RFC 5321 §4.1.1.1.

        `AUTH=PLAIN` (Postfix with broken_sasl_auth_clients) is read as AUTH and legal:
        it stands there for clients older than RFC 2554, beside the proper line.
        """
        return bool(_KEYWORD.match(self.keyword))

    def __str__(self) -> str:
        return " ".join((self.keyword, *self.parameters))


def extensions(reply: Reply) -> tuple[Extension, ...]:
    """What the lines after the first offer; empty unless the reply is positive."""
    if not reply.positive:
        return ()
    return tuple(_extension(line) for line in reply.lines[1:] if line.strip())


def _extension(line: str) -> Extension:
    if line[:5].upper() == "AUTH=":
        line = "AUTH " + line[5:]
    keyword, *parameters = line.split()
    return Extension(keyword.upper(), tuple(parameters))
