"""A listening port: who is let in, what has taken too long, and a stop that keeps its word.

Law: no peer can make it raise, wait for ever, or keep more than its share. One timer looks
after all connections.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from smtpcheck.relay import replies
from smtpcheck.relay.acceptance import Acceptance
from smtpcheck.relay.connection import Connection
from smtpcheck.relay.happening import Observer, SessionInfo
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.wire.reply import Reply

_TICK = 1.0
_BACKLOG = 512
_BUFFER = 64 * 1024
"""For what one read brings; asyncio's own, made anew for each read, costs 15 µs."""


def _silent(_: BaseException) -> None:
    """Nobody asked."""


class SmtpServer:
    """One listener with its connections. `async with` starts and stops it.

    `observe` is asked for an observer at each connection. `fault` hears of exceptions that
    the acceptance let out; the client only hears 451.
    """

    def __init__(
        self,
        listener: ListenerConfig,
        acceptance: Acceptance,
        *,
        observe: Callable[[SessionInfo], Observer | None] | None = None,
        fault: Callable[[BaseException], None] = _silent,
    ) -> None:
        self.listener = listener
        self.acceptance = acceptance
        self.fault = fault
        self.held = 0
        """Octets of content of all connections."""
        self.inflight: set[asyncio.Future[Reply]] = set()
        self.loop: asyncio.AbstractEventLoop
        self.buffer = memoryview(bytearray(_BUFFER))  # emptied in the call that filled it
        self._observe = observe
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._per_client: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._quiet = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises OSError when the address can't be had."""
        self.loop = asyncio.get_running_loop()
        listener = self.listener
        self._server = await self.loop.create_server(
            lambda: Connection(self), listener.address, listener.port, backlog=_BACKLOG
        )
        self._tick()

    @property
    def port(self) -> int:
        """The port that was taken."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self, grace: float = 5.0) -> None:
        """Take nobody new, finish replies in flight, say 421 to the rest. At most `grace`."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.stop()
        await self._emptied(grace)
        for connection in tuple(self._connections):
            connection.give_up(replies.SHUTTING_DOWN)
        await self._emptied(self.listener.limits.linger + 2 * self._interval)
        if self._timer is not None:
            self._timer.cancel()

    async def _emptied(self, within: float) -> None:
        if not self._connections and not self.inflight:
            return
        self._quiet.clear()
        try:
            await asyncio.wait_for(self._quiet.wait(), within)
        except TimeoutError:
            return

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    # What a connection calls.

    def admit(self, connection: Connection) -> bool:
        """Count it in; False when there is no room, for anybody or for this client."""
        self._connections.add(connection)
        limits, key = self.listener.limits, connection.key
        room = len(self._connections) <= limits.connections
        if self._stopping or not room or self._per_client[key] >= limits.connections_per_client:
            return False
        self._per_client[key] += 1
        connection.counted = True
        if self._observe is not None:
            connection.info.observer = self._observe(connection.info)
        return True

    def forget(self, connection: Connection) -> None:
        """It is gone."""
        self._connections.discard(connection)
        if connection.counted:
            self._per_client[connection.key] -= 1
            if not self._per_client[connection.key]:
                del self._per_client[connection.key]
            self.acceptance.disconnected(connection.info)
        if not self._connections and not self.inflight:
            self._quiet.set()

    # Time.

    @property
    def _interval(self) -> float:
        limits = self.listener.limits
        shortest = min(limits.handshake, limits.idle, limits.data, limits.session, limits.linger)
        return min(_TICK, shortest / 4)

    def _tick(self) -> None:
        now = self.loop.time()
        for connection in tuple(self._connections):
            connection.check(now)
        self._timer = self.loop.call_later(self._interval, self._tick)
