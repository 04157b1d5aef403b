"""Exceptions of the system become failures: one table, read in one place."""

import errno
import os
import socket

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.net.tls import TlsError


class Stop(Exception):  # noqa: N818 - it ends a dialogue, which need not be an error
    """A dialogue can't go on; `failure` says why. Never leaves this room."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


ERRNOS: dict[int, Kind] = {
    errno.ECONNREFUSED: Kind.REFUSED,
    errno.ETIMEDOUT: Kind.TIMED_OUT,
    errno.EHOSTUNREACH: Kind.UNREACHABLE,
    errno.ENETUNREACH: Kind.NO_ROUTE,
    errno.EADDRNOTAVAIL: Kind.LOCAL,
    errno.EAFNOSUPPORT: Kind.NO_ROUTE,
    errno.ECONNRESET: Kind.RESET,
    errno.ECONNABORTED: Kind.RESET,
    errno.EPIPE: Kind.RESET,
    errno.EPERM: Kind.LOCAL,
    errno.EACCES: Kind.LOCAL,
    errno.EMFILE: Kind.LOCAL,
    errno.ENFILE: Kind.LOCAL,
}

EXCEPTIONS: tuple[tuple[type[BaseException], Kind], ...] = (
    (TlsError, Kind.TLS_FAILED),
    (ConnectionRefusedError, Kind.REFUSED),
    (ConnectionResetError, Kind.RESET),
    (BrokenPipeError, Kind.RESET),
    (TimeoutError, Kind.TIMED_OUT),
    (socket.gaierror, Kind.LOCAL),
    (OSError, Kind.LOCAL),
)


def failure(stage: Stage, error: BaseException) -> Failure:
    """What `error` means at `stage`."""
    number = getattr(error, "errno", None) or 0
    kind = ERRNOS.get(number)
    if kind is None:
        kind = next(kind for known, kind in EXCEPTIONS if isinstance(error, known))
    words = os.strerror(number) if number > 0 else str(error)
    return Failure(stage=stage, kind=kind, detail=words)
