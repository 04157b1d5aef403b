"""Every observation that a rule is tested on can be shown, both ways."""

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # has no types of its own
import pytest

from smtpcheck import codec
from smtpcheck.judge.judge import judge
from smtpcheck.judge.report import Report
from smtpcheck.render import json as report_json
from smtpcheck.render.console import render
from smtpcheck.render.look import PAGE

TESTS = Path(__file__).parents[1]
FILES = sorted((TESTS / "judge").glob("*/*.json"))
SCHEMA = json.loads((TESTS.parent / "docs" / "schema" / "report-1.json").read_text("utf-8"))


def read(file: Path) -> Report:
    """The file, judged."""
    return judge(codec.decode(file.read_bytes()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_saved_observation_is_shown(file: Path) -> None:
    report = read(file)
    page = render(report, transcripts=True)
    *lines, last, _ = page.split("\n")
    assert max(map(len, lines)) <= PAGE
    assert page.replace("\n", "").isprintable()
    assert last.startswith(f"{report.observation.target.given}: {report.status.upper()}, ")
    assert all(finding.id in page for finding in report.findings)
    assert render(read(file), transcripts=True) == page
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(report_json.render(report)))


def test_there_are_such_files() -> None:
    assert len(FILES) > 50
