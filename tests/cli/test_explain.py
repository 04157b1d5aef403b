"""`smtpcheck explain`: findings, reply codes and status codes in words."""

import json

import pytest

from tests.conftest import run_smtpcheck


def test_without_a_term_all_findings_are_listed() -> None:
    run = run_smtpcheck("explain")
    listed = json.loads(run_smtpcheck("explain", "--format", "json").stdout)
    assert len(listed) >= 38
    assert all(f"  {page['id']} " in run.stdout for page in listed)
    assert max(map(len, run.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("cert-chain-incomplete", "fullchain.pem"),
        ("535", "credentials were refused"),
        ("5.7.8", "credentials were refused"),
        ("421", "RFC 5321"),
        ("599", "not registered"),
    ],
)
def test_a_term_is_explained(term: str, said: str) -> None:
    run = run_smtpcheck("explain", term)
    assert run.status == 0
    assert said in run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 80


def test_a_finding_as_data() -> None:
    page = json.loads(run_smtpcheck("explain", "port-closed", "--format", "json").stdout)
    assert page["id"] == "port-closed"
    assert all(page[part] for part in ("meaning", "why", "how", "remedy", "reference"))
