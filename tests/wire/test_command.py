"""Command lines: strict where something could hide, lenient where real clients are sloppy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.command import (
    Chunk,
    Command,
    CommandError,
    from_xtext,
    read_chunk,
    read_command,
    read_mail,
    read_rcpt,
    xtext,
)
from smtpcheck.wire.reply import Reply

ALL = frozenset({"SIZE", "8BITMIME", "SMTPUTF8", "DSN", "AUTH", "REQUIRETLS"})

COMMANDS = [
    ("bare", b"QUIT", Command("QUIT")),
    ("lower case", b"quit", Command("QUIT")),
    ("blanks at the end", b"QUIT  ", Command("QUIT")),
    ("argument", b"EHLO a.test", Command("EHLO", "a.test")),
    ("two blanks", b"EHLO  a.test ", Command("EHLO", "a.test")),
    ("UTF-8", "VRFY жук".encode(), Command("VRFY", "жук")),
    ("empty", b"", Command("")),
]
UNREADABLE = [
    ("NUL", b"NOOP \0"),
    ("bare CR", b"NOOP\rQUIT"),
    ("bare LF", b"NOOP\nQUIT"),
    ("tab", b"NOOP\tx"),
    ("escape", b"NOOP \x1b[2J"),
    ("DEL", b"NOOP \x7f"),
    ("Latin-1", b"VRFY \xe9"),
    ("overlong UTF-8", b"VRFY \xc0\xae"),
]


@pytest.mark.parametrize(
    ("line", "command"), [row[1:] for row in COMMANDS], ids=[row[0] for row in COMMANDS]
)
def test_reads_a_line(line: bytes, command: Command) -> None:
    assert read_command(line) == command


@pytest.mark.parametrize("line", [r[1] for r in UNREADABLE], ids=[r[0] for r in UNREADABLE])
def test_refuses_an_unreadable_line(line: bytes) -> None:
    with pytest.raises(CommandError) as refused:
        read_command(line)
    assert str(refused.value.reply).startswith("500 5.5.2 ")


MAILS: list[tuple[str, str, dict[str, object]]] = [
    ("plain", "FROM:<a@b.test>", {}),
    ("lower case", "from:<a@b.test>", {}),
    ("blank behind the colon", "FROM: <a@b.test>", {}),
    ("size", "FROM:<a@b.test> SIZE=12", {"size": 12}),
    ("case of a parameter", "FROM:<a@b.test> body=8bitmime", {"body": "8BITMIME"}),
    (
        "many",
        "FROM:<a@b.test> SIZE=12  BODY=7BIT RET=hdrs ENVID=q+2B1 SMTPUTF8 REQUIRETLS",
        {
            "size": 12,
            "body": "7BIT",
            "ret": "HDRS",
            "envid": "q+2B1",
            "smtputf8": True,
            "requiretls": True,
        },
    ),
    ("AUTH is read and dropped", "FROM:<a@b.test> AUTH=<>", {}),
    ("AUTH in xtext", "FROM:<a@b.test> AUTH=e+3Dmc2@example.com", {}),
]
BAD_MAILS = [
    ("nothing", "", "501 5.5.4"),
    ("no colon", "FROM <a@b.test>", "501 5.5.4"),
    ("blank before the colon", "FROM :<a@b.test>", "501 5.5.4"),
    ("no brackets", "FROM:a@b.test", "501 5.1.7"),
    ("open bracket", "FROM:<a@b.test", "501 5.1.7"),
    ("no address", "FROM:", "501 5.1.7"),
    ("no blank before a parameter", "FROM:<a@b.test>SIZE=1", "501 5.5.4"),
    ("two paths", "FROM:<a@b.test><c@d.test>", "501 5.5.4"),
    ("unknown parameter", "FROM:<a@b.test> XYZZY=1", "555 5.5.4"),
    ("parameter of RCPT", "FROM:<a@b.test> NOTIFY=NEVER", "555 5.5.4"),
    ("twice the same", "FROM:<a@b.test> SIZE=1 SIZE=1", "501 5.5.4"),
    ("size without value", "FROM:<a@b.test> SIZE", "501 5.5.4"),
    ("negative size", "FROM:<a@b.test> SIZE=-1", "501 5.5.4"),
    ("size of many digits", "FROM:<a@b.test> SIZE=" + "9" * 21, "501 5.5.4"),
    ("size in other digits", "FROM:<a@b.test> SIZE=١٢ SMTPUTF8", "501 5.5.4"),
    ("BINARYMIME", "FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4"),
    ("SMTPUTF8 with a value", "FROM:<a@b.test> SMTPUTF8=1", "501 5.5.4"),
    ("empty value", "FROM:<a@b.test> ENVID=", "501 5.5.4"),
    ("not xtext", "FROM:<a@b.test> ENVID=a+zz", "501 5.5.4"),
    ("ENVID too long", "FROM:<a@b.test> ENVID=" + "a" * 101, "501 5.5.4"),
    ("not a parameter", "FROM:<a@b.test> =1", "501 5.5.4"),
    ("needs SMTPUTF8", "FROM:<ж@b.test>", "553 5.6.7"),
]


@pytest.mark.parametrize(
    ("argument", "fields"), [row[1:] for row in MAILS], ids=[row[0] for row in MAILS]
)
def test_reads_mail(argument: str, fields: dict[str, object]) -> None:
    mail = read_mail(argument, ALL)
    assert mail.path.address == "a@b.test"
    names = ("size", "body", "ret", "envid", "smtputf8", "requiretls")
    defaults: dict[str, object] = dict(
        zip(names, (0, "", "", "", False, False), strict=True), **fields
    )
    assert {name: getattr(mail, name) for name in names} == defaults


@pytest.mark.parametrize(
    ("argument", "reply"), [r[1:] for r in BAD_MAILS], ids=[r[0] for r in BAD_MAILS]
)
def test_refuses_mail(argument: str, reply: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_mail(argument, ALL)
    assert str(refused.value.reply).startswith(reply)


@pytest.mark.parametrize(
    ("parameter", "extension"),
    [
        ("SIZE=1", "SIZE"),
        ("BODY=8BITMIME", "8BITMIME"),
        ("SMTPUTF8", "SMTPUTF8"),
        ("RET=FULL", "DSN"),
        ("ENVID=a", "DSN"),
        ("AUTH=<>", "AUTH"),
        ("REQUIRETLS", "REQUIRETLS"),
    ],
)
def test_a_parameter_needs_its_extension(parameter: str, extension: str) -> None:
    read_mail(f"FROM:<a@b.test> {parameter}", {extension})
    with pytest.raises(CommandError) as refused:
        read_mail(f"FROM:<a@b.test> {parameter}", ALL - {extension})
    assert refused.value.reply.code == 555


RCPTS: list[tuple[str, str, tuple[str, ...], str]] = [
    ("plain", "TO:<a@b.test>", (), ""),
    ("never", "TO:<a@b.test> NOTIFY=never", ("NEVER",), ""),
    ("two", "TO:<a@b.test> NOTIFY=FAILURE,DELAY", ("FAILURE", "DELAY"), ""),
    ("orcpt", "TO:<a@b.test> ORCPT=rfc822;A+2Bx@b.test", (), "rfc822;A+2Bx@b.test"),
    ("orcpt in UTF-8", "TO:<a@b.test> ORCPT=utf-8;ж@b.test", (), "utf-8;ж@b.test"),
]
BAD_RCPTS = [
    ("null path", "TO:<>", "501 5.1.3"),
    ("no brackets", "TO:a@b.test", "501 5.1.3"),
    ("never and more", "TO:<a@b.test> NOTIFY=NEVER,DELAY", "501 5.5.4"),
    ("twice", "TO:<a@b.test> NOTIFY=DELAY,DELAY", "501 5.5.4"),
    ("empty item", "TO:<a@b.test> NOTIFY=DELAY,", "501 5.5.4"),
    ("orcpt without type", "TO:<a@b.test> ORCPT=a@b.test", "501 5.5.4"),
    ("orcpt not xtext", "TO:<a@b.test> ORCPT=rfc822;a=b", "501 5.5.4"),
    ("orcpt too long", "TO:<a@b.test> ORCPT=rfc822;" + "a" * 500, "501 5.5.4"),
    ("parameter of MAIL", "TO:<a@b.test> SIZE=1", "555 5.5.4"),
]


@pytest.mark.parametrize(
    ("argument", "notify", "orcpt"), [row[1:] for row in RCPTS], ids=[row[0] for row in RCPTS]
)
def test_reads_rcpt(argument: str, notify: tuple[str, ...], orcpt: str) -> None:
    rcpt = read_rcpt(argument, ALL, smtputf8=True)
    assert (rcpt.path.address, rcpt.notify, rcpt.orcpt) == ("a@b.test", notify, orcpt)


@pytest.mark.parametrize(
    ("argument", "reply"), [r[1:] for r in BAD_RCPTS], ids=[r[0] for r in BAD_RCPTS]
)
def test_refuses_rcpt(argument: str, reply: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_rcpt(argument, ALL)
    assert str(refused.value.reply).startswith(reply)


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        ("0", Chunk(0, last=False)),
        ("5 LAST", Chunk(5, last=True)),
        ("5  last", Chunk(5, last=True)),
    ],
)
def test_reads_bdat(argument: str, chunk: Chunk) -> None:
    assert read_chunk(argument) == chunk


@pytest.mark.parametrize("argument", ["", "LAST", "-1", "5 FIRST", "5LAST", "5 LAST x", "9" * 20])
def test_refuses_bdat(argument: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_chunk(argument)
    assert str(refused.value.reply).startswith("501 5.5.4")


@given(st.text(max_size=40))
def test_xtext_reads_back(text: str) -> None:
    written = xtext(text.encode("utf-8", "replace").decode())
    assert written.isascii()
    assert from_xtext(written) == text.encode("utf-8", "replace").decode()


def refusal(line: bytes) -> Reply | None:
    """What is said to `line` as a MAIL command, None when it is one."""
    try:
        read_mail(read_command(line).argument, ALL)
    except CommandError as error:
        return error.reply
    return None


@given(st.binary(max_size=80))
def test_any_octets_are_a_command_or_a_permanent_error(line: bytes) -> None:
    reply = refusal(line)
    assert reply is not None
    assert reply.permanent
    assert reply.status is not None


@given(st.text(max_size=60))
def test_any_parameters_are_read_or_refused(text: str) -> None:
    reply = refusal(f"MAIL FROM:<a@b.test> {text}".encode("utf-8", "replace"))
    assert reply is None or reply.permanent
