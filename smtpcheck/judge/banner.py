"""Rules about the greeting: when it comes, and what it says."""

import re

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.step import Step
from smtpcheck.facts.transcript import Side
from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import Remark, Said, rule
from smtpcheck.judge.report import Severity
from smtpcheck.judge.words import QUIRKS, UNFRAMED, protocol, shown, told
from smtpcheck.wire.reply import Quirk, Reply

SLOW = 10.0
"""Seconds before a greeting counts as late. Postfix's postscreen takes 6."""


@rule(
    "banner-slow",
    area="connect",
    severity=Severity.NOTICE,
    reference="RFC 5321 §4.5.3.2.1",
    remedy="See what the server does before it greets: look-ups of the client's address "
    "against a slow resolver, block lists that no longer answer, a greet delay.",
    needs=("connected",),
    explained_by=("tls-on-plaintext-port",),
)
def banner_slow(case: Case) -> Said:
    """The greeting takes longer than ten seconds, or does not come at all.

    Mail servers must wait five minutes for it; mail programs and monitors often give up
    after ten to thirty seconds, and report that the server is down.

    Servers get here when the reverse look-up of the client or a block list times out, when a
    tarpit delays unknown clients on purpose, or when all processes are busy.
    """
    failure = case.failure
    # OpenSMTPD delays before the handshake where TLS comes first.
    before = case.tls.took if case.tls and case.implicit else 0.0
    if case.greeting and (took := before + case.greeting.took) > SLOW:
        yield Remark(
            message=f"the greeting took {took:.0f} seconds",
            evidence=case.quote(case.greeting, f"after {took:.1f} s"),
        )
    elif failure and failure.stage is Stage.GREETING and failure.kind is Kind.TIMED_OUT:
        begun = _heard(case.dialogue)
        yield Remark(
            message=f"the greeting begins, {shown(begun, 80)}, and did not end as long as we waited"
            if begun
            else "the connection stands, but no greeting came as long as we waited",
            evidence=case.evidence(case.dialogue, excerpt=begun or told(failure)),
            severity=Severity.WARNING,
        )


@rule(
    "banner-malformed",
    area="connect",
    severity=Severity.ERROR,
    reference="RFC 5321 §4.2, §4.3.1",
    remedy="Let the greeting be `220 ` and the full name of the host, in lines that end in "
    "CRLF; if the server is set so, look for a middlebox that rewrites it.",
    needs=("connected",),
)
def banner_malformed(case: Case) -> Said:
    """The greeting breaks the form that RFC 5321 gives it.

    A line that is not a reply, or does not end as it must, makes clients lose step or hang
    up. A greeting that does not begin with the host's name is read by all, yet tells of a
    wrong configuration or of a firewall that masks the text.

    Servers get here through hand-written banners, through scripts that print a bare LF,
    through another protocol on the port, or through an inspecting firewall (asterisks).
    """
    if case.greeting is None:
        if case.failure and case.failure.stage is Stage.GREETING:
            yield from endless(case, "greeting")
        return
    reply = case.greeting.reply
    faults = [QUIRKS[quirk] for quirk in reply.quirks]
    if Quirk.NOT_A_REPLY in reply.quirks and (other := protocol(reply.text)):
        faults.append(f"it looks like {other}")
    broken = bool(UNFRAMED.intersection(reply.quirks)) or _impossible(reply)
    if reply.code == 220 and not _names_host(reply.text):
        faults.append("it does not begin with the name of the host")
        broken = True
    if faults:
        yield Remark(
            message=f"the greeting is malformed: {'; '.join(faults)}",
            evidence=case.quote(case.greeting),
            severity=None if broken else Severity.NOTICE,
        )


@rule(
    "banner-discloses-software",
    area="connect",
    severity=Severity.INFO,
    reference="RFC 5321 §7.5",
    remedy="Shorten the banner if your policy asks for it; a fixed version matters more.",
    needs=("greeting",),
)
def banner_discloses_software(case: Case) -> Said:
    """The greeting announces a product with its version.

    Scanners sort servers by it when a flaw becomes known. It helps those who debug mail as
    well: RFC 5321 leaves the choice to the operator.

    Servers get here by default: Exim and Sendmail print their version, Postfix does not.
    """
    if case.greeting and (found := software(case.greeting.reply)):
        yield Remark(message=f"the greeting announces {found}", evidence=case.quote(case.greeting))


@rule(
    "service-refused",
    area="connect",
    severity=Severity.ERROR,
    reference="RFC 5321 §3.1; RFC 7504 §3",
    remedy="Read the text of the reply: it tells a block list, a host that takes no mail, or "
    "maintenance. smtpcheck explain {code} says what the code stands for.",
    needs=("greeting",),
)
def service_refused(case: Case) -> Said:
    """The server greets with a permanent refusal.

    Nothing can be done on this connection but QUIT. Senders take it as a failure of this
    host, try the next MX, and return the mail when there is none.

    Servers get here when the client's address is on a block list or lacks a reverse name,
    when the host is declared to take no mail (521), or when the service is closed.
    """
    if case.greeting and case.greeting.reply.permanent:
        reply = case.greeting.reply
        yield Remark(
            message=f"the server greets with {shown(str(reply))}",
            evidence=case.quote(case.greeting),
            fill={"code": str(reply.code)},
        )


_PRODUCT = re.compile(
    r"\b([A-Za-z][A-Za-z+_-]{2,30})(?: Pro| Server| MTA| Service)?,?"
    r"[ /(-]{1,3}(?:[Vv]ersion:? ?|[Vv](?:er\.?|\.)? ?)?(\d{1,4}\.\d[\w.+-]{0,20})\)?"
)
_NO_PRODUCT = (
    *("mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may"),
    *("jun", "jul", "aug", "sep", "oct", "nov", "dec", "utc", "gmt", "rfc", "tls"),
    *("from", "client", "your", "address", "peer", "host", "node", "the", "and", "for"),
)
_NO_NAME = (
    *("smtp", "esmtp", "lmtp", "ready", "welcome", "hello", "hi", "ok", "the"),
    *("service", "server", "mail", "mailserver"),
)
_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?\Z")
"""Underscores pass: they are against §2.3.5, and hurt nobody here."""
_LITERAL = re.compile(r"\[[0-9A-Za-z:.]+\]\Z")


def _heard(step: Step | None) -> str:
    """The octets of a greeting that never ended."""
    events = step.transcript.events if step and step.transcript else ()
    octets = b"".join(event.data for event in events if event.side is Side.SERVER)
    return octets[:512].decode("latin-1").strip()


def endless(case: Case, what: str) -> Said:
    """A reply of which we stopped reading."""
    if case.failure and case.failure.kind is Kind.OVERLONG:
        yield Remark(
            message=f"the {what} is malformed: {QUIRKS[Quirk.OVERLONG]}",
            evidence=case.evidence(case.dialogue, excerpt=told(case.failure)),
        )


def software(reply: Reply) -> str:
    """The first product with a version number in a greeting, after the host's name."""
    for line in reply.lines[:5]:
        text = line[:512].partition(" ")[2]
        for found in _PRODUCT.finditer(text):
            if found[1].lower() not in _NO_PRODUCT:
                return shown(found[0])
    return ""


def _names_host(line: str) -> bool:
    word = line.split(" ", 1)[0][:255]
    if _LITERAL.match(word):
        return True
    return bool(_NAME.match(word)) and word.lower().rstrip(".") not in _NO_NAME


def _impossible(reply: Reply) -> bool:
    return Quirk.ILLEGAL_CODE in reply.quirks and not 200 <= reply.code < 600
