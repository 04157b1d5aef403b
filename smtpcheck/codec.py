"""An observation as a file: JSON with a schema version, and back.

Law: what decodes is an Observation in every field; what does not is refused with the path to
the first fault. Bytes are base64 here and nowhere else.
"""

import msgspec

from smtpcheck.facts.observation import SCHEMA, Observation

MAX_OCTETS = 64 * 1024 * 1024
"""Of a file; a run against a hundred ports takes under ten."""


class Unreadable(ValueError):
    """The data is no observation that this version can read; the message says where."""


class _Version(msgspec.Struct):
    schema: int


def encode(observation: Observation) -> bytes:
    """JSON, indented, with a final newline; equal observations give equal octets."""
    return msgspec.json.format(msgspec.json.encode(observation), indent=1) + b"\n"


def decode(data: bytes) -> Observation:
    """The observation that `data` holds. Raises Unreadable."""
    if len(data) > MAX_OCTETS:
        raise Unreadable(f"larger than {MAX_OCTETS} octets")
    try:
        version = msgspec.json.decode(data, type=_Version).schema
        if version > SCHEMA:
            raise Unreadable(f"schema {version} of a newer smtpcheck; this one reads {SCHEMA}")
        return msgspec.json.decode(data, type=Observation)
    except msgspec.ValidationError as error:
        raise Unreadable(f"no saved observation: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"no JSON, or cut short: {error}") from None
