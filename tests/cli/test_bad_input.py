"""Bad input: one clear line on stderr, status 2, nothing written, never a traceback."""

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_smtpcheck

HERE = str(REPOSITORY / "README.md")

BAD = [
    ("no host name", ["host", "a b"], "'a b' is not a host name"),
    ("a bad port", ["host", "127.0.0.1:99999"], "'99999' is not a port"),
    ("a bad role", ["host", "127.0.0.1", "--port", "25:mux"], "'mux' is not a role"),
    ("a bad security", ["host", "127.0.0.1", "--port", "25:mx:tls"], "'tls' is not a security"),
    ("too many parts", ["host", "127.0.0.1", "--port", "25:mx:none:x"], "too many parts"),
    ("no CA file", ["host", "127.0.0.1", "--ca-file", "/nowhere"], "/nowhere"),
    ("a CA file without CA", ["host", "127.0.0.1", "--ca-file", HERE], "no certificate in it"),
    ("a certificate that is none", ["host", "127.0.0.1", "--cert", HERE], "can't be used"),
    ("a key alone", ["host", "127.0.0.1", "--key", HERE], "--key goes with --cert"),
    ("a resolver name", ["host", "a.test", "--resolver", "dns.test"], "give its ADDRESS"),
    ("a duration", ["host", "127.0.0.1", "--timeout", "soon"], "'soon' is not a duration"),
    ("no time at all", ["host", "127.0.0.1", "--timeout", "0"], "not a duration"),
    ("connections", ["host", "127.0.0.1", "--connections", "0"], "connections"),
    ("an EHLO name", ["host", "127.0.0.1", "--ehlo", "a b"], "--ehlo"),
    ("a name", ["host", "127.0.0.1", "--name", "a b"], "--name"),
    ("both families", ["host", "a.test", "-4", "-6"], "-4 and -6"),
    ("an unknown option", ["host", "127.0.0.1", "--frobnicate"], "--frobnicate"),
    ("no target", ["host"], "HOST"),
    ("a literal that is none", ["host", "127.0.0.1", "--ehlo", "[x\r\nRSET]"], "brackets"),
    ("a source of others", ["host", "127.0.0.1", "--source", "192.0.2.1"], "--source 192.0.2.1"),
    ("families apart", ["host", "127.0.0.1", "--source", "127.0.0.1", "-6"], "other family"),
    ("not of that family", ["host", "127.0.0.1", "-6"], "is not an IPv6 address"),
    ("a port twice", ["host", "127.0.0.1", "-p", "25:mx", "-p", "25:submission"], "given twice"),
    ("saved nowhere", ["host", "127.0.0.1", "--save", ""], "give the name of a file"),
    ("saved to stdout", ["host", "127.0.0.1", "--save", "-"], "give the name of a file"),
    ("redact alone", ["host", "127.0.0.1", "--redact"], "--save"),
    ("a folder that is not", ["host", "127.0.0.1", "--save", "/nowhere/x"], "no folder"),
    ("no saved file", ["judge", "/nowhere"], "/nowhere: No such file"),
    ("a folder", ["judge", "/"], "directory"),
    ("an unknown finding", ["explain", "port-close"], "port-closed"),
    ("an unknown shell", ["completion", "tcsh"], "tcsh"),
]


@pytest.mark.parametrize(("what", "arguments", "said"), BAD, ids=[bad[0] for bad in BAD])
def test_one_line_and_status_2(what: str, arguments: list[str], said: str) -> None:
    run = run_smtpcheck(*arguments)
    assert run.status == 2, (what, run)
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("smtpcheck: error: ")
    assert said in run.stderr


SAVED = [
    ("empty", b"", "no JSON, or cut short"),
    ("cut short", b'{"schema": 1, "tool": "smtp', "no JSON, or cut short"),
    ("foreign", b'{"schema": 1, "hello": 1}', "no saved observation"),
    ("a list", b"[]", "no saved observation"),
    ("a newer schema", b'{"schema": 99}', "newer smtpcheck"),
    ("not text", b"\xff\xfe\x00", "no JSON, or cut short"),
    ("nested", b"[" * 100_000, "no"),
]


@pytest.mark.parametrize(("what", "data", "said"), SAVED, ids=[saved[0] for saved in SAVED])
def test_a_saved_file_that_is_none(what: str, data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(data)
    run = run_smtpcheck("judge", str(path))
    assert run.status == 2, (what, run)
    assert run.stderr.count("\n") == 1
    assert str(path) in run.stderr
    assert said in run.stderr


def test_the_environment_is_input_too() -> None:
    run = run_smtpcheck("host", "127.0.0.1", SMTPCHECK_TIMEOUT="soon")
    assert run.status == 2
    assert "SMTPCHECK_TIMEOUT" in run.stderr or "--timeout" in run.stderr
