"""What was said on the way of a message, from the JSON of `smtpcheck queue show`."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any


def segments(transcript: Mapping[str, Any], side: str) -> list[bytes]:
    """What `side` (client or server) wrote, one item a write or segment."""
    return [
        b64decode(event["data"])
        for event in transcript["events"]
        if event["side"] == side and event["data"]
    ]


def commands(transcript: Mapping[str, Any]) -> list[str]:
    """The client's lines."""
    return b"".join(segments(transcript, "client")).decode().splitlines()


def turns(transcript: Mapping[str, Any]) -> list[list[str]]:
    """The client's lines, grouped: what came before the server wrote again."""
    groups: list[list[str]] = [[]]
    for event in transcript["events"]:
        if event["side"] == "client":
            groups[-1] += b64decode(event["data"]).decode().splitlines()
        elif event["side"] == "server":
            groups.append([])
    return groups
