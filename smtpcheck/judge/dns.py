"""Rules about names: whether there is an address to connect to."""

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.judge.catalogue import Remark, Said, Scope, Unjudged, rule
from smtpcheck.judge.report import Evidence, Judgement, Severity, Status
from smtpcheck.judge.survey import Survey
from smtpcheck.judge.words import listed, shown

_WORDS = {
    Answer.NO_DATA: "has no {types} record",
    Answer.NO_SUCH_NAME: "does not exist",
    Answer.TIMED_OUT: "was not answered in time",
    Answer.SERVER_FAILED: "ended in SERVFAIL",
    Answer.REFUSED: "was refused by the resolver",
    Answer.MALFORMED: "came back malformed",
    Answer.TOO_MANY: "led through too many aliases",
}


@rule(
    "domain-undeliverable",
    area="dns",
    severity=Severity.CRITICAL,
    scope=Scope.RUN,
    reference="RFC 5321 §5.1",
    remedy="Publish an A or AAAA record for {name}, or an MX record if it is a mail domain, or "
    "correct the name.",
    explained_by=("dns-inconclusive",),
)
def domain_undeliverable(survey: Survey) -> Said:
    """There is no address to connect to, so no mail can be handed over.

    The DNS answered, and the answer was no: the name does not exist, or it exists without an
    A, AAAA or MX record. Senders return such mail at once; mail programs report that the
    server can't be found. A name with an MX record is a mail domain: its hosts are to be
    checked.

    Servers get here when a record was forgotten in a move to another zone or provider, when
    the domain expired, or when the name was mistyped in a client or in an MX record.
    """
    lookups = _addresses(survey)
    if not lookups:
        yield Unjudged(reason="no name was looked up", outcome=Judgement.NOT_APPLICABLE)
    elif any(lookup.answer is Answer.FOUND for _, lookup in lookups):
        return
    elif not _exhausted([lookup for _, lookup in lookups]):
        yield Unjudged(reason="A and AAAA were not both looked up")
    elif undecided := [lookup for _, lookup in lookups if not lookup.answer.decided]:
        yield Unjudged(reason=f"the look-up of {undecided[0].rdtype} {_words(undecided)}")
    else:
        yield _undeliverable(survey, lookups)


@rule(
    "dns-inconclusive",
    area="dns",
    severity=Severity.NOTICE,
    status=Status.INCONCLUSIVE,
    scope=Scope.RUN,
    reference="RFC 2308 §7",
    remedy="Try again, or with another resolver: smtpcheck --resolver ADDRESS.",
)
def dns_inconclusive(survey: Survey) -> Said:
    """An address look-up went unanswered, so nothing may be concluded from its absence.

    A time-out or SERVFAIL says nothing about the name. What lies behind the records that
    were not seen was not checked.

    Runs get here when the resolver is overloaded or cut off, when the zone's name servers are
    down, or when a validating resolver rejects broken signatures.
    """
    every = [*_addresses(survey), *_exchangers(survey)]
    undecided = [(i, lookup) for i, lookup in every if not lookup.answer.decided]
    if undecided:
        types = listed(lookup.rdtype for _, lookup in undecided)
        yield Remark(
            message=f"the look-up of {types} for {undecided[0][1].name} "
            f"{_words([lookup for _, lookup in undecided])}",
            evidence=_evidence(undecided),
        )


def _undeliverable(survey: Survey, lookups: list[tuple[int, Lookup]]) -> Remark | Unjudged:
    """Neither A nor AAAA: then it is for MX to say (RFC 5321 §5.1). Old runs did not ask it."""
    name = survey.observation.target.host
    asked = _exchangers(survey)
    hosts = [_exchanger(value) for _, each in asked for value in each.values]
    if any(not each.answer.decided for _, each in asked):
        return Unjudged(reason=f"the look-up of MX {_words([asked[0][1]])}")
    others = [host for host in hosts if host and host.lower() != name.lower().rstrip(".")]
    if named := [shown(host, 80) for host in others][:6]:
        why = f"it is a mail domain without an address; check its mail hosts: {listed(named)}"
        return Unjudged(reason=why, what=name)
    every = lookups + asked
    words = _words([each for _, each in every])
    if any(hosts):
        words = f"is its own mail host, and {_words([each for _, each in lookups])}"
    elif asked and asked[0][1].answer is Answer.FOUND:
        words = "takes no mail: its only MX record is the null one (RFC 7505)"
    return Remark(message=f"{name} {words}", evidence=_evidence(every), fill={"name": name})


def _exchanger(value: str) -> str:
    """The host of an MX record in presentation form; "" for the null one."""
    return (value.split() or [""])[-1].rstrip(".")


def _addresses(survey: Survey) -> list[tuple[int, Lookup]]:
    pairs = enumerate(survey.observation.dns)
    return [(index, lookup) for index, lookup in pairs if lookup.rdtype in ("A", "AAAA")]


def _exchangers(survey: Survey) -> list[tuple[int, Lookup]]:
    pairs = enumerate(survey.observation.dns)
    return [(index, lookup) for index, lookup in pairs if lookup.rdtype == "MX"]


def _exhausted(lookups: list[Lookup]) -> bool:
    """Whether no address can be left: `-4` asks for A alone, and an AAAA may exist."""
    denied = any(lookup.answer is Answer.NO_SUCH_NAME for lookup in lookups)
    return denied or {lookup.rdtype for lookup in lookups} == {"A", "AAAA"}


def _words(lookups: list[Lookup]) -> str:
    types = listed((lookup.rdtype for lookup in lookups), last="or")
    return _WORDS[lookups[0].answer].format(types=types)


def _evidence(lookups: list[tuple[int, Lookup]]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(lookup=index, excerpt=f"{lookup.name} {lookup.rdtype}: {lookup.answer}")
        for index, lookup in lookups
    )
