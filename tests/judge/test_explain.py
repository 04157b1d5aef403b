"""What `explain` has to tell: a page for every finding, a meaning for every code."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.judge.codes import REPLIES, STATUSES, Code, code
from smtpcheck.judge.explain import Page, Unknown, explain, pages
from smtpcheck.judge.rules import RULES


def test_every_finding_has_a_page_in_the_order_of_the_catalogue() -> None:
    assert [page.id for page in pages()] == [rule.id for rule in RULES]
    for page in pages():
        assert explain(page.id) == page
        assert all((page.meaning, page.why, page.how, page.remedy, page.reference))
        assert "{" not in page.remedy


def test_a_page_tells_severity_by_role_and_what_explains_what() -> None:
    page = explain("CERT-UNTRUSTED")
    assert isinstance(page, Page)
    assert page.severity == "notice on an MX, error on submission"
    assert page.explained_by == ("cert-chain-incomplete", "cert-weak")
    assert page.explains == ("cert-name-mismatch",)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cert_weak", "cert-weak"),
        ("starttls-mising", "starttls-missing"),
        ("cert-expired", "cert-expires-soon"),
        ("port closed", "port-closed"),
        ("legacy-version", "tls-legacy-version"),
    ],
)
def test_a_typo_is_met_with_what_may_have_been_meant(typed: str, meant: str) -> None:
    answer = explain(typed)
    assert isinstance(answer, Unknown)
    assert answer.close[0] == meant


def test_nonsense_has_nothing_near() -> None:
    assert explain("zzzzzz") == Unknown(term="zzzzzz")


# RFC 5321 §4.2.3, RFC 4954 §6, RFC 3207 §4, RFC 7504, RFC 1985, RFC 2645.
STANDARD = (
    *(211, 214, 220, 221, 235, 250, 251, 252, 253, 334, 354, 421, 432, 450, 451, 452, 453, 454),
    *(455, 458, 459, 500, 501, 502, 503, 504, 521, 530, 534, 535, 538, 550, 551, 552, 553, 554),
    *(555, 556),
)


def test_every_standard_reply_code_is_known() -> None:
    assert tuple(sorted(REPLIES)) == STANDARD


# The registry's enumerated codes: for each subject the highest detail, none left out below it.
REGISTERED = {0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}


def test_every_registered_status_is_known() -> None:
    assert set(STATUSES) == {(s, d) for s, last in REGISTERED.items() for d in range(last + 1)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("535", "credentials were refused"),
        ("5.7.8", "credentials were refused"),
        ("4.7.0", "Temporary failure"),
        ("554", "no SMTP service"),
        ("5.1.1", "no such mailbox"),
        ("2.1.5", "Success"),
        ("5.7.26", "authentication checks"),
    ],
)
def test_known(text: str, words: str) -> None:
    answer = explain(text)
    assert isinstance(answer, Code)
    assert answer.known
    assert answer.code == text
    assert words in answer.meaning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("299", "Success"),
        ("461", "Refused for now"),
        ("599", "Refused for good"),
        ("525", "the connection"),
        ("4.3.99", "the mail system of the receiver"),
        ("5.9.0", "no standard defines"),
        ("5.7.999", "security or policy"),
    ],
)
def test_unknown_codes_are_read_by_their_digits(text: str, words: str) -> None:
    answer = explain(text)
    assert isinstance(answer, Code)
    assert not answer.known
    assert words in answer.meaning


@pytest.mark.parametrize(
    "text", ["199", "600", "25", "5350", "3.0.0", "5.7", "5.7.8.1", "5.7.1000"]
)
def test_no_codes(text: str) -> None:
    assert code(text) is None


@given(st.text())
def test_never_raises(text: str) -> None:
    assert isinstance(explain(text), Page | Code | Unknown)


HEAVY = ("click", "rich", "dns", "ssl", "asyncio", "cryptography", "msgspec", "idna", "OpenSSL")


def test_judging_loads_nothing_heavy() -> None:
    script = (
        "import sys, smtpcheck.judge, smtpcheck.judge.explain;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
