"""What holds for any octets, a function a parser: hypothesis asks a little, `make soak` a lot.

Law: a parser reads its input or refuses it in its own words; how the stream was cut changes
nothing; what was read is read again from what it is written as.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from smtpcheck.blame import BadInputError
from smtpcheck.codec import decode, encode
from smtpcheck.judge import judge
from smtpcheck.render import console
from smtpcheck.render import json as report_json
from smtpcheck.render.look import Look
from smtpcheck.wire import address, command, hello, pop3
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import Quirk, Reply, ReplyParser

LIMIT = 300
"""Octets of a reply here, so that the limit is met."""

OFFERED = frozenset({"SIZE", "8BITMIME", "SMTPUTF8", "DSN", "REQUIRETLS", "BINARYMIME", "CHUNKING"})


def reply(data: bytes) -> None:
    """Replies come out alike however the stream is cut, and hold every octet that went in."""
    whole, left = _replies([data])
    assert _replies(_cut(data)) == (whole, left)
    assert _replies(_crumbs(data)) == (whole, left)
    if not any(Quirk.OVERLONG in each.quirks for each in whole):
        assert b"".join(each.raw for each in whole) + left == data


def _replies(pieces: list[bytes]) -> tuple[list[Reply], bytes]:
    parser = ReplyParser(LIMIT)
    found = [each for piece in pieces for each in parser.feed(piece)]
    left = parser.leftover
    if (last := parser.end()) is not None:
        assert last.raw == left
        assert Quirk.UNFINISHED in last.quirks
    return found, left


def _cut(data: bytes) -> list[bytes]:
    at = data[0] if data else 0
    return [data[:at], data[at:]]


def _crumbs(data: bytes) -> list[bytes]:
    """Octet by octet, and from the hundredth on by sevens, to come to more inputs."""
    tail = range(100, len(data), 7)
    return [data[n : n + 1] for n in range(min(100, len(data)))] + [data[n : n + 7] for n in tail]


def ehlo(data: bytes) -> None:
    """Every line after the first is a keyword in capitals and its parameters."""
    parser = ReplyParser()
    for each in parser.feed(b"250-x\r\n250-" + data + b"\r\n250 SIZE 1\r\n"):
        for extension in extensions(each):
            assert extension.keyword == extension.keyword.upper()
            assert not any(" " in word for word in (extension.keyword, *extension.parameters))
            assert str(extension).split() == [extension.keyword, *extension.parameters]


def smtp_command(data: bytes) -> None:
    """A line is a command or refused for good, and so is what stands behind its verb."""
    for read in (
        lambda argument: command.read_mail(argument, OFFERED),
        lambda argument: command.read_rcpt(argument, OFFERED, smtputf8=True),
        command.read_chunk,
    ):
        refusal = _refusal(b"MAIL " + data, read)
        assert refusal is None or (refusal.permanent and refusal.status is not None)
    with contextlib.suppress(command.CommandError):
        assert " " not in command.read_command(data).verb


def _refusal(line: bytes, read: Callable[[str], object]) -> Reply | None:
    try:
        read(command.read_command(line).argument)
    except command.CommandError as error:
        return error.reply
    return None


def mailbox(data: bytes) -> None:
    """What is read as a path, mailbox or domain reads the same from what it is written as."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(address.AddressError):
        path, rest = address.read_path(text)
        assert text.endswith(rest)
        assert address.read_path(f"<{path.address}>")[0].mailbox == path.mailbox
    with contextlib.suppress(address.AddressError):
        read = address.read_mailbox(text)
        assert address.read_mailbox(str(read)) == read
        assert address.read_mailbox(read.canonical).canonical == read.canonical
    with contextlib.suppress(address.AddressError):
        domain = address.read_domain(text)
        assert address.read_domain(domain) == domain


def server_hello(data: bytes) -> None:
    """The answer to a ClientHello is the same however the stream is cut."""
    answer = _answer([data])
    assert _answer(_cut(data)) == answer
    assert _answer(_crumbs(data)) == answer
    body = _answer([b"\x16\x03\x03" + _vector(b"\x02" + _vector(data[:4000], 3), 2)])
    assert isinstance(body, hello.ServerHello | hello.NotTls)


def _answer(pieces: list[bytes]) -> hello.Answer:
    """Without the octets that are kept of what is not TLS: they end where it became plain."""
    reader = hello.ServerHelloReader()
    for piece in pieces:
        reader.feed(piece)
    answer = reader.end()
    if isinstance(answer, hello.NotTls):
        assert b"".join(pieces).startswith(answer.first_octets)
        return hello.NotTls(first_octets=b"", detail=answer.detail)
    return answer


def client_hello(data: bytes) -> None:
    """Whatever the name, what we send is one record, one message, and vectors that add up."""
    name = data[2:].decode("latin-1")
    version = hello.SSL3 + (data[0] % 5 if data else 0)
    session_id = bytes(data[1] % 33) if len(data) > 1 else b""
    sent = hello.client_hello(version, server_name=name, random=bytes(32), session_id=session_id)
    assert (sent[0], sent[5]) == (22, 1)
    assert int.from_bytes(sent[3:5]) == len(sent) - 5
    assert int.from_bytes(sent[6:9]) == len(sent) - 9
    rest = sent[9 + 2 + 32 :]
    for octets in (1, 2, 1) if version == hello.SSL3 else (1, 2, 1, 2):
        rest = rest[octets + int.from_bytes(rest[:octets]) :]
    assert rest == b""


def _vector(content: bytes, octets: int) -> bytes:
    return len(content).to_bytes(octets) + content


def pop3_answers(data: bytes) -> None:
    """Lines, statuses and blocks come out alike however the stream is cut."""
    whole = _pop3([data])
    assert _pop3(_cut(data)) == whole
    assert _pop3(_crumbs(data)) == whole
    for line in data.decode("utf-8", "replace").splitlines():
        assert all(" " not in word for word in pop3.command(line).words)


def _pop3(pieces: list[bytes]) -> list[object]:
    """Status and block in turn, as after RETR."""
    parser = pop3.ResponseParser(LIMIT)
    found: list[object] = []
    for piece in pieces:
        parser.feed(piece)
        while (answer := parser.block() if len(found) % 2 else parser.status()) is not None:
            found.append(answer)
            if pop3.Quirk.OVERLONG in answer.quirks:
                return found
    return found


def saved_file(data: bytes) -> None:
    """A file is an observation, which writes and judges like any other, or refused."""
    with contextlib.suppress(BadInputError):
        observation = decode(data)
        assert decode(encode(observation)) == observation
        _shown(data)


def saved_edited(data: bytes) -> None:
    """Any observation, out of a real one by a few edits that `data` spells out, can be shown."""
    samples = _samples()
    octets = iter(data)
    document = json.loads(samples[next(octets, 0) % len(samples)])
    for place in octets:
        _edit(document, place, octets)
    with contextlib.suppress(BadInputError):
        _shown(json.dumps(document).encode())


def _shown(data: bytes) -> None:
    report = judge(decode(data))
    page = console.render(report, Look(color=False, unicode=True), transcripts=True)
    assert page.replace("\n", "").isprintable()
    assert report_json.render(report, with_observation=True).isascii()


@cache
def _samples() -> tuple[str, ...]:
    rooms = Path(__file__).parent.parent / "judge"
    return tuple(path.read_text() for path in sorted(rooms.glob("*/*.json")))


SCALARS: tuple[object, ...] = (
    None, True, 0, 1, -1, 2**31, 1e308, "", "x" * 2000, "\x1b[2J", "[/red]", "MA==", "gAAA",
    "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "dialogue", "version",
    "control", "cleartext", "tls-first", "closed", "reset", "timed-out", "throttled", "refused",
    "not-tls", "tls-failed", "connect", "greeting", "ehlo", "starttls", "tls", "quit", "accepted",
    "undecided", "implicit", "none", "submission", "submissions", "mx", "TLSv1", "TLSv1.3", "::1",
    "EHLO", "HELO", "LHLO", "421", 421, 220, 550, 250, [], {},
)  # fmt: skip
"""What a leaf may become: the words of the schema, and what nobody expects."""


def _edit(document: Any, place: int, octets: Iterator[int]) -> None:
    """Walk down by octets, then replace, double or drop what stands there."""
    node = document
    for _ in range(12):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = keys[place % len(keys)]
        child = node[key]
        place = next(octets, 0)
        if isinstance(child, dict | list) and child and place % 8:
            node = child
        elif place % 8 == 1 and isinstance(node, list):
            node.append(child)
            return
        elif place % 8 == 2:
            del node[key]
            return
        else:
            node[key] = SCALARS[next(octets, 0) % len(SCALARS)]
            return


PROPERTIES: Mapping[str, Callable[[bytes], None]] = {
    "reply": reply,
    "ehlo": ehlo,
    "command": smtp_command,
    "address": mailbox,
    "client-hello": client_hello,
    "server-hello": server_hello,
    "pop3": pop3_answers,
    "saved-file": saved_file,
    "saved-edited": saved_edited,
}

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "reply": (b"250-a\r\n250 b\r\n", b"220 x\n", b"550-5.7.1 a\r\n450 b\r\n", b"\xff250\r\n"),
    "ehlo": (b"SIZE 1000", b"AUTH=PLAIN LOGIN", b"x y\r\n250-z", b"\xc3\x9f"),
    "command": (
        b"FROM:<a@b.test> SIZE=1 BODY=8BITMIME RET=HDRS ENVID=a+2B",
        b"TO:<a@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test",
        b"5 LAST",
    ),
    "address": (b'<@a,@b:"x y"@c.test>', b"<a@[192.0.2.1]>", b"a@[IPv6:::1]", b"<>", b"b.test."),
    "client-hello": (b"\x04\x20mail.test", b"\x00\x00", b"\x03\x01[::1]"),
    "server-hello": (
        bytes.fromhex("160303002a0200002603030000000000000000000000000000000000000000000000000000"
                      "000000000000001301000000"),
        bytes.fromhex("15030300020246"),
        b"220 x\r\n",
    ),
    "pop3": (b"+OK [IN-USE] x\r\na\r\n..b\r\n.\r\n-ERR no\r\n", b"+ abc\r\n", b"+OK\n.\r\n"),
    "saved-file": (b"{}", b'{"schema": 1}', b'{"schema": 2}'),
    "saved-edited": (bytes(8), bytes(range(64))),
}  # fmt: skip
