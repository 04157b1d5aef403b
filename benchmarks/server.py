"""One real Postfix with a healthy 25, 465 and 587, as both benchmarks check it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.real.dovecot import dovecot
from tests.real.postfix import SUBMISSION, SUBMISSIONS, postfix
from tests.real.rig import NAME, Listener

SETTINGS = {25: {}, 465: SUBMISSIONS, 587: SUBMISSION}
PORTS = tuple(SETTINGS)


@contextlib.contextmanager
def serving(address: str, folder: Path) -> Iterator[Path]:
    """Three ports on `address`, with Dovecot for the passwords; the file of the CA to trust."""
    ca = ThrowawayCA()
    identity = ca.issue([NAME])
    passwords = Listener(address="127.0.0.9", port=587, identity=identity)
    ports = [
        Listener(address=address, port=port, identity=identity, settings=settings)
        for port, settings in SETTINGS.items()
    ]
    with (
        dovecot(passwords) as login,
        postfix(*ports, settings={"smtpd_sasl_path": login.auth_socket}),
    ):
        yield ca.write(folder)
