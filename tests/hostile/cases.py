"""Every lie as a row: on which kind of port, what is found, and how the program ends.

Law: `expect` is all that is at warning or above, and all that is inconclusive, neither more nor
fewer; a port whose server lies is a fault only where the lie is one for every client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.hostile import clear, handshakes
from tests.hostile.peer import Peer

MX, SUBMISSION, SUBMISSIONS = "mx:starttls", "submission:starttls", "submissions:implicit"

SOON = 2.0
"""Seconds for the whole run, where a server makes us wait."""

AMPLE = 20.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row. `unchecked` is what the report must say that it did not get to see."""

    behaviour: type[Peer]
    title: str = ""
    port: str = MX
    expect: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    within: float = AMPLE
    unchecked: str = ""
    certificate: str = "healthy"

    @property
    def name(self) -> str:
        """What the row is called."""
        said = self.title or (self.behaviour.__doc__ or "").strip()
        return said if self.port == MX else f"{said} ({self.port.partition(':')[0]})"


def case(behaviour: type[Peer], *found: str, **fields: object) -> Case:
    """A row; what is found as "ID SEVERITY" or "ID inconclusive"."""
    expect = dict(each.split(" ") for each in found)
    faulty = {"error", "critical"} & set(expect.values())
    return Case(**{"behaviour": behaviour, "expect": expect, "status": int(bool(faulty)), **fields})  # type: ignore[arg-type]


NO_TLS = "starttls-handshake-fails critical"
TURNED_AWAY = "client-throttled inconclusive"
DROPPED = "session-dropped error"
GREETING = "banner-malformed error"
EHLO = "ehlo-reply-malformed error"
AFTER_GREETING = "everything after the greeting"
AFTER_EHLO = "the extensions and what follows"
TLS = "TLS and the certificate"
IN_TLS = "the extensions inside TLS"

TALK = (
    case(clear.Healthy),
    case(clear.Healthy, port=SUBMISSION),
    case(clear.Healthy, port=SUBMISSIONS),
    case(clear.EndlessGreeting, GREETING, unchecked=AFTER_GREETING),
    case(clear.EndlessGreeting, GREETING, port=SUBMISSIONS),
    case(clear.EndlessGreetingLine, GREETING, unchecked=AFTER_GREETING),
    case(clear.EndlessReplies, "starttls-missing warning", unchecked=TLS),
    case(clear.EndlessEhlo, EHLO, unchecked=AFTER_EHLO),
    case(clear.EndlessEhloInTls, EHLO, unchecked=IN_TLS),
    case(clear.Drip, within=SOON, status=3, unchecked=AFTER_GREETING),
    case(clear.DripLines, within=SOON, status=3, unchecked=AFTER_EHLO),
    case(clear.DripInTls, within=SOON, status=3, unchecked=IN_TLS),
    case(clear.MegabyteGreeting, GREETING, unchecked=AFTER_GREETING),
    case(clear.MegabyteEhlo, EHLO, unchecked=AFTER_EHLO),
    case(clear.LongKeyword, EHLO),
    case(clear.ManyKeywords),
    case(clear.NoLineEnd, within=SOON, status=3, unchecked=AFTER_GREETING),
    case(clear.NoLineEndThenGone, GREETING, DROPPED, unchecked=AFTER_EHLO),
    case(clear.BareLf, GREETING, EHLO),
    case(clear.Nuls, "ehlo-reply-malformed warning"),
    case(clear.Binary, GREETING, within=SOON, unchecked=AFTER_GREETING),
    case(clear.Escapes, GREETING, "ehlo-reply-malformed warning", "starttls-missing warning"),
    case(clear.EscapesInRefusal, "service-refused error", unchecked=AFTER_GREETING),
    case(clear.Markup, GREETING, "ehlo-reply-malformed warning", "starttls-missing warning"),
    case(clear.MixedCodes, EHLO),
    case(clear.MixedToRefusal, "ehlo-rejected error", unchecked=AFTER_EHLO),
    case(clear.Unsolicited),
    case(clear.ForbiddenCodes, GREETING, unchecked=AFTER_GREETING),
    case(clear.Http, within=SOON, status=3, unchecked=AFTER_GREETING),
    case(clear.Echo, EHLO, unchecked=AFTER_EHLO),
    case(
        clear.Farewell,
        TURNED_AWAY,
        within=SOON,
        status=3,
        unchecked=AFTER_EHLO,
    ),
    case(clear.Deaf, within=SOON),
    case(clear.SometimesTls, TURNED_AWAY, unchecked="TLS 1."),
    case(clear.SometimesTls, TURNED_AWAY, port=SUBMISSION, unchecked="TLS 1."),
    case(clear.LateTls, "starttls-missing warning", unchecked=TLS),
    case(clear.Moody, TURNED_AWAY, within=SOON, unchecked="TLS 1."),
)

PARTINGS = tuple(
    case(
        clear.parting(step, rst=rst, in_tls=in_tls),
        *found,
        title=f"{'reset' if rst else 'closed'} {where}",
        port=port,
        within=SOON,
    )
    for rst in (False, True)
    for where, step, in_tls, port, found in (
        ("instead of the greeting", "greet", False, MX, (DROPPED,)),
        ("at EHLO", "ehlo", False, MX, (DROPPED,)),
        ("at STARTTLS", "starttls", False, MX, (DROPPED,)),
        ("after 220", "handshake", False, MX, (NO_TLS,)),
        ("at EHLO inside TLS", "ehlo", True, MX, (DROPPED,)),
        ("at QUIT", "quit", True, MX, ()),
        ("on connecting", "handshake", False, SUBMISSIONS, (NO_TLS,)),
        ("instead of the greeting", "greet", True, SUBMISSIONS, (DROPPED,)),
        ("at EHLO", "ehlo", True, SUBMISSIONS, (DROPPED,)),
        ("at QUIT", "quit", True, SUBMISSIONS, ()),
    )
)

HANDSHAKES = (
    case(clear.NoStarttlsNow, NO_TLS, unchecked=TLS),
    case(clear.NoStarttlsNow, NO_TLS, port=SUBMISSION, unchecked=TLS),
    case(handshakes.SilentAfter220, within=SOON, status=3, unchecked=TLS),
    case(handshakes.SilentAfter220, within=SOON, port=SUBMISSIONS, status=3),
    case(handshakes.ClearAfter220, NO_TLS, unchecked=TLS),
    case(handshakes.Glued),
    case(handshakes.GluedBeforeHello, NO_TLS, unchecked=TLS),
    case(handshakes.GarbageHello, NO_TLS, unchecked=TLS),
    case(handshakes.GarbageHello, NO_TLS, port=SUBMISSIONS),
    case(handshakes.GarbageRecords, NO_TLS, unchecked=TLS),
    case(handshakes.UnknownCipher, NO_TLS, unchecked=TLS),
    case(handshakes.EndlessHello, NO_TLS, within=SOON, unchecked=TLS),
    case(handshakes.EndlessHandshake, NO_TLS, unchecked=TLS),
    case(handshakes.EndlessHandshakeSlowly, within=SOON, status=3, unchecked=TLS),
    case(handshakes.EndlessWarnings, NO_TLS, unchecked=TLS),
    case(handshakes.EndlessChangeCipherSpec, NO_TLS, unchecked=TLS),
    case(handshakes.SixteenMegabytes, NO_TLS, unchecked=TLS),
    case(handshakes.GarbageInTls, NO_TLS, unchecked=IN_TLS),
    case(handshakes.ClearInTls, NO_TLS, unchecked=IN_TLS),
    case(handshakes.ClearAfterAlert, NO_TLS, unchecked=IN_TLS),
    case(handshakes.AlertAtFinished, NO_TLS, unchecked=TLS),
    case(handshakes.AlertAfterFinished, NO_TLS, unchecked=IN_TLS),
    *(
        case(handshakes.alert_after(sent), NO_TLS, title=f"a fatal alert {where}", unchecked=TLS)
        for sent, where in enumerate(
            (
                "instead of ServerHello",
                "after ServerHello",
                "after Certificate",
                "after ServerKeyExchange",
            )
        )
    ),
    *(
        case(handshakes.torn(rst=rst, within=within), NO_TLS, title=title, port=port)
        for rst, within, title in (
            (False, False, "closed at the ClientHello"),
            (True, False, "reset at the ClientHello"),
            (False, True, "closed within the server's flight"),
            (True, True, "reset within the server's flight"),
        )
        for port in (MX, SUBMISSIONS)
    ),
)

CERTIFICATES = (
    case(clear.Healthy, title="ten thousand names, the host's among them", certificate="names"),
    case(
        clear.Healthy, "cert-name-mismatch warning",
        title="ten thousand names, and not the host's", certificate="other names",
    ),
    case(
        clear.Healthy, NO_TLS, title="ten thousand long names, more than OpenSSL's 100 KiB",
        certificate="long names", unchecked=TLS,
    ),
    case(clear.Healthy, title="a chain of a hundred", certificate="chain"),
    case(
        clear.Healthy, "cert-name-mismatch warning",
        title="names that command the terminal", certificate="escapes",
    ),
    case(
        clear.Healthy, EHLO, title="ten thousand session tickets", certificate="tickets",
        unchecked=IN_TLS,
    ),
)  # fmt: skip

CASES = (*TALK, *PARTINGS, *HANDSHAKES, *CERTIFICATES)
