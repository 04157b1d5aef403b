"""The queue as rows: the tables, and each change as a function of an open transaction.

Law: nothing here commits, waits or knows who asked. Every query is answered by an index;
a recipient whose state is final is never matched by a change.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from smtpcheck.facts.delivery import Attempt, Envelope, RecipientOutcome
from smtpcheck.relay.queue import (
    Action,
    Change,
    Destination,
    Entry,
    Recipient,
    Report,
    Selection,
    Settlement,
    StaleError,
    State,
    domain_of,
)
from smtpcheck.wire.address import canonical_domain

SPOOLED = 64 * 1024
"""Octets beyond which a content is a file of its own."""

MAX_RECIPIENTS = 100
"""Of one claim, and so of one transaction (RFC 5321 §4.5.3.1.8)."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id TEXT NOT NULL, received REAL NOT NULL, alarm REAL, finished REAL,
    warned INTEGER NOT NULL DEFAULT 0, spooled INTEGER NOT NULL, envelope BLOB NOT NULL, data BLOB
);
CREATE UNIQUE INDEX IF NOT EXISTS message_id ON message(id);
CREATE INDEX IF NOT EXISTS message_alarm ON message(alarm) WHERE alarm IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_finished ON message(finished) WHERE finished IS NOT NULL;
CREATE TABLE IF NOT EXISTS recipient (
    message TEXT NOT NULL, position INTEGER NOT NULL, domain TEXT NOT NULL, state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, last BLOB,
    PRIMARY KEY (message, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipient_due ON recipient(domain, due) WHERE state = 'queued';
CREATE TABLE IF NOT EXISTS attempt (message TEXT NOT NULL, started REAL NOT NULL, data BLOB);
CREATE INDEX IF NOT EXISTS attempt_message ON attempt(message);
CREATE TABLE IF NOT EXISTS destination (
    domain TEXT PRIMARY KEY, due REAL NOT NULL, failures INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS destination_due ON destination(due);
"""

_encode = msgspec.json.Encoder().encode
_envelope = msgspec.json.Decoder(Envelope).decode
_outcome = msgspec.json.Decoder(RecipientOutcome).decode
_attempt = msgspec.json.Decoder(Attempt).decode


UNREADABLE = (ValueError, TypeError, IndexError, AssertionError)
"""What a row that is not as we wrote it raises."""

Row = tuple[int, str, int, float, bytes | None]
"""position, state, tries, due, last"""

_TRANSITIONS: dict[Action, tuple[tuple[State, State], State]] = {
    Action.RETRY: ((State.QUEUED, State.QUEUED), State.QUEUED),
    Action.HOLD: ((State.QUEUED, State.QUEUED), State.HELD),
    Action.RELEASE: ((State.HELD, State.HELD), State.QUEUED),
    Action.REMOVE: ((State.QUEUED, State.HELD), State.REMOVED),
}
"""From which states to which."""

_ROW = "SELECT position, state, tries, due, last FROM recipient"
_CHANGE = """UPDATE recipient SET state = ?, due = ?
    WHERE message = ? AND domain = ? AND state IN (?, ?)"""
_OUTCOME = """UPDATE recipient SET tries = tries + ?, due = ?, last = coalesce(?, last),
    state = CASE WHEN ? = 'queued' THEN state ELSE ? END
    WHERE message = ? AND position = ? AND state IN ('queued', 'held')"""
_FINISH = """UPDATE message SET data = NULL, alarm = NULL, finished = ? WHERE id = ?
    AND finished IS NULL AND NOT EXISTS
    (SELECT 1 FROM recipient WHERE message = ? AND state IN ('queued', 'held'))"""
_EARLIER = """ON CONFLICT (domain) DO UPDATE
    SET due = min(due, excluded.due) WHERE failures = 0"""
_AWAKE_NOW = "INSERT OR REPLACE INTO destination (domain, due, failures) VALUES (?, ?, 0)"


@dataclass(frozen=True, slots=True)
class Message:
    """A row of message; `data` is None where the content is spooled or gone."""

    envelope: Envelope
    data: bytes | None
    spooled: bool
    received: float
    warned: bool


def message(db: sqlite3.Connection, message_id: str) -> Message | None:
    """One message, finished or not."""
    query = "SELECT envelope, data, spooled, received, warned FROM message WHERE id = ?"
    row = db.execute(query, (message_id,)).fetchone()
    if row is None:
        return None
    return Message(_envelope(row[0]), row[1], bool(row[2]), row[3], bool(row[4]))


def recipient(envelope: Envelope, row: Row) -> Recipient:
    """One recipient; its address is the envelope's."""
    position, state, tries, due, last = row
    return Recipient(
        position=position,
        address=envelope.forward_paths[position].address,
        state=State(state),
        tries=tries,
        due=due,
        last=_outcome(last) if last else None,
    )


def due_messages(db: sqlite3.Connection, domain: str, now: float) -> Iterator[str]:
    """Ids, repeated for each recipient; read no further than needed."""
    query = """SELECT message FROM recipient INDEXED BY recipient_due
        WHERE domain = ? AND state = 'queued' AND due <= ? ORDER BY due"""
    return (message_id for (message_id,) in db.execute(query, (domain, now)))


def due_recipients(db: sqlite3.Connection, message_id: str, domain: str, now: float) -> list[Row]:
    """Those of one message, as many as fit into one transaction."""
    query = f"""{_ROW} WHERE message = ? AND domain = ? AND state = 'queued' AND due <= ?
        ORDER BY position LIMIT {MAX_RECIPIENTS}"""
    return db.execute(query, (message_id, domain, now)).fetchall()


def alarmed_messages(db: sqlite3.Connection, now: float) -> list[str]:
    """Ids, the longest overdue first."""
    query = "SELECT id FROM message WHERE alarm <= ? ORDER BY alarm LIMIT 1000"
    return [message_id for (message_id,) in db.execute(query, (now,))]


def queued_domains(db: sqlite3.Connection, message_id: str) -> list[str]:
    """Of one message."""
    query = "SELECT DISTINCT domain FROM recipient WHERE message = ? AND state = 'queued'"
    return [domain for (domain,) in db.execute(query, (message_id,))]


def queued_recipients(db: sqlite3.Connection, message_id: str) -> list[Row]:
    """Of one message, due or not."""
    query = f"{_ROW} WHERE message = ? AND state = 'queued' ORDER BY position"
    return db.execute(query, (message_id,)).fetchall()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new message; `data` is None where it is spooled."""

    envelope: Envelope
    data: bytes | None
    now: float
    alarm: float


def insert(db: sqlite3.Connection, arrivals: Sequence[Arrival]) -> None:
    """New messages, all of whose recipients are due."""
    messages, recipients = [], []
    domains: dict[str, float] = {}
    for each in arrivals:
        envelope = each.envelope
        message_id = envelope.message_id
        spooled = each.data is None
        coded = _encode(envelope)
        messages.append((message_id, each.now, each.alarm, spooled, coded, each.data))
        for position, path in enumerate(envelope.forward_paths):
            domain = domain_of(path.address)
            domains[domain] = min(each.now, domains.get(domain, each.now))
            recipients.append((message_id, position, domain, State.QUEUED, each.now))
    insert_many(db, "message (id, received, alarm, spooled, envelope, data)", messages)
    insert_many(db, "recipient (message, position, domain, state, due)", recipients)
    insert_many(db, "destination (domain, due)", list(domains.items()), _EARLIER)


def insert_many(
    db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]], otherwise: str = ""
) -> None:
    """In few statements, of 32 rows, 16, and so on: there are six texts to keep prepared."""
    start, size = 0, 32
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        some = rows[start : start + size]
        one = f"({', '.join('?' * len(some[0]))})"
        values = ", ".join([one] * size)
        text = f"INSERT INTO {into} VALUES {values} {otherwise}"  # noqa: S608 - our own words
        db.execute(text, [value for row in some for value in row])
        start += size


def settle(settlement: Settlement, now: float, db: sqlite3.Connection) -> tuple[str, ...]:
    """The ids that are finished by it."""
    message_id = settlement.claim.envelope.message_id
    for change in settlement.changes:
        _apply(db, message_id, change)
    for attempt in settlement.attempts:
        record = replace(attempt, transcript=None, route=replace(attempt.route, hosts=()))
        values = (message_id, attempt.started.timestamp(), _encode(record))
        db.execute("INSERT INTO attempt (message, started, data) VALUES (?, ?, ?)", values)
    insert(db, [_arrival(report, now) for report in settlement.reports])
    if settlement.warned:
        db.execute("UPDATE message SET warned = 1 WHERE id = ?", (message_id,))
    if settlement.alarm is not None:
        db.execute("UPDATE message SET alarm = ? WHERE id = ?", (settlement.alarm, message_id))
    done = db.execute(_FINISH, (now, message_id, message_id)).rowcount
    return (message_id,) if done else ()


def _apply(db: sqlite3.Connection, message_id: str, change: Change) -> None:
    last = _encode(change.last) if change.last else None
    values = (change.tried, change.due, last, change.state, change.state)
    if not db.execute(_OUTCOME, (*values, message_id, change.position)).rowcount:
        raise StaleError(f"{message_id}: recipient {change.position} is final already")


def _arrival(report: Report, now: float) -> Arrival:
    data = None if len(report.content) > SPOOLED else report.content
    return Arrival(report.envelope, data, now, report.alarm)


def ready(now: float, limit: int, db: sqlite3.Connection) -> tuple[Destination, ...]:
    """Destinations that are due, longest due first."""
    rows = db.execute(
        "SELECT domain, due, failures FROM destination WHERE due <= ? ORDER BY due LIMIT ?",
        (now, limit),
    )
    return tuple(Destination(domain=d, due=due, failures=n) for d, due, n in rows)


def next_due(after: float, db: sqlite3.Connection) -> float | None:
    """Of destinations and alarms."""
    (due,) = db.execute("SELECT min(due) FROM destination WHERE due > ?", (after,)).fetchone()
    (alarm,) = db.execute("SELECT min(alarm) FROM message WHERE alarm > ?", (after,)).fetchone()
    return min((each for each in (due, alarm) if each is not None), default=None)


def rest(domain: str, until: float, failures: int, missed: float, db: sqlite3.Connection) -> None:
    """Set when `domain` is due next, or forget it when nothing waits for it."""
    db.execute(
        "UPDATE recipient SET tries = tries + 1 WHERE domain = ? AND state = 'queued' AND due <= ?",
        (domain, missed),
    )
    (due,) = db.execute(
        "SELECT min(due) FROM recipient WHERE domain = ? AND state = 'queued'", (domain,)
    ).fetchone()
    if due is None:
        db.execute("DELETE FROM destination WHERE domain = ?", (domain,))
    else:
        db.execute(
            "INSERT OR REPLACE INTO destination (domain, due, failures) VALUES (?, ?, ?)",
            (domain, max(due, until), failures),
        )


def selected(db: sqlite3.Connection, action: Action, which: Selection) -> list[tuple[str, str]]:
    """Message and domain of what `action` can be done to."""
    query = "SELECT DISTINCT message, domain FROM recipient WHERE state IN (?, ?)"
    before = _TRANSITIONS[action][0]
    values: tuple[str, ...] = before
    if which.message_id:
        query, values = f"{query} AND message = ?", (*values, which.message_id)
    if which.domain:
        query, values = f"{query} AND domain = ?", (*values, canonical_domain(which.domain))
    return db.execute(query, values).fetchall()


def change(
    db: sqlite3.Connection, action: Action, message_id: str, domain: str, now: float
) -> None:
    """Do `action` to one message's recipients in one domain."""
    before, after = _TRANSITIONS[action]
    db.execute(_CHANGE, (after, now, message_id, domain, *before))
    _after_change(db, action, message_id, domain, now)


def _after_change(
    db: sqlite3.Connection, action: Action, message_id: str, domain: str, now: float
) -> None:
    if action is Action.REMOVE:
        db.execute(_FINISH, (now, message_id, message_id))
    elif action is Action.HOLD:
        db.execute(
            "UPDATE message SET alarm = NULL WHERE id = ? AND NOT EXISTS"
            " (SELECT 1 FROM recipient WHERE message = ? AND state = 'queued')",
            (message_id, message_id),
        )
    else:
        db.execute(_AWAKE_NOW, (domain, now))
    if action is Action.RELEASE:
        db.execute("UPDATE message SET alarm = ? WHERE id = ?", (now, message_id))


def entries(
    which: Selection, limit: int, finished: bool, db: sqlite3.Connection
) -> tuple[Entry, ...]:
    """Messages, oldest first; one asked for by id is shown finished, too, and with attempts."""
    query = "SELECT id, envelope, received, finished FROM message"
    values: tuple[str, ...] = ()
    if which.message_id:
        query, values = f"{query} WHERE id = ?", (which.message_id,)
    elif which.domain:
        some = "SELECT 1 FROM recipient WHERE message = message.id AND domain = ?"
        query, values = f"{query} WHERE EXISTS ({some})", (canonical_domain(which.domain),)
    if not (finished or which.message_id):
        query += (" AND" if values else " WHERE") + " finished IS NULL"
    rows = db.execute(f"{query} ORDER BY id LIMIT ?", (*values, limit)).fetchall()
    return tuple(_entry_or_stub(db, row, attempts=bool(which.message_id)) for row in rows)


def _entry_or_stub(db: sqlite3.Connection, row: tuple[Any, ...], *, attempts: bool) -> Entry:
    try:
        return _entry(db, *row, attempts=attempts)
    except UNREADABLE:
        message_id, _, received, finished = row
        began = datetime.fromtimestamp(received, UTC)
        nothing = Envelope(
            message_id=message_id, reverse_path="(unreadable)", forward_paths=(), received=began
        )
        return Entry(envelope=nothing, received=received, finished=finished, recipients=())


def _entry(
    db: sqlite3.Connection,
    message_id: str,
    coded: bytes,
    received: float,
    finished: float | None,
    *,
    attempts: bool,
) -> Entry:
    envelope = _envelope(coded)
    rows = db.execute(
        "SELECT position, state, tries, max(r.due, coalesce(d.due, r.due)), last FROM recipient r"
        " LEFT JOIN destination d USING (domain) WHERE message = ? ORDER BY position",
        (message_id,),
    ).fetchall()
    query = "SELECT data FROM attempt WHERE message = ? ORDER BY started, rowid"
    made = db.execute(query, (message_id,)).fetchall() if attempts else ()
    return Entry(
        envelope=envelope,
        received=received,
        finished=finished,
        recipients=tuple(recipient(envelope, row) for row in rows),
        attempts=tuple(_attempt(data) for (data,) in made),
    )


def known(message_ids: Iterable[str], db: sqlite3.Connection) -> frozenset[str]:
    """Those that are messages not yet finished."""
    query = "SELECT 1 FROM message WHERE id = ? AND finished IS NULL"
    return frozenset(m for m in message_ids if db.execute(query, (m,)).fetchone())


def hold(db: sqlite3.Connection, message_id: str) -> None:
    """Set a message aside, which can't be read."""
    db.execute(
        "UPDATE recipient SET state = 'held' WHERE message = ? AND state = 'queued'", (message_id,)
    )
    db.execute("UPDATE message SET alarm = NULL WHERE id = ?", (message_id,))


def bring_forward(now: float, furthest: float, db: sqlite3.Connection) -> None:
    """What is due beyond `furthest` is due now: the clock was wrong then, or is now."""
    late = db.execute("SELECT domain FROM destination WHERE due > ?", (furthest,)).fetchall()
    for (domain,) in late:
        db.execute(
            "UPDATE recipient SET due = ? WHERE domain = ? AND state = 'queued' AND due > ?",
            (now, domain, furthest),
        )
        db.execute(_AWAKE_NOW, (domain, now))
    db.execute(
        "UPDATE message SET received = ?, alarm = ? WHERE alarm > ? AND received > ?", (now,) * 4
    )


def forget(message_ids: Iterable[str], db: sqlite3.Connection) -> None:
    """All traces of them."""
    for message_id in message_ids:
        db.execute("DELETE FROM message WHERE id = ?", (message_id,))
        db.execute("DELETE FROM recipient WHERE message = ?", (message_id,))
        db.execute("DELETE FROM attempt WHERE message = ?", (message_id,))


def prune(before: float, db: sqlite3.Connection) -> int:
    """Forget at most 1,000 messages finished before; how many."""
    query = "SELECT id FROM message WHERE finished < ? LIMIT 1000"
    old = [message_id for (message_id,) in db.execute(query, (before,))]
    forget(old, db)
    return len(old)
