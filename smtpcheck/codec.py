"""An observation as a file: JSON with a schema version, and back.

Law: what decodes is an Observation in every field; what does not is refused with the path to
the first fault. Bytes are base64 here and nowhere else.
"""

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import msgspec

from smtpcheck.blame import BadInputError
from smtpcheck.facts.observation import SCHEMA, Observation
from smtpcheck.wire.reply import Reply

MAX_OCTETS = 64 * 1024 * 1024
"""Of a file; a run against a hundred ports takes under ten."""


class _Version(msgspec.Struct):
    schema: int


def encode(observation: Observation) -> bytes:
    """JSON, indented, with a final newline; equal observations give equal octets."""
    return msgspec.json.format(msgspec.json.encode(observation), indent=1) + b"\n"


def decode(data: bytes) -> Observation:
    """The observation that `data` holds. Raises BadInputError."""
    if len(data) > MAX_OCTETS:
        raise BadInputError(f"larger than {MAX_OCTETS} octets")
    try:
        version = msgspec.json.decode(data, type=_Version).schema
        if version > SCHEMA:
            raise BadInputError(f"schema {version} of a newer smtpcheck; this one reads {SCHEMA}")
        if version < 1:
            raise BadInputError(f"no saved observation: there is no schema {version}")
        return _sound(msgspec.json.decode(data, type=Observation))
    except msgspec.ValidationError as error:
        raise BadInputError(f"no saved observation: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(f"no JSON, or cut short: {error}") from None


def _sound(observation: Observation) -> Observation:
    """What the types can't say: times have a zone, and a reply has a line."""
    waiting: list[tuple[str, Any]] = [("$", observation)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, datetime) and value.tzinfo is None:
            raise BadInputError(f"no saved observation: a time without zone - at `{path}`")
        if isinstance(value, Reply) and not value.lines:
            raise BadInputError(f"no saved observation: a reply without lines - at `{path}`")
        if isinstance(value, tuple):
            waiting += [(f"{path}[{n}]", each) for n, each in enumerate(value)]
        elif is_dataclass(value):
            waiting += [(f"{path}.{f.name}", getattr(value, f.name)) for f in fields(value)]
    return observation
