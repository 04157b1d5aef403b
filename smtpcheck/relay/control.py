"""The operator's desk: what is in the queue, and what to do about it; over a socket or at hand.

Law: one JSON object a line, each way, on a socket in the data directory that its owner alone
can open. Whoever serves the queue answers; where nobody does, the desk is used directly.
"""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from smtpcheck.facts.delivery import Attempt
from smtpcheck.relay.queue import Action, Entry, Queue, QueueError, Selection
from smtpcheck.relay.transcripts import Transcripts

SOCKET = "control"
MAX_LINE = 256 * 1024 * 1024
"""Octets of one answer: an export carries a message."""
LISTED = 1000
"""Messages in one answer, unless asked for more."""

Request = dict[str, Any]
Answer = dict[str, Any]


class Desk:
    """Answers requests: `do` is list, show, export, retry, hold, release or remove."""

    def __init__(
        self,
        queue: Queue,
        transcripts: Transcripts | None,
        *,
        now: Callable[[], float],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue, self._transcripts = queue, transcripts
        self._now, self._wake = now, wake

    async def answer(self, request: Request) -> Answer:
        """Always an object: `result`, or `error` with a sentence."""
        try:
            return await self._answer(request)
        except QueueError as error:
            return {"error": str(error)}
        except (ValueError, TypeError) as error:
            return {"error": f"not understood: {error}"}

    async def _answer(self, request: Request) -> Answer:
        which = Selection(message_id=request.get("id", ""), domain=request.get("domain", ""))
        match request.get("do"):
            case "list":
                limit = int(request.get("limit", LISTED))
                entries = await self._queue.entries(
                    which, limit=limit, finished=bool(request.get("finished"))
                )
                return {"result": [self._summary(entry) for entry in entries]}
            case "show":
                return await self._show(which)
            case "export":
                content = await self._queue.content(which.message_id)
                if content is None:
                    return _unknown(which)
                return {"result": b64encode(content).decode("ascii")}
            case "retry" | "hold" | "release" | "remove" as verb:
                changed = await self._queue.change(Action(verb), which, now=self._now())
                self._wake()
                return {"result": list(dict.fromkeys(changed))}
            case other:
                return {"error": f"not understood: {other!r}"}

    def _summary(self, entry: Entry) -> Answer:
        waiting = [r for r in entry.recipients if not r.state.final]
        now = self._now()
        return {
            "id": entry.envelope.message_id,
            "from": entry.envelope.reverse_path,
            "size": entry.envelope.size,
            "received": entry.received,
            "age": max(0.0, now - entry.received),
            "finished": entry.finished,
            "next_try": min((r.due for r in waiting if r.state == "queued"), default=None),
            "recipients": [
                {
                    "address": r.address,
                    "state": r.state,
                    "tries": r.tries,
                    "next_try": r.due if r.state == "queued" else None,
                    "last": _last(r.last),
                }
                for r in entry.recipients
            ],
        }

    async def _show(self, which: Selection) -> Answer:
        entries = await self._queue.entries(which, limit=1)
        if not entries or not which.message_id:
            return _unknown(which)
        (entry,) = entries
        attempts = [(each, True) for each in entry.attempts]
        sessions: tuple[Any, ...] = ()
        if self._transcripts:
            sessions = await self._transcripts.sessions(which.message_id)
            attempts = _merged(entry.attempts, await self._transcripts.attempts(which.message_id))
        return {
            "result": {
                **self._summary(entry),
                "envelope": msgspec.to_builtins(entry.envelope),
                "sessions": [msgspec.to_builtins(each) for each in sessions],
                "attempts": [
                    {**msgspec.to_builtins(each), "finished": over} for each, over in attempts
                ],
            }
        }


def _last(outcome: Any) -> str | None:
    if outcome is None:
        return None
    words = str(outcome.reply or outcome.failure or outcome.outcome)
    return f"{outcome.host}: {words}" if outcome.host else words


def _merged(
    settled: tuple[Attempt, ...], told: tuple[tuple[Attempt, bool], ...]
) -> list[tuple[Attempt, bool]]:
    """The settled ones with their transcripts, and those that a crash left unsettled."""
    by_start = {attempt.started: (attempt, True) for attempt in settled}
    by_start |= {attempt.started: (attempt, over) for attempt, over in told}
    return [by_start[started] for started in sorted(by_start)]


def _unknown(which: Selection) -> Answer:
    return {"error": f"no such message: {which.message_id or '(none named)'}"}


class Control:
    """The desk behind a socket in `data`."""

    def __init__(self, data: Path, desk: Desk) -> None:
        self._data, self._desk = data, desk
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket that a dead relay left is replaced: the lock says that it is dead."""
        with suppress(FileNotFoundError):
            (self._data / SOCKET).unlink()
        with _short(self._data) as path:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=1024 * 1024)
        (self._data / SOCKET).chmod(0o600)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            while line := await reader.readline():
                try:
                    request = msgspec.json.decode(line, type=dict[str, Any])
                    answer = await self._desk.answer(request)
                except msgspec.DecodeError as error:
                    answer = {"error": f"no JSON: {error}"}
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            with suppress(FileNotFoundError):
                (self._data / SOCKET).unlink()


async def ask(data: Path, request: Request) -> Answer | None:
    """The answer of the relay that serves `data`, or None: nobody serves it."""
    try:
        with _short(data) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return None
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        line = await reader.readline()
        return msgspec.json.decode(line, type=dict[str, Any]) if line else None
    finally:
        writer.close()


@contextmanager
def _short(data: Path) -> Iterator[str]:
    """The socket's path by way of a descriptor: a socket's name has 107 octets at most."""
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
