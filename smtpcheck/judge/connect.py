"""Rules about the connection: whether it stands, how it opens and how it ends."""

import re

from smtpcheck.facts.failure import OWN, Failure, Kind, Stage
from smtpcheck.facts.smtp import Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.transcript import Side
from smtpcheck.judge.case import Case, connected, family, refused, silent
from smtpcheck.judge.catalogue import Remark, Said, Scope, Unjudged, rule
from smtpcheck.judge.protocol import name_refused
from smtpcheck.judge.report import Evidence, Judgement, Severity, Status
from smtpcheck.judge.survey import Survey
from smtpcheck.judge.words import listed, shown, stage, told
from smtpcheck.wire.reply import Reply


@rule(
    "port-closed",
    area="connect",
    severity=Severity.ERROR,
    reference="RFC 8314 §3.3; RFC 6409 §3.1",
    remedy="Start the listener on this address and port, or stop expecting it there.",
    needs=("dialogue",),
)
def port_closed(case: Case) -> Said:
    """The machine answers, and says that nothing listens on this port.

    Every client that uses this address and port fails at once. A port that nobody asked for
    and that refuses while another one answers is no fault: few hosts serve all of 25, 465
    and 587.

    Servers get here when the service is down or failed to bind, when it listens on loopback
    or on IPv4 only, or when a firewall rejects instead of dropping.
    """
    if not case.refused:
        return
    if not case.host.asked and _others_serve(case):
        yield Unjudged(
            reason="nobody asked for this port, and the host answers on others",
            outcome=Judgement.NOT_APPLICABLE,
        )
        return
    yield Remark(
        message=f"the port refuses connections{_elsewhere(case)}",
        evidence=case.evidence(case.dialogue, excerpt=_detail(case)),
        severity=Severity.WARNING if _elsewhere(case) else None,
    )


@rule(
    "port-timeout",
    area="connect",
    severity=Severity.ERROR,
    reference="RFC 5321 §4.5.3.2",
    remedy="Check the firewall in front of the server, and the address record: what is "
    "published must be reachable.",
    needs=("dialogue",),
    explained_by=("egress-blocked",),
)
def port_timeout(case: Case) -> Said:
    """Nothing at all comes back on connecting to this port.

    It is held against the server only when a control server was reached in the meantime.
    Without one, or when the control is silent as well, the fault may lie on the way or in
    the tester's own network, and nothing is concluded.

    Servers get here when a firewall or security group drops the packets, when the address
    is out of date, or when an AAAA record points to a machine without working IPv6.
    """
    if not case.unreachable:
        return
    unasked = not case.host.asked and _others_serve(case)
    proven = bool(_controls(case, answered=True)) and not unasked
    yield Remark(
        message=f"the port does not answer{_elsewhere(case)}"
        + ("" if proven else f"; {_doubt(case, unasked)}"),
        evidence=case.evidence(case.dialogue, excerpt=_detail(case)),
        severity=(Severity.WARNING if _elsewhere(case) else None) if proven else Severity.NOTICE,
        status=Status.FAIL if proven else Status.INCONCLUSIVE,
    )


@rule(
    "egress-blocked",
    area="connect",
    severity=Severity.NOTICE,
    status=Status.INCONCLUSIVE,
    scope=Scope.RUN,
    reference="RFC 5068; M3AAWG, Managing Port 25",
    remedy="Run the check from another network, or ask the provider to open port {port}.",
)
def egress_blocked(survey: Survey) -> Said:
    """Servers that have nothing to do with each other are silent: the tester's network is it.

    Most access providers and clouds drop outgoing connections to port 25. Seen from there
    every mail server of the world is down, and a check proves nothing about any of them.

    Runs get here from home connections, from fresh cloud machines, and from behind company
    firewalls.
    """
    blocked = [case for case in survey.cases if case.unreachable]
    mute = [step for step in survey.controls if silent(step)]
    by_control = [c for c in blocked if not _controls(c, answered=True) and _alike(c, mute)]
    by_strangers = _strangers(survey, blocked)
    if affected := by_control or by_strangers:
        ports = sorted({case.host.port for case in affected})
        words = (
            f"the control server {mute[0].host} does not answer either"
            if by_control
            else f"no server answers on port {listed(map(str, ports))}"
        )
        steps = [case.dialogue for case in affected if case.dialogue]
        yield Remark(
            message=f"{words}: connections may be blocked on our side",
            evidence=tuple(
                Evidence(step=survey.index(step), excerpt=told(step.failure))
                for step in (mute[:1] if by_control else steps[:2])
                if step.failure
            ),
            fill={"port": listed(map(str, ports))},
        )


@rule(
    "client-throttled",
    area="connect",
    severity=Severity.NOTICE,
    status=Status.INCONCLUSIVE,
    reference="RFC 5321 §3.8",
    remedy="Check again later, with fewer connections at once (--connections 1); exempt the "
    "checking host if you run the server.",
)
def client_throttled(case: Case) -> Said:
    """The server turned us away for now, so what lies behind it was not seen.

    A 421, or a 4yz reply about rates or connections, is no fault: it is how a server says
    that it is busy, or that this client asks too often. Some say it without words: they let
    the first connection in, and refuse or drop those that follow.

    Runs get here when limits on connections per client are low, when several checks run side
    by side, or when the server is short of processes.
    """
    steps = [step for _, step in case.steps]
    turned_away = [(step, words) for step in steps if (words := _throttled(step))]
    without_words = [step for step in case.turned_away if not _throttled(step)]
    turned_away += [(step, _banned(step.failure)) for step in without_words if step.failure]
    if turned_away:
        step, words = turned_away[0]
        some = f"{len(turned_away)} of {len(case.steps)} connections were"
        which = "the connection was" if len(case.steps) == 1 else some
        yield Remark(
            message=f"{which} turned away: {shown(words)}",
            evidence=case.evidence(step, excerpt=words),
        )


@rule(
    "session-dropped",
    area="connect",
    severity=Severity.ERROR,
    reference="RFC 5321 §3.8",
    remedy="Look in the server's log for this moment: crashes, process limits, access rules "
    "and middleboxes end sessions without a word.",
    explained_by=("ehlo-rejected",),
)
def session_dropped(case: Case) -> Said:
    """The server ended the connection where a reply was due, or fell silent there.

    A server that must go says 421 first. A client that gets nothing can't tell a refusal
    from a broken line, so it tries again and again. Silence is inconclusive: the reply may
    come after we left.

    Servers get here when TCP wrappers or a firewall cut clients off after the handshake, when
    a process crashes on a command, when a proxy has no backend, or when a look-up or a filter
    behind a command no longer answers.
    """
    for step in (case.dialogue, case.cleartext):
        if step is None or step in case.turned_away:
            continue
        if hung := _hung(step):
            yield Remark(
                message=f"the server greets, then falls silent: {told(hung)}",
                evidence=case.evidence(step, excerpt=told(hung)),
                severity=Severity.NOTICE,
                status=Status.INCONCLUSIVE,
                remedy="Look in the server's log for this moment: a look-up, a policy service or "
                "a filter that no longer answers holds the reply back. Then check again.",
            )
            return
        if not (failure := _dropped(step)) or name_refused(case):
            continue
        late = failure.stage is Stage.QUIT
        yield Remark(
            message=f"the connection was {_ended(failure)} without a reply {stage(failure)}",
            evidence=case.evidence(step, excerpt=told(failure)),
            severity=Severity.NOTICE if late else None,
        )
        return


_BUSY = re.compile(
    r"\b(?:too many|rates?|concurren\w*|connections|throttl\w*|slow down|limits?|busy)\b", re.I
)


def _others_serve(case: Case) -> bool:
    """Whether the host lives, on this address or nowhere on this port: then none is missed."""
    alive = [step.host for step in case.alike if connected(step)]
    here = any(host.address == case.host.address for host in alive)
    return here or (bool(alive) and not _elsewhere(case))


def _elsewhere(case: Case) -> str:
    others = [s.host.address for s in case.alike if s.host.port == case.host.port and connected(s)]
    verb = "answers" if len(others) == 1 else "answer"
    return f" on {case.host.address}, while {listed(others)} {verb}" if others else ""


def _controls(case: Case, *, answered: bool) -> list[Step]:
    """Controls that speak for this port: of its address family, and for 25 on port 25."""
    test = connected if answered else silent
    return [step for step in _alike(case, case.controls) if test(step)]


def _alike(case: Case, controls: tuple[Step, ...] | list[Step]) -> list[Step]:
    return [
        step
        for step in controls
        if family(step.host.address) == family(case.host.address)
        and (case.host.port != 25 or step.host.port == 25)
    ]


def _doubt(case: Case, unasked: bool) -> str:
    if unasked:
        return "nobody asked for it, and the host answers on others"
    if _controls(case, answered=False):
        return "a control server is silent as well"
    if any(refused(step) for step in _alike(case, case.controls)):
        return "the control server refused, so the way out is not proven"
    return "no control server shows whether our own network lets us out"


def _strangers(survey: Survey, blocked: list[Case]) -> list[Case]:
    """Cases on a port on which several unrelated hosts, and no other, are all silent."""
    found = []
    for port in sorted({case.host.port for case in blocked}):
        on_port = [case for case in survey.cases if case.host.port == port]
        names = {case.host.name for case in on_port}
        proven = any(_controls(case, answered=True) for case in on_port)
        if len(names) > 1 and all(case.unreachable for case in on_port) and not proven:
            found.extend(on_port)
    return found


def _detail(case: Case) -> str:
    return told(case.failure) if case.failure else ""


def _throttled(step: Step) -> str:
    """What the server said when it turned this connection away; "" when it did not."""
    if step.greeting and step.greeting.reply.transient:
        return str(step.greeting.reply)
    busy = next((str(e.reply) for e in _exchanges(step) if _says_busy(e.reply)), "")
    if busy:
        return busy
    if step.failure and step.failure.kind is Kind.THROTTLED:
        return step.failure.detail or "not now"
    return ""


def _banned(failure: Failure) -> str:
    """Some say 554 to all that follows, for an hour or a day."""
    return failure.detail if failure.kind is Kind.REJECTED and failure.detail else told(failure)


def _exchanges(step: Step) -> list[Exchange]:
    hellos = [hello for hello in (step.ehlo, step.ehlo_tls) if hello]
    said = [e for hello in hellos for e in (*hello.refused, hello.exchange)]
    return [*said, *(e for e in (step.starttls, step.mail) if e)]


def _says_busy(reply: Reply) -> bool:
    return reply.code == 421 or (reply.transient and bool(_BUSY.search(reply.text)))


def _dropped(step: Step) -> Failure | None:
    failure = step.failure
    if _throttled(step) or (step.greeting and not step.greeting.reply.positive):
        return None
    if failure is None:
        ending = step.ending
        if step.probe is Probe.DIALOGUE and ending and ending.closed_by_server and not ending.quit:
            return Failure(stage=Stage.QUIT, kind=Kind.RESET if _was_reset(step) else Kind.CLOSED)
        return None
    if failure.kind in OWN or failure.stage in (Stage.RESOLVE, Stage.CONNECT, Stage.TLS):
        return None
    return failure if failure.kind in (Kind.CLOSED, Kind.RESET) else None


def _was_reset(step: Step) -> bool:
    """A failure at QUIT is no failure of the dialogue; the transcript alone has its words."""
    reset = f"{Stage.QUIT}: {Kind.RESET}"
    events = step.transcript.events if step.transcript else ()
    return any(event.side is Side.LOCAL and event.note.startswith(reset) for event in events)


def _hung(step: Step) -> Failure | None:
    """Where a server that had greeted well no longer answered; our own time had not run out."""
    failure = step.failure
    welcomed = step.greeting is not None and step.greeting.reply.positive
    waited = failure is not None and failure.kind is Kind.TIMED_OUT
    return failure if failure and welcomed and waited and failure.stage is not Stage.TLS else None


def _ended(failure: Failure) -> str:
    return "reset" if failure.kind is Kind.RESET else "closed"
