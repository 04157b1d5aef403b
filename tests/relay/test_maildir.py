"""A message is in the mailbox whole or not at all, once, whatever dies on the way."""

import errno
import mailbox
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smtpcheck.facts.delivery import Outcome, RecipientOutcome
from smtpcheck.facts.failure import Kind
from smtpcheck.relay.maildir import STALE, Content, Files, InUseError, Maildrop, deliver

MESSAGE = b"Subject: hello\r\n\r\n.dot\r\n\xff\xfe\r\n"
PREFIX = b"Return-Path: <alice@a.test>\r\nDelivered-To: bob@b.test\r\n"
RECEIVED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def put(
    box: Path,
    content: Content = MESSAGE,
    *,
    message_id: str = "m1",
    received: datetime = RECEIVED,
    reverse_path: str = "alice@a.test",
    forward_path: str = "bob@b.test",
    again: bool = True,
    files: Files | None = None,
) -> RecipientOutcome:
    return deliver(
        box,
        content,
        message_id=message_id,
        received=received,
        reverse_path=reverse_path,
        forward_path=forward_path,
        again=again,
        files=files or Files(),
    )


def contents(box: Path) -> list[bytes]:
    return [path.read_bytes() for part in ("new", "cur") for path in sorted((box / part).iterdir())]


def test_every_directory_on_the_way_is_private_and_named_durably(tmp_path: Path) -> None:
    """A mailbox whose parents are not synced is gone after a power cut, with what it took."""
    synced: list[Path] = []

    class Watching(Files):
        def sync(self, directory: Path) -> None:
            synced.append(directory)
            super().sync(directory)

    mailbox = tmp_path / "mail" / "a.test" / "me"
    before = os.umask(0)
    try:
        Watching().make(mailbox)
    finally:
        os.umask(before)
    assert {tmp_path, tmp_path / "mail", tmp_path / "mail" / "a.test", mailbox} <= set(synced)
    private = [mailbox, *mailbox.parents[:2], mailbox / "new"]
    assert {each.stat().st_mode & 0o777 for each in private} == {0o700}


def test_a_message_is_stored_to_the_byte_behind_its_trace(tmp_path: Path) -> None:
    box = tmp_path / "deep" / "box"
    assert put(box).outcome is Outcome.DELIVERED
    assert contents(box) == [PREFIX + MESSAGE]
    (path,) = (box / "new").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list((box / "tmp").iterdir()) == []
    (stored,) = mailbox.Maildir(box, create=False)
    assert (stored["Return-Path"], stored["Subject"]) == ("<alice@a.test>", "hello")


def test_a_message_may_lie_in_a_spool_file(tmp_path: Path) -> None:
    spool = tmp_path / "body"
    spool.write_bytes(b"x" * 600_000)
    assert put(tmp_path / "box", spool).outcome is Outcome.DELIVERED
    assert contents(tmp_path / "box") == [PREFIX + b"x" * 600_000 + b"\r\n"]


def test_the_null_path_and_hostile_addresses_add_no_header(tmp_path: Path) -> None:
    put(tmp_path, b"\r\n", reverse_path="", forward_path="b\r\nX: y\u2028z@b.test")
    assert contents(tmp_path) == [b"Return-Path: <>\r\nDelivered-To: bX: yz@b.test\r\n\r\n"]


def test_a_second_delivery_of_the_same_message_does_nothing(tmp_path: Path) -> None:
    put(tmp_path)
    assert put(tmp_path).outcome is Outcome.DELIVERED
    assert len(contents(tmp_path)) == 1


@pytest.mark.parametrize(
    "other",
    [{"message_id": "m2"}, {"forward_path": "b@b.test"}, {"received": RECEIVED.replace(hour=4)}],
)
def test_another_message_or_recipient_is_another_file(
    tmp_path: Path, other: dict[str, str]
) -> None:
    put(tmp_path)
    put(tmp_path, **other)  # type: ignore[arg-type]
    assert len(contents(tmp_path)) == 2


@pytest.mark.parametrize("part", ["cur", "new"])
def test_a_delivery_is_found_again_after_a_reader_flagged_it(tmp_path: Path, part: str) -> None:
    put(tmp_path)
    (path,) = (tmp_path / "new").iterdir()
    path.rename(tmp_path / part / f"{path.name}:2,S")
    put(tmp_path)
    assert len(contents(tmp_path)) == 1
    put(tmp_path, again=False)
    assert len(contents(tmp_path)) == 2


def test_a_delivery_is_found_again_after_it_was_picked_up(tmp_path: Path) -> None:
    put(tmp_path)
    drop = Maildrop(tmp_path)
    assert drop.delete(drop.messages) == 0
    drop.close()
    assert put(tmp_path).outcome is Outcome.DELIVERED
    assert contents(tmp_path) == []


class Dead(BaseException):
    """The process ended here."""


class Fragile(Files):
    """Calls `strike` at the nth operation, and half way through a write."""

    def __init__(self, at: int, strike: Callable[[], None]) -> None:
        self._left, self._strike = at, strike
        self.struck = False

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.struck = True
            self._strike()

    def make(self, mailbox: Path) -> None:
        self._step()
        super().make(mailbox)
        self._step()

    def write(self, path: Path, chunks: Iterable[bytes]) -> None:
        self._step()
        whole = b"".join(chunks)
        path.unlink(missing_ok=True)
        path.write_bytes(whole[: len(whole) // 2])
        self._step()
        super().write(path, [whole])
        self._step()

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)
        self._step()

    def sync(self, directory: Path) -> None:
        self._step()
        super().sync(directory)
        self._step()


STEPS = range(1, 14)


def dead() -> None:
    raise Dead


@pytest.mark.parametrize("step", STEPS)
def test_death_at_any_step_leaves_no_half_message_and_no_second_one(
    tmp_path: Path, step: int
) -> None:
    with pytest.raises(Dead):
        put(tmp_path / "box", files=Fragile(step, dead))
    if (tmp_path / "box" / "new").exists():
        assert contents(tmp_path / "box") in ([], [PREFIX + MESSAGE])
    assert put(tmp_path / "box").outcome is Outcome.DELIVERED
    assert contents(tmp_path / "box") == [PREFIX + MESSAGE]
    assert list((tmp_path / "box" / "tmp").iterdir()) == []


def test_there_are_no_more_steps_than_those(tmp_path: Path) -> None:
    files = Fragile(STEPS.stop, dead)
    put(tmp_path / "box", files=files)
    assert not files.struck


ERRORS = [
    (errno.ENOSPC, 452, "4.3.1"),
    (errno.EDQUOT, 452, "4.3.1"),
    (errno.EIO, 451, "4.3.0"),
    (errno.EACCES, 451, "4.3.5"),
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("number", "code", "status"), ERRORS)
def test_a_failing_disk_defers_the_message_and_leaves_no_litter(
    tmp_path: Path, step: int, number: int, code: int, status: str
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    outcome = put(tmp_path / "box", files=Fragile(step, fail))
    assert outcome.outcome is Outcome.DEFERRED
    assert outcome.reply
    assert outcome.failure
    assert (outcome.reply.code, str(outcome.reply.status)) == (code, status)
    assert (outcome.failure.kind, outcome.failure.detail) == (Kind.LOCAL, os.strerror(number))
    assert not list((tmp_path / "box").glob("tmp/*"))
    assert put(tmp_path / "box").outcome is Outcome.DELIVERED
    assert contents(tmp_path / "box") == [PREFIX + MESSAGE]


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """The kernel's own refusal, not a made-up one."""
    script = f"""
        import resource, signal
        from datetime import UTC, datetime
        from pathlib import Path
        from smtpcheck.relay.maildir import deliver
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        print(deliver(Path({str(tmp_path / "box")!r}), b"x" * 9000, message_id="m",
              received=datetime(2026, 1, 1, tzinfo=UTC), reverse_path="", forward_path="b").reply)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "452 4.3.1 insufficient system storage\n"
    assert list((tmp_path / "box").glob("*/*")) == []


def test_a_killed_process_leaves_whole_messages_only(tmp_path: Path) -> None:
    """SIGKILL between two writes; the next life delivers all of them once."""
    script = f"""
        from datetime import UTC, datetime
        from pathlib import Path
        from smtpcheck.relay.maildir import deliver
        print("ready", flush=True)
        for number in range(200):
            deliver(Path({str(tmp_path)!r}), b"x" * 50_000 + b"\\r\\n", message_id=str(number),
                    received=datetime(2026, 1, 1, tzinfo=UTC), reverse_path="", forward_path="b")
            print(number, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line == "20\n":
                process.send_signal(signal.SIGKILL)
                break
        told = 20 + len(process.stdout.readlines())
    assert len(contents(tmp_path)) in (told + 1, told + 2)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert len(contents(tmp_path)) == 200
    assert {len(content) for content in contents(tmp_path)} == {
        len(b"Return-Path: <>\r\nDelivered-To: b\r\n") + 50_002
    }


def test_a_maildrop_lists_both_parts_by_age_with_sizes_as_transmitted(tmp_path: Path) -> None:
    put(tmp_path, received=RECEIVED + timedelta(hours=1))
    (tmp_path / "cur" / "100.foreign.host,S=7:2,S").write_bytes(b"a\n\nb\nc\n")
    (tmp_path / "new" / "99.äöü").write_bytes(b"no end")
    (tmp_path / "new" / ".hidden").touch()
    (tmp_path / "new" / "directory").mkdir()
    (tmp_path / "new" / "link").symlink_to("/etc/passwd")
    drop = Maildrop(tmp_path)
    assert [each.size for each in drop.messages] == [8, 11, len(PREFIX + MESSAGE)]
    for each in drop.messages:
        assert len(b"".join(drop.chunks(each))) == each.size
        assert 1 <= len(each.uid) <= 70
        assert each.uid.isascii()
        assert each.uid.isprintable()
    drop.close()


@pytest.mark.parametrize("part", ["cur", "new"])
def test_ids_survive_a_restart_and_a_change_of_flags(tmp_path: Path, part: str) -> None:
    put(tmp_path)
    put(tmp_path, message_id="m2")
    first = Maildrop(tmp_path)
    first.close()
    for path in tuple((tmp_path / "new").iterdir()):
        path.rename(tmp_path / part / f"{path.name}:2,RS")
    second = Maildrop(tmp_path)
    second.close()
    assert [each.uid for each in first.messages] == [each.uid for each in second.messages]
    assert len({each.uid for each in first.messages}) == 2
    # The session that was open meanwhile still finds its messages.
    assert b"".join(first.chunks(first.messages[0])) == PREFIX + MESSAGE


def test_a_maildrop_is_for_one_session_at_a_time(tmp_path: Path) -> None:
    drop = Maildrop(tmp_path)
    with pytest.raises(InUseError):
        Maildrop(tmp_path)
    drop.close()
    drop.close()
    Maildrop(tmp_path).close()


def test_what_another_program_deleted_is_deleted(tmp_path: Path) -> None:
    put(tmp_path)
    drop = Maildrop(tmp_path)
    (path,) = (tmp_path / "new").iterdir()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        list(drop.chunks(drop.messages[0]))
    assert drop.delete(drop.messages) == 0
    drop.close()


def test_a_deletion_that_fails_is_counted_and_undone_nowhere(tmp_path: Path) -> None:
    put(tmp_path)

    def fail() -> None:
        raise OSError(errno.EIO, "I/O error")

    drop = Maildrop(tmp_path, Fragile(1, fail))
    assert drop.delete(drop.messages) == 1
    drop.close()
    assert contents(tmp_path) == [PREFIX + MESSAGE]


def test_old_litter_is_swept_and_fresh_work_is_left(tmp_path: Path) -> None:
    put(tmp_path)
    for name, age in (("old", STALE + 60), ("fresh", 60.0)):
        path = tmp_path / "tmp" / name
        path.touch()
        then = datetime.now(UTC).timestamp() - age
        os.utime(path, (then, then))
    Maildrop(tmp_path).close()
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["fresh"]


def test_a_mailbox_that_is_a_file_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "box").touch()
    assert put(tmp_path / "box").outcome is Outcome.DEFERRED
    with pytest.raises(OSError, match="directory"):
        Maildrop(tmp_path / "box")
