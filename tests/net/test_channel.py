"""What a peer said before it reset the connection is read, though our write meets the reset."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
import uvloop

from smtpcheck.net.channel import Channel, Overrun

Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    """Both event loops that the program runs on."""
    made: Loop = request.param
    return made


async def reset_by(listener: socket.socket, words: bytes, budget: int = 1000) -> Channel:
    """A channel that has written to a peer that said `words` and reset, nothing of it read yet."""
    address = listener.getsockname()
    _, channel = await asyncio.get_running_loop().create_connection(
        lambda: Channel(budget), *address
    )
    peer, _ = listener.accept()
    peer.sendall(words)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    channel.write(b"EHLO us.test\r\n")
    return channel


def test_the_last_words_are_read_and_then_the_reset_is_told(loop: Loop) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            channel = await reset_by(listener, b"421 4.3.2 going down\r\n")
            assert await channel.read() == b"421 4.3.2 going down\r\n"
            with pytest.raises(OSError):  # noqa: PT011 - a reset, or a broken pipe
                await channel.read()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_last_words_have_the_same_budget_as_all_others(loop: Loop) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            channel = await reset_by(listener, b"x" * 2000)
            with pytest.raises(Overrun):
                await channel.read()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
