"""What we rely on in aiosmtplib's protocol class, and why diagnosis has a client of its own.

Each test holds one fact of the pinned version range. When one fails after an update, read
docs/architecture.md ("The client") again before changing it.
"""

import asyncio

import aiosmtplib
import pytest
from aiosmtplib.protocol import SMTPProtocol

from smtpcheck.net.mainstream import TappedProtocol
from smtpcheck.net.tap import Tap
from tests.net.peer import Behaviour, peer, says


def talk(behaviour: Behaviour, *commands: bytes) -> tuple[list[object], bytes]:
    """Greeting and replies (or exceptions), and all octets that the tap saw of the server."""

    async def main() -> tuple[list[object], bytes]:
        tap = Tap(100_000)
        async with peer(behaviour) as port:
            _, protocol = await asyncio.get_running_loop().create_connection(
                lambda: TappedProtocol(tap), "127.0.0.1", port
            )
            heard: list[object] = [await attempt(protocol.read_response(timeout=1))]
            for command in commands:
                heard.append(await attempt(protocol.execute_command(command, timeout=1)))
            if protocol.transport is not None:
                protocol.transport.close()
        seen = b"".join(e.data for e in tap.transcript().events if e.side == "server")
        return heard, seen

    return asyncio.run(main())


async def attempt(work: object) -> object:
    try:
        code, message = await work  # type: ignore[misc]
    except aiosmtplib.SMTPException as error:
        return type(error).__name__
    return code, message


def test_all_inbound_plaintext_passes_data_received_and_all_outbound_passes_write() -> None:
    heard, seen = talk(says(b"250-a\r\n250 DSN\r\n"), b"EHLO x")
    assert heard == [(220, "peer.test ESMTP"), (250, "a\nDSN")]
    assert seen == b"220 peer.test ESMTP\r\n250-a\r\n250 DSN\r\n"


def test_the_smtp_class_can_not_be_given_another_protocol() -> None:
    """It names SMTPProtocol inside a private method; hence we drive the protocol ourselves."""
    assert not any("protocol" in name for name in aiosmtplib.SMTP.__init__.__code__.co_varnames)
    assert issubclass(TappedProtocol, SMTPProtocol)


def test_a_mixed_reply_is_reported_by_its_last_code_without_a_word() -> None:
    heard, _ = talk(says(b"250-a\r\n550 b\r\n"), b"EHLO x")
    assert heard[1] == (550, "a\nb")


def test_a_bare_lf_passes_unnoticed() -> None:
    heard, _ = talk(says(b"250 a\n"), b"EHLO x")
    assert heard[1] == (250, "a")


def test_a_second_reply_in_one_segment_answers_the_next_command() -> None:
    """Why our own parser, not theirs, says which reply belongs to which command."""
    heard, _ = talk(says(b"250 first\r\n550 stray\r\n", b"250 second\r\n"), b"NOOP", b"RSET")
    assert heard[1:] == [(250, "first"), (550, "stray")]


def test_after_a_malformed_reply_later_commands_fail_too() -> None:
    heard, seen = talk(says(b"nonsense\r\n", b"250 fine\r\n"), b"NOOP", b"RSET")
    assert heard[1:] == ["SMTPResponseException", "SMTPResponseException"]
    assert seen.endswith(b"250 fine\r\n"), "the tap saw what the client could not use"


@pytest.mark.parametrize("size", [64 * 1024])
def test_long_replies_are_cut_off(size: int) -> None:
    heard, _ = talk(
        says(b"250-" + b"x" * 400 + b"\r\n" + b"250-y\r\n" * size + b"250 z\r\n"), b"NOOP"
    )
    assert heard[1] == "SMTPResponseException"
