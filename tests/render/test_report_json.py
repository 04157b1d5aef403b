"""The JSON keeps its contract: the committed schema, the shape, the order, the words."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # has no types of its own
import pytest

from smtpcheck import codec
from smtpcheck.judge.report import Judgement, Report, Severity
from smtpcheck.render import json as report_json
from tests.render import build, hostile

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "report-1.json"
REPORTS = {
    "healthy": build.HEALTHY,
    "broken": build.BROKEN,
    "nowhere": build.NOWHERE,
    "silent": build.SILENT,
    "hostile": hostile.report(hostile.TEXTS["all"]),
}


def parsed(report: Report, *, with_observation: bool = False) -> dict[str, Any]:
    """What a script gets."""
    document: dict[str, Any] = json.loads(
        report_json.render(report, with_observation=with_observation)
    )
    return document


def test_committed_schema_is_the_generated_one() -> None:
    """After a wanted change: python -m smtpcheck.render.json > docs/schema/report-1.json"""
    assert SCHEMA.read_text(encoding="utf-8") == report_json.schema()


def test_module_prints_the_schema() -> None:
    command = [sys.executable, "-m", "smtpcheck.render.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == report_json.schema()


@pytest.mark.parametrize("with_observation", [False, True])
@pytest.mark.parametrize("name", REPORTS)
def test_reports_fit_the_schema(name: str, with_observation: bool) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    document = parsed(REPORTS[name], with_observation=with_observation)
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [("status", "maybe"), ("worst", "terrible"), ("schema", 2), ("took", "long"), ("findings", {})],
)
def test_schema_refuses_what_is_not_a_report(key: str, value: object) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    document = parsed(build.BROKEN) | {key: value}
    assert not jsonschema.Draft202012Validator(schema).is_valid(document)


def test_keys_of_the_contract() -> None:
    contract = ["schema", "tool", "target", "started", "took", "status", "worst"]
    document = parsed(build.BROKEN)
    assert list(document)[:7] == contract
    assert {"findings", "verdicts", "unchecked", "consequences"} < document.keys()
    assert "observation" not in document
    assert {key: document[key] for key in contract} == {
        "schema": 1,
        "tool": "smtpcheck 0.1.0",
        "target": "mail.example.org",
        "started": "2031-05-06T12:00:00Z",
        "took": 1.84,
        "status": "fail",
        "worst": "critical",
    }


def test_findings_are_root_causes_worst_first_and_what_is_inconclusive_last() -> None:
    upside_down = replace(build.BROKEN, findings=build.BROKEN.findings[::-1])
    found = [(f["severity"], f["status"]) for f in parsed(upside_down)["findings"]]
    assert found == [
        ("critical", "fail"),
        ("error", "fail"),
        ("warning", "fail"),
        ("info", "fail"),
        ("notice", "inconclusive"),
    ]


def test_a_consequence_is_never_among_the_findings() -> None:
    document = parsed(build.BROKEN)
    assert not any("explained_by" in finding for finding in document["findings"])
    assert [f["explained_by"] for f in document["consequences"]] == ["cert-outside-validity"]


def test_a_finding_has_all_fields_of_the_contract() -> None:
    finding = parsed(build.BROKEN)["findings"][0]
    assert finding == {
        "id": "cert-outside-validity",
        "area": "certificate",
        "severity": "critical",
        "status": "fail",
        "subject": {
            "host": "mail.example.org",
            "address": "192.0.2.7",
            "port": 465,
            "role": "submissions",
        },
        "message": build.EXPIRED.message,
        "remedy": build.EXPIRED.remedy,
        "reference": "RFC 5280 §4.1.2.5",
        "evidence": [
            {
                "step": 1,
                "event": 6,
                "excerpt": "notAfter=2031-05-03 12:00:00, CN=mail.example.org",
            }
        ],
        "causes": ["cert-untrusted@192.0.2.7:465", "cert-untrusted@192.0.2.7:587"],
        "also": [
            {"host": build.NAME, "address": build.V4, "port": 587, "role": "submission"},
            {"host": build.NAME, "address": build.V6, "port": 465, "role": "submissions"},
        ],
    }


def test_only_what_applies_is_there() -> None:
    finding = parsed(build.SILENT)["findings"][0]
    assert finding["subject"] == {"host": "mail.example.org"}
    assert (finding["evidence"], finding["causes"]) == ([], [])
    assert finding.keys().isdisjoint({"also", "explained_by"})
    verdict = parsed(build.BROKEN)["verdicts"][0]
    assert verdict.keys() == {"rule", "subject", "outcome"}


def test_no_fault_is_null() -> None:
    assert parsed(build.HEALTHY)["worst"] is None


def test_observation_is_the_saved_file() -> None:
    document = parsed(build.BROKEN, with_observation=True)
    saved = codec.decode(json.dumps(document["observation"]).encode())
    assert saved == build.BROKEN.observation
    assert json.loads(codec.encode(saved)) == document["observation"]


def test_words_are_those_of_the_judge() -> None:
    assert set(get_args(report_json.Severity)) == {severity.word for severity in Severity}
    assert set(get_args(report_json.Result)) == set(Judgement) - {Judgement.NOT_APPLICABLE}


def test_output_is_the_same_for_the_same_report_and_ends_with_a_line_end() -> None:
    text = report_json.render(build.BROKEN)
    assert text == report_json.render(replace(build.BROKEN))
    assert text.endswith("\n}\n")
