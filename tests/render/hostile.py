"""Texts that a server sends to harm whoever reads the report, in every place it can put them."""

import re
from dataclasses import replace

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.smtp import Ehlo
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Certificate
from smtpcheck.facts.transcript import Layer
from smtpcheck.judge.report import Evidence, Finding, Report, Severity, Status, Subject, Unchecked
from smtpcheck.render.escape import escaped
from smtpcheck.wire.extension import Extension
from smtpcheck.wire.reply import Reply
from tests.render import build

SGR = re.compile(r"\x1b\[[0-9;]*m")
"""What rich itself writes for a colour: nothing else may begin with ESC."""

TEXTS = {
    "clear screen": "\x1b[2J\x1b[H250 fine",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.test\x1b\\click\x1b]8;;\x1b\\",
    "eight-bit CSI": "\x9b31mred",
    "device control": "\x1bP+q544e\x1b\\",
    "markup": "[red]x[/red] [link=http://evil.test]y[/link] [/] :warning:",
    "bidi": "\u202egpj.exe\u2066\u2069",
    "zero width": "a\u200bb\u200d\ufeff\u00adc\u034f\ufe0f",
    "stacked marks": "Z\u0300\u0301\u0302\u0303\u0304\u0305",
    "tag characters": "\U000e0041\U000e007f",
    "NUL and DEL": "a\0b\x7f",
    "new lines": "250 ok\r\nFAIL\n\x85\u2028\u2029\x0b\x0cPASS",
    "backspace": "554\x08\x08\x08250",
    "surrogates": "\ud800 \udcff",
    "backslash": "\\x1b[2J",
    "ten kilobytes": "x" * 10_240,
    "wide": "漢" * 500,
    "blank letters": "\u3164\u115f\u2800",
}
TEXTS["all"] = " ".join(
    text for name, text in TEXTS.items() if name not in ("ten kilobytes", "wide")
)


def report(text: str) -> Report:
    """A report with `text` wherever a peer, its DNS or a foreign file may put one."""
    octets = text.encode("utf-8", "surrogatepass")
    subject = Subject(host=text, address=text, port=25, role=text)
    finding = Finding(
        id=text,
        area=text,
        severity=Severity.ERROR,
        subject=subject,
        also=(Subject(domain=text),),
        message=text,
        remedy=text,
        reference=text,
        evidence=(Evidence(excerpt=text), Evidence(step=0, event=0), Evidence(lookup=0)),
        causes=(f"{text}@{text}",),
    )
    seen = build.observation(_step(text, octets), name=text, skipped=(text,))
    return Report(
        observation=replace(
            seen,
            tool=text,
            vantage=replace(seen.vantage, ehlo=text, resolver=text, trust=text, library=text),
            dns=(Lookup(name=text, rdtype="A", answer=Answer.FOUND, values=(text,)),),
        ),
        findings=(
            finding,
            replace(finding, status=Status.INCONCLUSIVE, evidence=(Evidence(step=0, event=1),)),
        ),
        consequences=(replace(finding, explained_by=text),),
        unchecked=(Unchecked(what=text, why=text),),
    )


def _step(text: str, octets: bytes) -> Step:
    exchange = build.exchange(b"250 ok\r\n")
    ehlo = Ehlo(
        verb="EHLO",
        exchange=replace(exchange, reply=Reply(code=250, lines=(text,), raw=octets)),
        extensions=(Extension("AUTH", (text, text + text)),),
    )
    return Step(
        probe=Probe.DIALOGUE,
        host=replace(build.host(build.V4, 25), address=text, name=text),
        connected=0.1,
        ehlo_tls=ehlo,
        tls=replace(build.session(1, version=text), chain=(Certificate(common_name=text),)),
        failure=Failure(stage=Stage.EHLO, kind=Kind.CLOSED, detail=text),
        transcript=build.dialogue(
            build.said(0.1, octets),
            build.said(0.2, octets + b"\r\n", Layer.TLS),
            build.sent(0.3, octets, note=text),
            build.remark(0.4, text),
        ),
    )


def first_words(report: Report) -> str:
    """How the last line begins."""
    return f"{escaped(report.observation.target.given, 80)}: "
