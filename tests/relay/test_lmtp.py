"""LMTP: each recipient has a reply of its own, and Dovecot's store takes our mail to the byte."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpcheck.facts.delivery import Envelope, ForwardPath, Outcome
from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.limits import DEFAULT
from smtpcheck.net.budget import Clock, Gate
from smtpcheck.net.tls import client_tls
from smtpcheck.relay.downgrade import Mail
from smtpcheck.relay.hop import TlsLevel, TlsPolicy
from smtpcheck.relay.lmtp import LmtpDialogue, LmtpHop
from smtpcheck.relay.maildir import Maildrop
from smtpcheck.relay.transaction import Transacted
from tests.conftest import need, need_root, unused_port
from tests.real.rig import daemon, open_directory
from tests.relay.test_engine import HOME, engine, send, settled, until

CONTENT = b"Subject: hello\r\n\r\n.dot\r\n..\r\nend\r\n"
NAMES = ("alice@inbox.test", "nobody@inbox.test", "carol@inbox.test")


def mail(*addresses: str) -> Mail:
    paths = tuple(ForwardPath(address=address) for address in addresses or NAMES)
    envelope = Envelope(
        message_id="m",
        reverse_path="bob@b.test",
        forward_paths=paths,
        received=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Mail(envelope=envelope, content=CONTENT, forward_paths=paths)


def hop(address: str, port: int = 0) -> LmtpHop:
    host = MailHost(name="store", address=address, port=port, security=Security.NONE)
    dialogue = LmtpDialogue(
        host, limits=DEFAULT, clock=Clock(20), tls=client_tls(), gate=Gate(DEFAULT), ehlo="us.test"
    )
    return LmtpHop(dialogue, TlsPolicy(level=TlsLevel.NONE), end_of_data=5)


async def handed_over(to: LmtpHop, *messages: Mail) -> list[Transacted]:
    assert await to.open() is None
    done = [await to.transact(message) for message in messages]
    await to.release()
    return done


def outcomes(done: Transacted) -> dict[str, tuple[Outcome, int]]:
    return {
        each.address: (each.outcome, each.reply.code if each.reply else 0) for each in done.outcomes
    }


class Store:
    """An LMTP server that answers by a table: the verb, or `.` for the end of the content."""

    def __init__(self, answers: dict[str, list[bytes]]) -> None:
        self.answers = {verb: list(each) for verb, each in answers.items()}
        self.heard: list[bytes] = []
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 store LMTP\r\n")
        content = False
        while line := await reader.readline():
            self.heard.append(line)
            if content and line != b".\r\n":
                continue
            verb = "." if content else line.split()[0].decode()
            answers = self.answers.get(verb) or [b"250 ok\r\n"]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            writer.write(answer)
            content = answer.startswith(b"354")
            if verb == "QUIT" or answer == b"250 gone\r\n":
                break
        writer.close()
        await writer.wait_closed()
        self.ended.set()


GREETED = {
    "LHLO": [b"250-store\r\n250-PIPELINING\r\n250 8BITMIME\r\n"],
    "DATA": [b"354 go\r\n"],
    "QUIT": [b"221 bye\r\n"],
}


def against(
    store: Store, work: Callable[[LmtpHop], Awaitable[list[Transacted]]]
) -> list[Transacted]:
    async def main() -> list[Transacted]:
        async with await asyncio.start_server(store, "127.0.0.1", 0) as server:
            done = await work(hop("127.0.0.1", server.sockets[0].getsockname()[1]))
            await store.ended.wait()
            return done

    return asyncio.run(main())


def test_each_recipient_has_its_own_reply_after_the_content() -> None:
    replies = b"250 2.0.0 kept\r\n452 4.2.2 full\r\n"
    store = Store(
        {
            **GREETED,
            "RCPT": [b"250 ok\r\n", b"550 5.1.1 who?\r\n", b"250 ok\r\n"],
            ".": [replies],
        }
    )
    (done,) = against(store, lambda to: handed_over(to, mail()))
    assert outcomes(done) == {
        "alice@inbox.test": (Outcome.DELIVERED, 250),
        "nobody@inbox.test": (Outcome.FAILED, 550),
        "carol@inbox.test": (Outcome.DEFERRED, 452),
    }
    assert store.heard[0] == b"LHLO us.test\r\n"
    assert b"..dot\r\n" in store.heard


def test_silence_after_the_content_is_unknown_for_those_it_concerns() -> None:
    store = Store({**GREETED, ".": [b"250 gone\r\n"]})
    (done,) = against(store, lambda to: handed_over(to, mail("a@x.test", "b@x.test")))
    assert outcomes(done) == {
        "a@x.test": (Outcome.DELIVERED, 250),
        "b@x.test": (Outcome.UNKNOWN, 0),
    }


def test_nobody_accepted_leaves_the_connection_fit_for_the_next_message() -> None:
    store = Store(
        {
            **GREETED,
            "RCPT": [b"550 5.1.1 who?\r\n", b"250 ok\r\n"],
            "DATA": [b"503 5.5.1 no recipients\r\n", b"354 go\r\n"],
        }
    )
    first, second = against(store, lambda to: handed_over(to, mail("a@x.test"), mail("b@x.test")))
    assert outcomes(first) == {"a@x.test": (Outcome.FAILED, 550)}
    assert outcomes(second) == {"b@x.test": (Outcome.DELIVERED, 250)}


def test_a_store_that_speaks_smtp_is_told_apart() -> None:
    async def refused(to: LmtpHop) -> list[Transacted]:
        refusal = await to.open()
        assert refusal
        assert refusal.failure
        assert (refusal.outcome, refusal.failure.stage) == (Outcome.DEFERRED, Stage.EHLO)
        assert refusal.failure.kind is Kind.REJECTED
        return []

    against(Store({"LHLO": [b"500 5.5.1 unknown\r\n"], "QUIT": [b"221 bye\r\n"]}), refused)


DOVECOT = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = lmtp
ssl = no
first_valid_uid = 1
mail_location = maildir:{directory}/mail/%u
lmtp_save_to_detail_mailbox = no
postmaster_address = postmaster@inbox.test
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
  default_fields = uid=dovecot gid=dovecot home={directory}/mail/%u
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {directory}/lmtp {{
    mode = 0666
  }}
}}
"""


def started(directory: Path, port: int) -> list[str]:
    users = "".join(f"{name}:{{PLAIN}}x::::::\n" for name in NAMES if "nobody" not in name)
    (directory / "users").write_text(users)
    (directory / "mail").mkdir()
    shutil.chown(directory / "mail", "dovecot")
    (directory / "conf").write_text(DOVECOT.format(directory=directory, port=port))
    return [need("dovecot"), "-F", "-c", str(directory / "conf")]


@pytest.mark.real
@pytest.mark.parametrize("over", ["tcp", "socket file"])
def test_dovecot_takes_our_mail(over: str) -> None:
    need_root()

    async def main(to: tuple[str, int]) -> list[Transacted]:
        return await handed_over(hop(*to), mail(), mail("carol@inbox.test"))

    with open_directory() as directory:
        port = unused_port()
        command = started(directory, port)
        with daemon(command, ("127.0.0.1", port), directory / "log"):
            to = ("127.0.0.1", port) if over == "tcp" else (str(directory / "lmtp"), 0)
            first, second = asyncio.run(main(to))
            assert outcomes(first) == {
                "alice@inbox.test": (Outcome.DELIVERED, 250),
                "nobody@inbox.test": (Outcome.FAILED, 550),
                "carol@inbox.test": (Outcome.DELIVERED, 250),
            }
            assert outcomes(second) == {"carol@inbox.test": (Outcome.DELIVERED, 250)}
        assert [len(stored(directory / "mail" / name)) for name in NAMES[::2]] == [1, 2]
        assert stored(directory / "mail" / NAMES[0])[0].endswith(CONTENT)


def stored(mailbox: Path) -> list[bytes]:
    drop = Maildrop(mailbox)
    drop.close()
    return [b"".join(drop.chunks(each)) for each in drop.messages]


@pytest.mark.real
@pytest.mark.parametrize("over", ["tcp", "socket file"])
def test_the_relay_hands_local_mail_to_dovecot_and_returns_what_it_refuses(over: str) -> None:
    """A store that keeps the mailboxes; its refusal of one recipient is a bounce for that one."""
    need_root()

    async def main(store: MailHost) -> None:
        local = frozenset({"inbox.test"})
        config = replace(HOME, local_domains=local, mailboxes=frozenset(NAMES), lmtp=store)
        async with engine(config) as relay:
            await send(relay, *NAMES, sender=NAMES[0])
            await until(lambda: settled(relay))

    with open_directory() as directory:
        port = unused_port()
        command = started(directory, port)
        with daemon(command, ("127.0.0.1", port), directory / "log"):
            address = "127.0.0.1" if over == "tcp" else str(directory / "lmtp")
            asyncio.run(
                main(MailHost(name="lmtp", address=address, port=port, security=Security.NONE))
            )
        kept = {name: stored(directory / "mail" / name) for name in NAMES[::2]}
    assert len(kept[NAMES[2]]) == 1
    subjects = sorted(letter.count(b"Action: failed") for letter in kept[NAMES[0]])
    assert subjects == [0, 1], "the message, and the notification about nobody"
