"""Whole pages, compared byte for byte with files that a person has looked at.

After a wanted change: SMTPCHECK_REWRITE=1 pytest tests/render, then read the diff.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from smtpcheck import codec
from smtpcheck.judge.report import Report
from smtpcheck.render.console import render
from smtpcheck.render.look import Look
from tests.render import build, hostile

PAGES = Path(__file__).parent / "pages"
PLAIN = Look()

CASES: dict[str, tuple[Report, Look, bool]] = {
    "healthy": (build.HEALTHY, PLAIN, False),
    "broken": (build.BROKEN, PLAIN, False),
    "broken-color": (build.BROKEN, Look(color=True), False),
    "broken-ascii": (build.BROKEN, Look(unicode=False), True),
    "broken-narrow": (build.BROKEN, Look(width=40), False),
    "broken-wide": (build.BROKEN, Look(width=120), True),
    "nowhere": (build.NOWHERE, PLAIN, False),
    "silent": (build.SILENT, PLAIN, False),
    "two-names": (build.TWO_NAMES, PLAIN, False),
    "hostile": (hostile.report(hostile.TEXTS["all"]), PLAIN, True),
}


@pytest.mark.parametrize("name", CASES)
def test_page_is_the_one_that_was_read(name: str) -> None:
    report, look, transcripts = CASES[name]
    page = render(report, look, transcripts=transcripts)
    file = PAGES / f"{name}.txt"
    if os.environ.get("SMTPCHECK_REWRITE"):
        file.write_text(page, encoding="utf-8")
        pytest.skip("rewritten: read the diff")
    assert page == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"hostile"}))  # which no file can hold
def test_saved_observation_gives_the_same_page(name: str) -> None:
    report, look, transcripts = CASES[name]
    saved = codec.decode(codec.encode(report.observation))
    again = render(replace(report, observation=saved), look, transcripts=transcripts)
    assert again == render(report, look, transcripts=transcripts)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"broken-color"}))
def test_lines_keep_to_the_width(name: str) -> None:
    report, look, transcripts = CASES[name]
    *lines, last, end = render(report, look, transcripts=transcripts).split("\n")
    assert max(map(len, lines)) <= look.width
    assert all(line == line.rstrip() for line in lines)
    assert last.startswith(hostile.first_words(report))
    assert end == ""


@pytest.mark.parametrize("name", CASES)
def test_without_color_there_is_no_escape_and_with_it_the_same_words(name: str) -> None:
    report, look, transcripts = CASES[name]
    plain = render(report, replace(look, color=False), transcripts=transcripts)
    colored = render(report, replace(look, color=True), transcripts=transcripts)
    assert "\x1b" not in plain
    assert "\x1b" in colored
    stripped = [line.rstrip() for line in hostile.SGR.sub("", colored).split("\n")]
    assert stripped == plain.split("\n")


def test_ascii_page_is_ascii() -> None:
    assert render(build.BROKEN, Look(unicode=False), transcripts=True).isascii()


def test_quiet_leaves_the_last_line() -> None:
    page = render(build.BROKEN, PLAIN, quiet=True)
    assert page == (
        "mail.example.org: FAIL, 1 critical, 1 error, 1 warning, 1 info, 1 inconclusive;"
        " 31 checks, 1.8 s\n"
    )
    assert render(build.BROKEN, PLAIN).endswith("\n\n" + page)


def test_worst_comes_first_whatever_the_order() -> None:
    upside_down = replace(build.BROKEN, findings=build.BROKEN.findings[::-1])
    assert render(upside_down) == render(build.BROKEN)
