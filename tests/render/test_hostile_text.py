"""Nothing that a peer sends acts on the terminal or breaks the JSON."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.judge.report import Report
from smtpcheck.render import json as report_json
from smtpcheck.render import transcript
from smtpcheck.render.console import render
from smtpcheck.render.escape import LONGEST, binary, escaped, hexadecimal, lines, octets, sentence
from smtpcheck.render.findings import seen
from smtpcheck.render.look import Look
from tests.render import build, hostile

ESCAPED = {
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "a\0b\x7f": r"a\x00b\x7f",
    "\r\n\t": r"\r\n\t",
    "\u202e": r"\u202e",
    "\u200b\ufeff\u034f": r"\u200b\ufeff\u034f",
    "\U000e0041": r"\U000e0041",
    "\ud800\udcff": r"\ud800\xff",
    "C:\\x1b": r"C:\\x1b",
    "[red]x[/red]": "[red]x[/red]",
    "Grüße, 漢字": "Grüße, 漢字",
    "\u00a0\u2003\u3164": r"\xa0\u2003\u3164",
    "": "",
}


@pytest.mark.parametrize("text", ESCAPED)
def test_visible_form(text: str) -> None:
    assert escaped(text) == ESCAPED[text]


def test_a_sentence_of_ours_keeps_what_it_has_spelled_out() -> None:
    assert sentence(r"greets with \u001b[2J" + "\x1b[2J") == r"greets with \u001b[2J\x1b[2J"


def test_length_is_bounded_and_what_is_cut_is_counted() -> None:
    assert escaped("x" * 10_240, 10) == "xxxxxxxxxx… (+10230)"
    assert escaped("\x1b" * 4, 10) == r"\x1b\x1b… (+2)"
    assert escaped("漢" * 10, 10) == "漢漢漢漢漢… (+5)"
    assert escaped("x" * 10, 10) == "x" * 10


@given(st.text(alphabet=st.characters()), st.integers(0, 40))
def test_any_text_becomes_one_printable_line(text: str, limit: int) -> None:
    shown = escaped(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit + len(f"… (+{len(text)})")


@given(st.binary(max_size=300))
def test_any_octets_become_printable_lines(data: bytes) -> None:
    assert octets(data).isprintable()
    assert hexadecimal(data).isprintable()
    assert all(line.isprintable() for line in lines(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"220 a\r\n", ("220 a",)),
        (b"250-a\r\n250 b\r\n", ("250-a", "250 b")),
        (b"250 a\n", (r"250 a\n",)),
        (b"250 a\r\r\n", (r"250 a\r",)),
        (b"250 a", ("250 a ‹no line end›",)),
        (b"\r\n", ("",)),
        (b"\xff\r\n", (r"\xff",)),
        (b"", ()),
    ],
)
def test_ends_of_lines(data: bytes, expected: tuple[str, ...]) -> None:
    assert lines(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x16\x03\x01\x00\x01", True),
        (b"a\0", True),
        (b"\x01\x02abc", True),
        (b"220 \x1b[31mred\r\n", False),
        ("250 Grüße\r\n".encode(), False),
        (b"", False),
    ],
)
def test_binary(data: bytes, expected: bool) -> None:
    assert binary(data) is expected


def test_binary_is_counted_and_shown_in_part() -> None:
    assert hexadecimal(b"\x16\x03\x01") == "‹3 octets› 16 03 01"
    assert hexadecimal(bytes(517), 4) == "‹517 octets› 00 00 00 00 …"


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("unicode", [False, True])
@pytest.mark.parametrize("name", hostile.TEXTS)
def test_nothing_of_the_peer_acts_on_the_terminal(name: str, unicode: bool, color: bool) -> None:
    page = render(_report(name), Look(color=color, unicode=unicode), transcripts=True)
    assert hostile.SGR.sub("", page).replace("\n", "").isprintable()
    assert len(page) < 60 * 1024


def test_markup_is_text() -> None:
    page = render(_report("markup"), Look(width=120, color=True))
    assert "[red]x[/red] [link=http://evil.test]y[/link] [/] :warning:" in page


@pytest.mark.parametrize("name", hostile.TEXTS)
def test_transcript_as_text(name: str) -> None:
    assert transcript.render(_report(name).observation).replace("\n", "").isprintable()


def test_a_flood_of_lines_is_cut_and_counted() -> None:
    flood = build.dialogue(build.said(0.1, b"\n" * 5000), build.remark(0.2, "closed"))
    shown = list(transcript.lines(replace(build.healthy(build.V4, 25), transcript=flood)))
    assert len(shown) == transcript.MOST_LINES + 1
    assert shown[-1].text == f"{5001 - transcript.MOST_LINES} more lines are not shown"


@pytest.mark.parametrize("name", hostile.TEXTS)
def test_json_is_printable_ascii_and_says_the_same(name: str) -> None:
    text = report_json.render(_report(name), with_observation=True)
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    document: dict[str, Any] = json.loads(text)
    assert text.encode("utf-8").decode("utf-8") == text
    expected = hostile.TEXTS[name].encode("utf-8", "backslashreplace").decode("utf-8")
    assert document["target"] == expected
    assert document["findings"][0]["evidence"][0]["excerpt"] == expected[: report_json.EXCERPT]
    assert not any("\ud800" <= c <= "\udfff" for c in json.dumps(document, ensure_ascii=False))


def test_excerpt_is_bounded_in_the_page() -> None:
    report = _report("ten kilobytes")
    shown = f"{'x' * LONGEST}… (+{10_240 - LONGEST}) (and 2 more)"
    assert seen(report.findings[0], report.observation) == shown


def _report(name: str) -> Report:
    return hostile.report(hostile.TEXTS[name])
