"""chasquid: one daemon with one certificate, on any number of ports.

`with chasquid(Listener(address="127.25.1.1", port=25, identity=…)) as server:` is a healthy MX.
It takes mail for nobody: what is looked at happens before RCPT. Of a listener's settings `service`
is its own: smtp, submission or submission_over_tls; the others, and `GODEBUG`, are all's.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import unavailable
from tests.real.rig import NAME, Listener, daemon, open_directory

PROGRAM = Path("/var/cache/smtpcheck-tests/trixie/usr/bin/chasquid")
"""Of Debian 13, by .ci/run: Debian has either chasquid or Postfix installed."""

MODERN = {"GODEBUG": "tls10server=0"}
"""It has no setting for the TLS versions, and its Go goes down to 1.0 unless told otherwise."""
MX = {**MODERN, "service": "smtp"}
SUBMISSION = {**MODERN, "service": "submission"}
SUBMISSIONS = {**MODERN, "service": "submission_over_tls"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chasquid:
    """A running daemon."""

    listeners: tuple[Listener, ...]


@contextlib.contextmanager
def chasquid(*listeners: Listener) -> Iterator[Chasquid]:
    """Run chasquid with `listeners`; the first one's certificate is that of all."""
    if not PROGRAM.exists():
        unavailable(f"there is no {PROGRAM}, which .ci/run unpacks")
    with open_directory() as directory:
        (directory / "domains" / NAME).mkdir(parents=True)
        (certificates := directory / "certs" / NAME).mkdir(parents=True)
        if identity := listeners[0].identity:
            (certificates / "fullchain.pem").write_bytes(identity.chain_pem)
            (certificates / "privkey.pem").write_bytes(identity.key_pem)
        lines = [f'hostname: "{NAME}"', f'data_dir: "{directory}/data"']
        lines += ['mail_log_path: "<stderr>"']
        for listener in listeners:
            settings = dict(listener.settings)
            runtime = f"GODEBUG={settings.pop('GODEBUG')}"
            where = f"{listener.address}:{listener.port}"
            lines.append(f'{settings.pop("service")}_address: "{where}"')
            lines += [f"{name}: {value}" for name, value in settings.items()]
        (directory / "chasquid.conf").write_text("\n".join(lines) + "\n")
        command = ["env", runtime, str(PROGRAM), "-config_dir", str(directory)]
        with daemon(command, (listeners[-1].address, listeners[-1].port)):
            yield Chasquid(listeners=listeners)
