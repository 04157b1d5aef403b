"""Rules about EHLO and what it lists."""

import re
from collections import Counter
from ipaddress import ip_address

from smtpcheck.facts.failure import Stage
from smtpcheck.facts.smtp import Ehlo, Exchange
from smtpcheck.judge.banner import endless
from smtpcheck.judge.case import Case
from smtpcheck.judge.catalogue import BY_STARTTLS, Remark, Said, rule
from smtpcheck.judge.report import Severity, Status
from smtpcheck.judge.words import QUIRKS, UNFRAMED, listed, shown
from smtpcheck.wire.extension import Extension

EXPECTED = ("PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES")
"""What every current server offers; a middlebox that rewrites EHLO takes them away."""

SMALL = 10 * 1024 * 1024
"""Octets. 10 MiB hold an attachment of 7 MB once it is in base64."""


@rule(
    "ehlo-rejected",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 5321 §3.2, §4.1.1.1, §4.1.4",
    remedy="Enable EHLO, and do not reject on the name that the client gives.",
    needs=("welcome",),
    explained_by=("lmtp-on-smtp-port",),
)
def ehlo_rejected(case: Case) -> Said:
    """The server refuses EHLO.

    Without it there are no extensions: no STARTTLS, no AUTH, no SIZE. Clients fall back to
    HELO and clear text, or give up.

    Servers get here when a firewall knows only the commands of 1982, when an access rule
    rejects the client's name (which RFC 5321 §4.1.4 forbids where it only differs from the
    address), or when the port speaks another protocol.
    """
    if by_name := name_refused(case):
        yield Remark(
            message=f"the name that we gave was refused ({shown(by_name.command)}), so nothing "
            f"behind it was seen: {shown(str(by_name.reply))}",
            evidence=case.quote(by_name),
            severity=Severity.WARNING,
            status=Status.INCONCLUSIVE,
            remedy="Give a name that resolves to this machine (--ehlo NAME). On a port for users "
            "do not check it: most of their machines have none, and servers must not refuse a "
            "message because the name differs from the address.",
            reference="RFC 5321 §4.1.4",
        )
        return
    for refusal in case.refusals:
        if refusal.command[:4] == "EHLO" and refusal.reply.permanent:
            instead = next((hello.verb for hello in case.hellos if hello.refused), "")
            yield Remark(
                message=f"EHLO is refused with {shown(str(refusal.reply))}"
                + (f"; {instead} is accepted" if instead else ""),
                evidence=case.quote(refusal),
            )
            return


@rule(
    "ehlo-reply-malformed",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 5321 §4.1.1.1, §4.2",
    remedy="Update the server, or take the middlebox that rewrites its replies out of the way.",
    needs=("welcome",),
)
def ehlo_reply_malformed(case: Case) -> Said:
    """The reply to EHLO breaks its form, or lists what can't be read.

    Mixed codes, a bare LF or an endless line make clients lose step with the server. An
    illegal or repeated keyword is passed over by most and misread by some.

    Servers get here through home-made SMTP code, through firewalls that overwrite keywords in
    place, and through configuration that adds a keyword that is already there.
    """
    if case.failure and case.failure.stage is Stage.EHLO:
        yield from endless(case, "reply to EHLO")
    for hello in case.hellos:
        reply = hello.exchange.reply
        faults = [QUIRKS[quirk] for quirk in reply.quirks]
        broken = bool(UNFRAMED.intersection(reply.quirks))
        untidy = [*_illegal(hello), *_repeated(hello)]
        if faults or untidy:
            yield Remark(
                message=f"the reply to {hello.verb} is malformed: {'; '.join(faults + untidy)}",
                evidence=case.quote(hello.exchange),
                severity=_gravity(broken, bool(untidy)),
            )
            return
    for refusal in case.refusals:
        unframed = [QUIRKS[quirk] for quirk in refusal.reply.quirks if quirk in UNFRAMED]
        if unframed and refusal.command[:4] == "EHLO" and not refusal.reply.permanent:
            yield Remark(
                message=f"the reply to EHLO is malformed: {'; '.join(unframed)}",
                evidence=case.quote(refusal),
            )
            return


@rule(
    "extensions-missing",
    area="protocol",
    severity=Severity.NOTICE,
    reference="RFC 5321 §2.2",
    remedy="Enable {missing}; if the server has them, look for a middlebox that rewrites EHLO.",
    needs=("extensions",),
    explained_by=("ehlo-reply-malformed",),
)
def extensions_missing(case: Case) -> Said:
    """Extensions that every current server offers are not on the list.

    Mail still flows: without PIPELINING slower, without SIZE after the whole message was
    sent in vain, without 8BITMIME re-encoded, without ENHANCEDSTATUSCODES with less to tell.

    Servers get here when they are small or old (test servers and submission proxies offer
    few), or when a firewall strikes out keywords that it does not know.
    """
    hello = case.extensions
    if hello and (missing := [word for word in EXPECTED if not hello.offers(word)]):
        yield Remark(
            message=f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not offered",
            evidence=case.quote(hello.exchange),
            fill={"missing": listed(missing)},
            because=None if UNFRAMED.intersection(hello.exchange.reply.quirks) else (),
        )


@rule(
    "size-limit-low",
    area="protocol",
    severity=Severity.NOTICE,
    reference="RFC 1870 §4",
    remedy="Raise the limit to what correspondents send today: large providers take 25 MB and "
    "more (message_size_limit in Postfix, message_size_limit in Exim).",
    needs=("extensions",),
)
def size_limit_low(case: Case) -> Said:
    """The server announces that it takes no message of 10 MiB.

    Base64 makes an attachment a third larger, so files of 7 MB already bounce. The sender
    learns it at once, as the limit is announced.

    Servers get here with defaults of long ago: Postfix's is 10,240,000 octets.
    """
    hello = case.extensions
    limits = [int(p) for p in hello.parameters("SIZE") if _number(p)] if hello else []
    if hello and limits and 0 < min(limits) < SMALL:
        yield Remark(
            message=f"messages over {min(limits):,} octets are refused",
            evidence=case.quote(hello.exchange, f"SIZE {min(limits)}"),
        )


@rule(
    "trusted-extension-exposed",
    area="protocol",
    severity=Severity.ERROR,
    reference="Postfix XCLIENT_README, XFORWARD_README",
    remedy="Allow {exposed} to the addresses of your proxy or filter only "
    "(smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts).",
    needs=("hello",),
)
def trusted_extension_exposed(case: Case) -> Said:
    """XCLIENT or XFORWARD is offered to us.

    With it a client states its own address, name and login, and the server believes them:
    access rules, relay permissions and logs are then what the client wants them to be.

    Servers get here when the list of trusted proxies was written as a whole network or as
    everyone. A server on this very machine may trust it rightly, so there it is a notice.
    """
    for hello in case.hellos:
        exposed = [word for word in ("XCLIENT", "XFORWARD") if hello.offers(word)]
        if exposed:
            yield Remark(
                message=f"{listed(exposed)} is offered to this client"
                if len(exposed) == 1
                else f"{listed(exposed)} are offered to this client",
                evidence=case.quote(hello.exchange, _line(hello, exposed[0])),
                severity=Severity.NOTICE if _loopback(case.host.address) else None,
                fill={"exposed": listed(exposed)},
            )
            return


@rule(
    "binarymime-without-chunking",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 3030 §3",
    remedy="Offer CHUNKING as well, or withdraw BINARYMIME.",
    needs=("extensions",),
)
def binarymime_without_chunking(case: Case) -> Said:
    """BINARYMIME is offered without CHUNKING, which it can't do without.

    Binary content may hold anything, the end-of-data sequence too, so only BDAT can carry
    it. A client that believes the offer has no way to send.

    Servers get here when one keyword was masked and the other forgotten, mostly by a proxy
    that can't pass BDAT on.
    """
    hello = case.extensions
    if hello and hello.offers("BINARYMIME") and not hello.offers("CHUNKING"):
        yield Remark(
            message="BINARYMIME is offered without CHUNKING",
            evidence=case.quote(hello.exchange, _line(hello, "BINARYMIME")),
        )


@rule(
    "smtputf8-without-8bitmime",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 6531 §3.1",
    remedy="Offer 8BITMIME as well, or withdraw SMTPUTF8.",
    needs=("extensions",),
)
def smtputf8_without_8bitmime(case: Case) -> Said:
    """SMTPUTF8 is offered without 8BITMIME, which it demands.

    A message with UTF-8 in its header is 8-bit by nature: a client that takes the offer at
    its word can't declare what it sends.

    Servers get here when 8BITMIME was masked for an old filter and SMTPUTF8 came with an
    update.
    """
    hello = case.extensions
    if hello and hello.offers("SMTPUTF8") and not hello.offers("8BITMIME"):
        yield Remark(
            message="SMTPUTF8 is offered without 8BITMIME",
            evidence=case.quote(hello.exchange, _line(hello, "SMTPUTF8")),
        )


@rule(
    "requiretls-before-tls",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 8689 §2",
    remedy="Offer REQUIRETLS inside TLS only.",
    needs=("ehlo",),
    applies=BY_STARTTLS,
)
def requiretls_before_tls(case: Case) -> Said:
    """REQUIRETLS is offered on a connection that is not encrypted.

    It promises that a message will travel under TLS only, and here the first leg would
    already break the promise.

    Servers get here when the list of extensions is one constant for both states.
    """
    if case.ehlo and case.ehlo.offers("REQUIRETLS"):
        yield Remark(
            message="REQUIRETLS is offered before TLS",
            evidence=case.quote(case.ehlo.exchange, "REQUIRETLS"),
        )


@rule(
    "lmtp-on-smtp-port",
    area="protocol",
    severity=Severity.ERROR,
    reference="RFC 2033 §5",
    remedy="Move LMTP to a UNIX socket or a private port, and let SMTP answer here.",
    needs=("greeting",),
)
def lmtp_on_smtp_port(case: Case) -> Said:
    """LMTP answers where SMTP is due.

    LMTP has no EHLO and no queue; its final answers come one for each recipient. Senders on
    the Internet can't speak it, and RFC 2033 forbids it on port 25.

    Servers get here when the LMTP listener of a mail store was bound to a public address or
    to port 25 by mistake.
    """
    if case.greeting is None:
        return
    lhlo = next((hello for hello in case.hellos if hello.verb == "LHLO"), None)
    says_so = "LMTP" in case.greeting.reply.text.upper().split()
    turned_down = bool(case.refusals)
    if lhlo:
        yield Remark(message="LMTP answers on this port", evidence=case.quote(lhlo.exchange))
    elif says_so and turned_down:
        yield Remark(message="LMTP answers on this port", evidence=case.quote(case.greeting))


_ABOUT_NAMES = re.compile(
    r"\b(?:helo|ehlo|hostname|host name|fqdn|fully[- ]qualified|invalid domain|domain name"
    r"|host not found|invalid name)\b",
    re.IGNORECASE,
)
_POSTFIX = re.compile(r"<[^<>]{0,255}>: helo command rejected:", re.IGNORECASE)
"""What Postfix opens every refusal with, "Access denied" to all names among them."""


def name_refused(case: Case) -> Exchange | None:
    """The EHLO that was refused for its argument alone, as far as the words tell.

    500 and 502 mean the verb, and servers repeat the whole line after them. An address literal
    is our address as well, which block lists name: the words must be about names then.
    """
    if case.hellos:
        return None
    for refusal in case.refusals:
        verb, _, name = refusal.command.partition(" ")
        reply = refusal.reply
        if verb == "EHLO" and reply.permanent and reply.code not in (500, 502, 503):
            text = _POSTFIX.sub("", reply.text)
            named = bool(name) and name[0] != "[" and name.lower() in text.lower()
            if reply.code == 501 or named or _ABOUT_NAMES.search(text):
                return refusal
    return None


def _gravity(broken: bool, untidy: bool) -> Severity:
    """What breaks the framing breaks sessions; a bad keyword is passed over by most."""
    if broken:
        return Severity.ERROR
    return Severity.WARNING if untidy else Severity.NOTICE


def _illegal(hello: Ehlo) -> list[str]:
    bad = [extension.keyword for extension in hello.extensions if not extension.legal]
    return [f"{shown(word, 30)} is not a legal keyword" for word in bad[:3]]


def _repeated(hello: Ehlo) -> list[str]:
    """Keywords listed twice; `AUTH=` beside `AUTH` is for clients of 1999 and no fault."""
    counts = Counter(extension.keyword for extension in hello.extensions)
    if any(line[:5].upper() == "AUTH=" for line in hello.exchange.reply.lines):
        counts["AUTH"] -= 1
    return [f"{shown(word, 30)} is listed twice" for word, n in counts.items() if n > 1][:3]


def _line(hello: Ehlo, keyword: str) -> str:
    found = (e for e in hello.extensions if e.keyword == keyword)
    return str(next(found, Extension(keyword)))


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _loopback(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
