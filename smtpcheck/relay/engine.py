"""The relay: listeners, queue, deliveries and mailboxes as one thing that starts and stops.

Law: nothing is accepted before the queue is open, nothing is delivered after it is closed,
and a stop loses nothing. The queue's clock runs evenly, whatever happens to the wall's.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from OpenSSL import SSL

from smtpcheck.blame import BadInputError
from smtpcheck.facts.delivery import Attempt
from smtpcheck.facts.host import Role, Security
from smtpcheck.limits import Limits
from smtpcheck.net.tls import client_tls, server_context
from smtpcheck.policy.route import Own
from smtpcheck.relay.agent import LIMITS, Agent, reached
from smtpcheck.relay.assess import Office
from smtpcheck.relay.config import Config, Listen, PortRole, maildir
from smtpcheck.relay.control import Control, Desk
from smtpcheck.relay.dispatch import Dispatcher
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.relay.pop3_listener import Pop3Config
from smtpcheck.relay.pop3_server import Pop3Server
from smtpcheck.relay.queue import LockedError, QueueError
from smtpcheck.relay.reception import Reception
from smtpcheck.relay.server import SmtpServer
from smtpcheck.relay.spool import Spool
from smtpcheck.relay.sqlite_queue import SqliteQueue
from smtpcheck.relay.throwaway import ThrowawayCA
from smtpcheck.relay.transcripts import Transcripts

GRACE = 10.0
"""Seconds that transactions under way get at a stop."""
PRUNE = 3600.0
"""Seconds between two looks for what may be forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A port that is open."""

    address: str
    port: int
    role: PortRole


def even_clock() -> Callable[[], float]:
    """Seconds since the epoch as of now, and from here on with the monotonic clock."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class Engine:
    """One relay. `async with` starts and stops it; `serving` False works the queue alone."""

    def __init__(
        self,
        config: Config,
        *,
        serving: bool = True,
        limits: Limits = LIMITS,
        now: Callable[[], float] | None = None,
        fault: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self.config, self._serving, self._limits = config, serving, limits
        self.now = now or even_clock()
        self._fault = fault
        self._servers: list[tuple[Listen, SmtpServer | Pop3Server]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._parts: AsyncExitStack = AsyncExitStack()
        self.queue: SqliteQueue
        self.transcripts: Transcripts | None = None
        self.agent: Agent
        self.dispatcher: Dispatcher
        self.reception: Reception
        self.root_pem = b""
        """The root of the throwaway certificate; empty where one was given."""

    @property
    def ports(self) -> tuple[Bound, ...]:
        """All that is open."""
        return tuple(
            Bound(address=listen.address, port=server.port, role=listen.role)
            for listen, server in self._servers
        )

    def port(self, role: PortRole) -> int:
        """The first open port of that role."""
        return next(bound.port for bound in self.ports if bound.role is role)

    async def start(self) -> None:
        """Raises BadInputError for what the configuration asks and can't be had."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        config = self.config
        self.data = self._data()
        if not (self.data / "queue.db").exists() and any(Spool(self.data / "spool").names()):
            raise BadInputError(
                f"{self.data}: spool/ holds messages and there is no queue.db that knows them; "
                "restore it, or move spool/ away"
            )
        try:
            self.queue = SqliteQueue(self.data, min_free=config.min_free)
            self._parts.push_async_callback(self.queue.close)
            if config.transcripts:
                self.transcripts = Transcripts(self.data)
                self._parts.push_async_callback(self.transcripts.close)
        except (LockedError, QueueError) as error:
            raise BadInputError(str(error)) from None
        except OSError as error:
            raise BadInputError(f"{self.data}: {error.strerror}") from None
        now = self.now()
        await self.queue.recover(now, config.schedule.furthest())
        office = Office(
            hostname=config.hostname,
            postmaster=config.postmaster,
            schedule=config.schedule,
            chance=random.random,
        )
        trust = client_tls(ca_file=str(config.trust) if config.trust else "")
        # Which endpoints are ours is known only once they are bound.
        self.agent = Agent(config, self.data, trust, limits=self._limits, told=self._begun)
        self._parts.push_async_callback(self.agent.close)
        self.dispatcher = Dispatcher(
            self.queue,
            office,
            self.agent.deliver,
            reached=reached,
            local=config.is_local,
            now=self.now,
            concurrency=config.concurrency,
            connections=config.connections,
            over=self._over,
            fault=self._fault,
        )
        self._parts.push_async_callback(self._end_tasks)
        self.reception = Reception(
            config, self.queue, self.transcripts, self.now, self.dispatcher.accepted
        )
        if self._serving:
            await self._listen()
            self._tasks.append(asyncio.create_task(self._prune()))
            self._tasks.append(asyncio.create_task(self.dispatcher.run()))
        desk = Desk(self.queue, self.transcripts, now=self.now, wake=self.dispatcher.wake)
        control = Control(self.data, desk)
        await control.start()
        self._parts.push_async_callback(control.close)

    def _data(self) -> Path:
        if self.config.data is not None:
            return self.config.data
        directory = TemporaryDirectory(prefix="smtpcheck-relay-")
        self._parts.callback(directory.cleanup)
        return Path(directory.name)

    async def work(self) -> None:
        """Deliver what is due now, and return when it is done."""
        await self.dispatcher.run(until_idle=True)

    # Listeners.

    async def _listen(self) -> None:
        context = self._context()
        for listen in self.config.listen:
            server = self._server(listen, context)
            try:
                await server.start()
            except OSError as error:
                why = error.strerror or str(error)
                raise BadInputError(f"can't listen on {listen}: {why}") from None
            self._servers.append((listen, server))
        endpoints = frozenset((bound.address, bound.port) for bound in self.ports)
        self.agent.own = Own(names=frozenset({self.config.hostname}), endpoints=endpoints)

    def _server(self, listen: Listen, context: SSL.Context) -> SmtpServer | Pop3Server:
        config = self.config
        secure = listen.role in (PortRole.SUBMISSIONS, PortRole.POP3S)
        usual = Security.IMPLICIT if secure else Security.STARTTLS
        security = listen.security or usual
        if not listen.role.mail:
            pop3 = Pop3Config(
                address=listen.address,
                port=listen.port,
                security=security,
                context=context,
                login_in_clear=config.auth_in_clear,
            )
            return Pop3Server(pop3, self._mailbox, fault=self._fault)
        listener = ListenerConfig(
            hostname=config.hostname,
            address=listen.address,
            port=listen.port,
            role=Role(listen.role),
            security=security,
            context=context,
            limits=config.limits,
            auth_in_clear=config.auth_in_clear,
        )
        reception = self.reception
        return SmtpServer(listener, reception, observe=reception.observe, fault=self._fault)

    def _context(self) -> SSL.Context:
        config = self.config
        if config.certificate is None:
            authority = ThrowawayCA()
            self.root_pem = authority.root_pem
            identity = authority.issue([config.hostname, "localhost"], ["127.0.0.1", "::1"])
            return server_context(identity.chain_pem, identity.key_pem)
        path = config.certificate
        try:
            chain = path.read_bytes()
            path = config.key or path
            return server_context(chain, path.read_bytes())
        except OSError as error:
            raise BadInputError(f"{path}: {error.strerror}") from None
        except (ValueError, TypeError, SSL.Error):
            raise BadInputError(f"{path}: no PEM certificate and key that fit") from None

    async def _mailbox(self, user: str, password: str, address: str) -> Path | None:
        mailbox = self.config.mailbox_of_user(user)
        known = self.reception.check(user, password, address)
        return maildir(self.data, mailbox) if known and mailbox else None

    # Transcripts and tidiness.

    def _begun(self, message_id: str, attempt: Attempt) -> None:
        if self.transcripts:
            self.transcripts.attempt(message_id, attempt, over=False)

    def _over(self, message_id: str, attempt: Attempt) -> None:
        if self.transcripts:
            self.transcripts.attempt(message_id, attempt, over=True)

    async def _prune(self) -> None:
        while True:
            try:
                while await self.queue.prune(self.now() - self.config.keep):
                    continue
            except QueueError as error:
                self._fault(error)
            if self.transcripts:
                await self.transcripts.prune(time.time() - self.config.keep)
            await asyncio.sleep(PRUNE)

    async def stop(self) -> None:
        """Listeners first, then deliveries, then the queue: nothing is lost."""
        await asyncio.gather(*(server.stop() for _, server in self._servers))
        self._servers.clear()
        await self._parts.aclose()

    async def _end_tasks(self) -> None:
        await self.dispatcher.stop(GRACE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
