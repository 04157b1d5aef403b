"""A next host that answers by a script: what it is sent is kept, what it says is given."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from smtpcheck.facts.host import MailHost

HANG_UP = "hang up"
"""As an answer: close the connection."""

PLAIN = ("250 hop.test",)
ESMTP = ("250-hop.test", "250-PIPELINING", "250-8BITMIME", "250-SIZE 100000", "250 DSN")


@dataclass
class NextHopServer:
    """`answers` by verb, or by verb and argument; "." is the end of the content.

    A list is used up one answer a time, its last one for ever.
    """

    answers: Mapping[str, str | list[str]] = field(default_factory=dict)
    ehlo: tuple[str, ...] = PLAIN
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    connections: int = 0
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    port: int = 0

    @property
    def host(self) -> MailHost:
        return MailHost(name="hop.test", address="127.0.0.1", port=self.port)

    def _answer(self, line: str) -> str:
        verb = line.partition(" ")[0]
        defaults = {
            "DATA": "354 go on",
            "": "220 hop.test",
            "QUIT": "221 bye",
            "STARTTLS": "220 go",
        }
        for key in (line, verb):
            found = self.answers.get(key)
            if isinstance(found, list):
                return found.pop(0) if len(found) > 1 else found[0]
            if found is not None:
                return found
        if verb == "EHLO":
            return "\r\n".join(self.ehlo)
        return defaults.get(verb, "250 ok")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, UnicodeDecodeError):
            await self._converse(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = ""
        while (answer := self._answer(line)) != HANG_UP:
            writer.write(answer.encode() + b"\r\n")
            if line == "DATA" and answer.startswith("354"):
                lines = []
                while (raw := await reader.readuntil(b"\r\n")) != b".\r\n":
                    lines.append(raw)
                self.contents.append(b"".join(lines))
                line = "."
                continue
            raw = await reader.readuntil(b"\r\n")
            line = raw[:-2].decode()
            self.commands.append(line)
            if line.startswith("BDAT"):
                self.contents.append(await reader.readexactly(int(line.split()[1])))
            if line == "QUIT":
                writer.write(b"221 bye\r\n")
                return


@asynccontextmanager
async def next_hop(server: NextHopServer) -> AsyncIterator[NextHopServer]:
    """Run it on loopback."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**22)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        if server.tasks:
            await asyncio.wait(server.tasks, timeout=10)
