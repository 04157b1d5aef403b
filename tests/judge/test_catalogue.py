"""Every rule is complete: a number, a page, a remedy, and two observations that pin it down."""

import ast
from pathlib import Path
from string import Formatter

import pytest

from smtpcheck import codec
from smtpcheck.facts.observation import Observation
from smtpcheck.judge import certificate, judge, rules
from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import ByRole, Rule
from smtpcheck.judge.report import Finding, Report, Severity, Status
from smtpcheck.judge.rules import BY_ID, RULES
from tests.judge.build import healthy
from tests.judge.fixtures import FIXTURES

FOLDER = Path(__file__).parent
JUDGE = Path(rules.__file__).parent

# The agreed list: id, area, severity (inconclusive: of that status).
AGREED = {
    "domain-undeliverable": ("dns", "critical"),
    "dns-inconclusive": ("dns", "inconclusive"),
    "port-closed": ("connect", "error"),
    "port-timeout": ("connect", "error"),
    "egress-blocked": ("connect", "inconclusive"),
    "banner-slow": ("connect", "notice"),
    "banner-malformed": ("connect", "error"),
    "banner-discloses-software": ("connect", "info"),
    "service-refused": ("connect", "error"),
    "client-throttled": ("connect", "inconclusive"),
    "session-dropped": ("connect", "error"),
    "ehlo-rejected": ("protocol", "error"),
    "ehlo-reply-malformed": ("protocol", "error"),
    "extensions-missing": ("protocol", "notice"),
    "size-limit-low": ("protocol", "notice"),
    "trusted-extension-exposed": ("protocol", "error"),
    "binarymime-without-chunking": ("protocol", "error"),
    "smtputf8-without-8bitmime": ("protocol", "error"),
    "requiretls-before-tls": ("protocol", "error"),
    "lmtp-on-smtp-port": ("protocol", "error"),
    "starttls-missing": ("starttls", "warning on an MX, error on submission"),
    "starttls-handshake-fails": ("starttls", "critical"),
    "tls-on-plaintext-port": ("starttls", "error"),
    "implicit-tls-missing": ("starttls", "notice"),
    "plaintext-on-implicit-port": ("starttls", "error"),
    "submission-cleartext": ("starttls", "error"),
    "tls-legacy-version": ("tls", "notice on an MX, error on submission"),
    "tls-modern-missing": ("tls", "error"),
    "cert-outside-validity": ("certificate", "error on an MX, critical on submission"),
    "cert-expires-soon": ("certificate", "warning"),
    "cert-name-mismatch": ("certificate", "warning on an MX, error on submission"),
    "cert-untrusted": ("certificate", "notice on an MX, error on submission"),
    "cert-chain-incomplete": ("certificate", "warning on an MX, error on submission"),
    "cert-weak": ("certificate", "error"),
    "auth-missing": ("auth", "error"),
    "auth-in-cleartext": ("auth", "error"),
    "auth-legacy-mechanism": ("auth", "warning"),
    "auth-on-mx": ("auth", "notice"),
}

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def saved(rule: Rule, name: str) -> Observation:
    return codec.decode((FOLDER / rule.id / f"{name}.json").read_bytes())


def found(report: Report, rule: Rule) -> list[Finding]:
    every = (*report.findings, *report.consequences)
    return [finding for finding in every if finding.id == rule.id]


def test_the_catalogue_is_the_agreed_list() -> None:
    stated = {rule.id: (rule.area, _stated(rule)) for rule in RULES}
    assert stated == AGREED


def _stated(rule: Rule) -> str:
    if rule.status is Status.INCONCLUSIVE:
        assert rule.severity is Severity.NOTICE
        return "inconclusive"
    return str(rule.severity) if isinstance(rule.severity, ByRole) else rule.severity.word


def test_no_two_rules_share_an_id() -> None:
    assert len(BY_ID) == len(RULES)


@each_rule
def test_fires(rule: Rule) -> None:
    findings = found(judge(saved(rule, "fires")), rule)
    assert findings
    for finding in findings:
        assert finding.status is rule.status
        assert finding.evidence
        assert "{" not in finding.remedy + finding.message


@each_rule
def test_a_pair_made_by_hand_differs_in_one_rule_too(rule: Rule) -> None:
    fires, quiet = FIXTURES[rule.id]
    assert found(judge(fires), rule)
    assert not found(judge(quiet), rule)


@each_rule
def test_quiet(rule: Rule) -> None:
    assert not found(judge(saved(rule, "quiet")), rule)


@each_rule
def test_evidence_points_into_the_observation(rule: Rule) -> None:
    observation = saved(rule, "fires")
    for finding in found(judge(observation), rule):
        for evidence in finding.evidence:
            if evidence.lookup >= 0:
                assert evidence.lookup < len(observation.dns)
            else:
                assert 0 <= evidence.step < len(observation.steps)
            assert evidence.excerpt


@each_rule
def test_the_page_says_what_it_means_why_it_matters_and_how_servers_get_there(rule: Rule) -> None:
    assert len(rule.page) == 3
    assert all(part.endswith(".") and len(part) > 20 for part in rule.page)
    assert rule.page[2].startswith(("Servers get here", "Runs get here"))


@each_rule
def test_remedy_and_reference_are_given(rule: Rule) -> None:
    fills = [name for _, name, _, _ in Formatter().parse(rule.remedy) if name is not None]
    assert rule.remedy
    assert all(name.isidentifier() for name in fills)
    assert rule.reference.startswith(("RFC ", "Postfix "))


@each_rule
def test_what_a_rule_needs_is_something_that_a_case_has(rule: Rule) -> None:
    assert all(hasattr(Case, need) or need == "dialogue" for need in rule.needs)


@each_rule
def test_causes_are_rules_and_never_go_in_a_circle(rule: Rule) -> None:
    seen: set[str] = set()
    ahead = list(rule.explained_by)
    while ahead:
        cause = BY_ID[ahead.pop()]
        assert cause.id != rule.id
        if cause.id not in seen:
            seen.add(cause.id)
            ahead += cause.explained_by


@pytest.mark.parametrize("ports", [(25, 465, 587), (25,), (465,), (587,)], ids=str)
def test_a_healthy_host_is_called_healthy(ports: tuple[int, ...]) -> None:
    report = judge(healthy(*ports))
    assert report.findings == report.consequences == ()
    assert report.worst is None


@each_rule
def test_the_same_file_gives_the_same_report(rule: Rule) -> None:
    assert judge(saved(rule, "fires")) == judge(saved(rule, "fires"))


FORBIDDEN_CALLS = {"now", "today", "utcnow", "time", "monotonic", "open", "read_bytes", "getenv"}


@pytest.mark.parametrize("path", sorted(JUDGE.glob("*.py")), ids=lambda path: path.name)
def test_no_module_of_the_judge_reads_a_clock_or_a_file(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text()))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    named = {getattr(call, "attr", None) or getattr(call, "id", "") for call in calls}
    assert not named & FORBIDDEN_CALLS


def test_the_causal_order_of_certificates_is_written_down() -> None:
    assert "Causal order" in (certificate.__doc__ or "")
