"""The second half of the demo: a message on its whole way, and one that comes back.

Three relays on loopback: ours takes the message from a mail program, the backup MX takes it
while the primary is down, and hands it on once the primary is up.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

from smtpcheck.compose import compose, new_token
from smtpcheck.facts.delivery import Attempt, Envelope, ForwardPath
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.transcript import Transcript
from smtpcheck.net.mailbox import PickUp, Pop3
from smtpcheck.net.mainstream import Submission
from smtpcheck.net.tls import client_tls
from smtpcheck.net.zone import Zone
from smtpcheck.relay.config import Config, Listen, PortRole
from smtpcheck.relay.engine import Engine
from smtpcheck.relay.queue import Selection
from smtpcheck.relay.schedule import Schedule
from smtpcheck.relay.throwaway import ThrowawayCA
from smtpcheck.render.transcript import spoken

OURS, BACKUP, PRIMARY = "relay.home.test", "backup.far.test", "primary.far.test"
SENDER, INBOX, NOBODY = "sender@home.test", "inbox@far.test", "nobody@far.test"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
QUICK = Schedule(delays=(0.5, 1, 2), greylisted=(0.5, 1), warning=60, lifetime=60)
"""Half a second where the world waits half an hour."""
PATIENCE = 20.0

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the relays are: two addresses, one port for all MX hosts."""

    backup: str
    primary: str
    port: int


async def journey(authority: ThrowawayCA, folder: Path, say: Say) -> list[str]:
    """Send both messages; what did not come out as announced."""
    password = secrets.token_urlsafe(12)
    place = _place()
    v6 = ":" in place.primary
    records = {
        ("far.test", "MX"): [f"10 {PRIMARY}.", f"20 {BACKUP}."],
        (PRIMARY, "AAAA" if v6 else "A"): [place.primary],
        (BACKUP, "A"): [place.backup],
    }
    ca_file = authority.write(folder, "journey")
    identity = authority.issue([OURS, BACKUP, PRIMARY])
    chain, key = identity.write(folder, "journey-server")
    common = Config(certificate=chain, key=key, trust=ca_file, schedule=QUICK, mx_port=place.port)
    async with Zone(records) as zone:
        common = replace(common, resolver=zone.server)
        async with Engine(_ours(common, password)) as ours:
            traveller = _Traveller(ours, ca_file, password, say)
            async with Engine(_backup(common, place)) as backup:
                wrong = await traveller.there(backup, _primary(common, place, password))
            return wrong + await traveller.and_back(_primary(common, place, password))


def _place() -> _Place:
    """127.0.0.2 where it is ours, as on Linux; ::1 elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    for address, family in (("127.0.0.2", socket.AF_INET), ("::1", socket.AF_INET6)):
        try:
            socket.create_server((address, port), family=family).close()
        except OSError:
            continue
        return _Place(backup="127.0.0.1", primary=address, port=port)
    raise OSError("no second loopback address on this machine")


def _ours(common: Config, password: str) -> Config:
    ports = (Listen(role=PortRole.SUBMISSION), Listen(role=PortRole.POP3S))
    return replace(
        common,
        hostname=OURS,
        local_domains=frozenset({"home.test"}),
        users={"sender": password},
        listen=ports,
    )


def _backup(common: Config, place: _Place) -> Config:
    """It takes far.test's mail for the primary, from anybody who can reach it."""
    return replace(
        common,
        hostname=BACKUP,
        networks=LOOPBACK,
        listen=(Listen(address=place.backup, port=place.port, role=PortRole.MX),),
    )


def _primary(common: Config, place: _Place, password: str) -> Config:
    ports = (
        Listen(address=place.primary, port=place.port, role=PortRole.MX),
        Listen(role=PortRole.POP3S),
    )
    return replace(
        common,
        hostname=PRIMARY,
        local_domains=frozenset({"far.test"}),
        users={"inbox": password},
        listen=ports,
    )


class _Traveller:
    """Sends, follows and picks up, and says what happens."""

    def __init__(self, ours: Engine, ca_file: Path, password: str, say: Say) -> None:
        self._ours, self._ca_file, self._password, self._say = ours, ca_file, password, say

    async def there(self, backup: Engine, primary: Config) -> list[str]:
        """Submitted, refused by a dead primary, taken by the backup, delivered, picked up."""
        token, sent = await self._submit(INBOX)
        self._head("The primary MX is down: our relay hands the message to the backup")
        self._attempts(await self._followed(self._ours, sent))
        waiting = await self._first(backup)
        self._head("The backup tries the primary, which is still down, and keeps the message")
        self._attempts(await self._tried(backup, waiting))
        self._head("The primary comes up; the backup's next try delivers")
        async with Engine(primary) as up:
            self._attempts((await self._followed(backup, waiting))[-1:])
            self._head("The message is picked up over POP3 at the primary")
            found = await self._picked_up(up, PRIMARY, "inbox")
        return [] if _holds(found, token) else ["the message is not in the mailbox"]

    async def and_back(self, primary: Config) -> list[str]:
        """Submitted to nobody, refused for good, returned, picked up by its sender."""
        async with Engine(primary):
            token, sent = await self._submit(NOBODY)
            self._head("Nobody of that name: the primary refuses for good")
            self._attempts(await self._followed(self._ours, sent))
        self._head("The sender picks up the delivery status notification")
        found = await self._picked_up(self._ours, OURS, "sender")
        returned = _holds(found, token) and b"Action: failed" in b"".join(found.messages)
        return [] if returned else ["no bounce came back"]

    async def _submit(self, recipient: str) -> tuple[str, str]:
        """The token of a new message, and the id under which our relay keeps it."""
        token = new_token()
        now = datetime.now(UTC)
        content = compose(
            sender=SENDER, recipients=[recipient], token=token, date=now, hostname="home.test"
        )
        envelope = Envelope(
            message_id="",
            reverse_path=SENDER,
            forward_paths=(ForwardPath(address=recipient),),
            received=now,
        )
        host = MailHost(name=OURS, address="127.0.0.1", port=self._ours.port(PortRole.SUBMISSION))
        context = ssl.create_default_context(cafile=str(self._ca_file))
        self._head(f"A message to {recipient}, submitted by a mainstream client (aiosmtplib)")
        attempt = await Submission(host, context).submit(
            envelope, content, user="sender", password=self._password, ehlo="client.home.test"
        )
        self._tell(attempt.transcript)
        if not attempt.outcomes or not (answer := attempt.outcomes[0].reply):
            raise ConnectionError(str(attempt.failure))
        return token, answer.text.split()[-1]

    async def _followed(self, engine: Engine, message_id: str) -> tuple[Attempt, ...]:
        """All attempts of a message, once it is finished."""

        async def finished() -> bool:
            which = Selection(message_id=message_id)
            entries = await engine.queue.entries(which, limit=1, finished=True)
            return bool(entries) and all(r.state.final for r in entries[0].recipients)

        await _until(finished)
        return await _attempts(engine, message_id)

    async def _tried(self, engine: Engine, message_id: str) -> tuple[Attempt, ...]:
        return (await _until(lambda: _attempts(engine, message_id)))[:1]

    async def _first(self, engine: Engine) -> str:
        found = await _until(lambda: engine.queue.entries(Selection(), limit=1))
        return found[0].envelope.message_id

    async def _picked_up(self, engine: Engine, name: str, user: str) -> PickUp:
        port = engine.port(PortRole.POP3S)
        host = MailHost(name=name, address="127.0.0.1", port=port, security=Security.IMPLICIT)
        tls = client_tls(str(self._ca_file))

        async def look() -> PickUp | None:
            found = await Pop3(host, tls).pick_up(user, self._password)
            return found if found.messages else None

        found = await _until(look)
        assert found
        self._tell(found.transcript)
        return found

    def _head(self, words: str) -> None:
        self._say(f"\n- {words}:\n\n")

    def _attempts(self, attempts: tuple[Attempt, ...]) -> None:
        for attempt in attempts:
            where = f"{attempt.host.name} [{attempt.host}]" if attempt.host else "no host"
            outcomes = {outcome.outcome.value for outcome in attempt.outcomes}
            self._say(f"  try at {where}: {', '.join(sorted(outcomes)) or attempt.failure}\n")
            self._tell(attempt.transcript)

    def _tell(self, transcript: Transcript | None) -> None:
        for event in transcript.events if transcript else ():
            self._say("".join(f"{line}\n" for line in spoken(event)))


async def _until(look: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is more than nothing; the relays have no bell to ring."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.05)


async def _attempts(engine: Engine, message_id: str) -> tuple[Attempt, ...]:
    assert engine.transcripts
    return tuple(a for a, over in await engine.transcripts.attempts(message_id) if over)


def _holds(found: PickUp, token: str) -> bool:
    return any(token.encode() in message for message in found.messages)
