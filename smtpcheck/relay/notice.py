"""One recipient's news for the sender: what was done, and why (RFC 3464 §2.3).

Law: the true reply is repeated as it came; where none came the failure is told, under a
type of its own. Making it fit a line is for whoever writes it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from smtpcheck.facts.delivery import ForwardPath, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.wire.reply import Reply


class Action(StrEnum):
    """What was done (RFC 3464 §2.3.3). RELAYED: to a host that reports no success."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One recipient's news. `outcome` brings the reply or the failure behind it."""

    forward_path: ForwardPath
    action: Action
    outcome: RecipientOutcome | None = None
    last_attempt: datetime | None = None
    will_retry_until: datetime | None = None


def wanted(notice: Notice) -> bool:
    """Whether the sender is to be told (RFC 3461 §4.1). Without NOTIFY: failures and delays."""
    asked = notice.forward_path.notify or ("FAILURE", "DELAY")
    return _NOTIFY[notice.action] in asked


_NOTIFY = {
    Action.FAILED: "FAILURE",
    Action.DELAYED: "DELAY",
    Action.DELIVERED: "SUCCESS",
    Action.RELAYED: "SUCCESS",
    Action.EXPANDED: "SUCCESS",
}


def status(notice: Notice) -> str:
    """The enhanced status code of the news: the reply's own where it has a fitting one."""
    classes = _CLASSES[notice.action]
    outcome = notice.outcome
    if outcome is None:
        return f"{classes[0]}.0.0"
    if outcome.reply:
        return _status_of_reply(outcome.reply, classes)
    if outcome.failure and 4 in classes:
        return f"4.{_DETAIL_OF_KIND.get(outcome.failure.kind) or _detail(outcome.failure.stage)}"
    return f"{classes[0]}.0.0"


# A message that expired was failed by a 4.y.z: that cause is told, not 4.4.7 (RFC 3463 §3.5).
_CLASSES = {
    Action.FAILED: (5, 4),
    Action.DELAYED: (4,),
    Action.DELIVERED: (2,),
    Action.RELAYED: (2,),
    Action.EXPANDED: (2,),
}


def _status_of_reply(reply: Reply, classes: tuple[int, ...]) -> str:
    if reply.status and reply.status.class_ in classes:
        return str(reply.status)
    class_ = reply.code // 100
    return f"{class_ if class_ in classes else classes[0]}.0.0"


# RFC 3463 §3.4 to §3.8
_DETAIL_OF_KIND = {
    Kind.REFUSED: "4.1",
    Kind.UNREACHABLE: "4.1",
    Kind.NO_ROUTE: "4.4",
    Kind.TIMED_OUT: "4.2",
    Kind.RESET: "4.2",
    Kind.CLOSED: "4.2",
    Kind.TLS_FAILED: "7.5",
    Kind.NOT_TLS: "7.5",
    Kind.OVERLONG: "5.0",
    Kind.LOCAL: "3.0",
}


def _detail(stage: Stage) -> str:
    return "4.3" if stage is Stage.RESOLVE else "4.0"


def why(notice: Notice) -> str:
    outcome = notice.outcome
    if outcome is None or notice.action not in (Action.FAILED, Action.DELAYED):
        return ""
    host = outcome.host or "the mail system"
    if outcome.reply:
        return f"{host} said: {outcome.reply}"
    if outcome.failure:
        return f"{host}: {_words(outcome.failure)}"
    return ""


def _words(failure: Failure) -> str:
    """`connect: connection refused` reads better than an enum with its detail in brackets."""
    return f"{failure.stage}: {failure.detail or str(failure.kind).replace('-', ' ')}"


def diagnostic(outcome: RecipientOutcome) -> str:
    """RFC 3464 §2.3.6: `smtp` for a reply that was received, a type of our own else."""
    if outcome.reply:
        return f"{'smtp' if outcome.host else 'x-smtpcheck'}; {outcome.reply}"
    return f"x-smtpcheck; {_words(outcome.failure)}" if outcome.failure else ""
