"""Coming back to a port that turned some of us away: after a rest, and one at a time.

Law: what the port showed to one connection is not taken back by its manners towards the next.
It is tried until it turns us away again, and no longer.
"""

import asyncio
from collections.abc import Awaitable, Callable

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.step import Probe, Step
from smtpcheck.net.network import Network

Work = Callable[[], Awaitable[tuple[Step, ...]]]

DROPPED = frozenset({Kind.REFUSED, Kind.RESET, Kind.CLOSED})


async def try_again(groups: list[tuple[Step, ...]], works: tuple[Work, ...], net: Network) -> None:
    """Put into `groups` what comes out better; `works` made them, and the first is the dialogue."""
    rested = False
    for index in _order(groups):
        if net.clock.left() < 2 * net.limits.back_off:
            return
        if not rested:
            await asyncio.sleep(net.limits.back_off)
            rested = True
        before, groups[index] = groups[index], await works[index]()
        if index in _order(groups) or groups[index][0].connected is None:
            groups[index] = before
            return


def _order(groups: list[tuple[Step, ...]]) -> list[int]:
    """Who was turned away, and of the version probes first the one that must succeed."""
    main = groups[0][0]
    away = [n for n, steps in enumerate(groups) if any(turned_away(s, main) for s in steps)]
    known = [n for n, steps in enumerate(groups) if any(_negotiated(s, main) for s in steps)]
    if any(_torn(step) for n in known for step in groups[n]):
        torn = [n for n, steps in enumerate(groups) if n not in known and any(map(_torn, steps))]
        return [*away, *known, *torn]
    return away


def turned_away(step: Step, main: Step) -> bool:
    """Whether this connection was not let in, by words or by a closed door.

    A port that refuses the first connection is closed, and that is all there is to know. One
    that took the connection and dropped it, or took the `main` one and no other, may have had
    enough of us.
    """
    failure = step.failure
    if failure is None:
        return False
    if failure.kind is Kind.THROTTLED:
        return True
    passed = {Stage.GREETING} if step is main else _passed(main)
    return failure.kind in DROPPED and failure.stage in passed


def _passed(main: Step) -> set[Stage]:
    """What the dialogue had behind it when it went on, or ended."""
    welcome = main.greeting is not None and main.greeting.reply.positive
    passed = {Stage.CONNECT, Stage.GREETING} if welcome else set()
    return passed | ({Stage.EHLO, Stage.STARTTLS} if main.tls else set())


def _negotiated(step: Step, main: Step) -> bool:
    """Whether it asked for the version that the dialogue is known to have got."""
    return bool(main.tls and step.version and step.version.version.value == main.tls.version)


def _torn(step: Step) -> bool:
    """A ClientHello answered with the end of the connection: a refusal, or one too many."""
    failure = step.failure
    torn = failure is not None and failure.stage is Stage.TLS and failure.kind in DROPPED
    return torn and step.probe is Probe.VERSION
