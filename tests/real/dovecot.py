"""Dovecot: a submission server on any number of addresses, and the password check for Postfix.

A listener's settings are Dovecot's own, set for its address (`local ADDRESS { … }`); a listener
on 465 speaks TLS at once unless `ssl` is "no" there. It relays to nowhere: what is
looked at happens before MAIL.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need, need_root
from tests.real.rig import NAME, Listener, daemon, open_directory

USER, PASSWORD = "alice@inbox.test", "correct horse"
"""The one account that there is."""

MAIN = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = submission
hostname = {name}
login_greeting = Dovecot ready.
ssl = required
ssl_min_protocol = TLSv1.2
auth_failure_delay = 0
disable_plaintext_auth = yes
auth_mechanisms = plain login scram-sha-256
submission_relay_host = 127.0.0.1
submission_relay_port = 9
first_valid_uid = 1
mail_location = maildir:{directory}/mail/%u
mail_max_userip_connections = 100
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={directory}/mail/%u
}}
service auth {{
  unix_listener {directory}/auth {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dovecot:
    """A running instance."""

    directory: Path
    listeners: tuple[Listener, ...]

    @property
    def auth_socket(self) -> str:
        """For Postfix's `smtpd_sasl_path`."""
        return str(self.directory / "auth")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.directory / "log").read_text()


@contextlib.contextmanager
def dovecot(*listeners: Listener, settings: Mapping[str, str] | None = None) -> Iterator[Dovecot]:
    """Run Dovecot with `listeners`; `settings` are for all of them."""
    need_root()
    program = need("dovecot")
    with open_directory() as directory:
        (directory / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        (directory / "mail").mkdir()
        shutil.chown(directory / "mail", "dovecot")
        main = MAIN.format(directory=directory, name=NAME)
        main += "".join(f"{name} = {value}\n" for name, value in (settings or {}).items())
        main += _service(listeners)
        main += "".join(_local(directory, number, each) for number, each in enumerate(listeners))
        (directory / "dovecot.conf").write_text(main)
        command = [program, "-F", "-c", str(directory / "dovecot.conf")]
        last = (listeners[-1].address, listeners[-1].port)
        with daemon(command, last, directory / "log"):
            yield Dovecot(directory=directory, listeners=listeners)


def _service(listeners: tuple[Listener, ...]) -> str:
    blocks = (
        f"  inet_listener rig{number} {{\n    address = {each.address}\n    port = {each.port}\n"
        f"    ssl = {'yes' if each.port == 465 and each.settings.get('ssl') != 'no' else 'no'}\n"
        "  }\n"
        for number, each in enumerate(listeners)
    )
    # The packaged listeners would take 587 and 465 of every address.
    ours = "  inet_listener submission {\n    port = 0\n  }\n"
    ours += "  inet_listener submissions {\n    port = 0\n  }\n"
    return f"service submission-login {{\n{ours}{''.join(blocks)}}}\n"


def _local(directory: Path, number: int, listener: Listener) -> str:
    settings = dict(listener.settings)
    if listener.identity:
        chain, key = listener.identity.write(directory, f"{number}")
        settings = {"ssl_cert": f"<{chain}", "ssl_key": f"<{key}", **settings}
    lines = "".join(f"  {name} = {value}\n" for name, value in settings.items())
    return f"local {listener.address} {{\n{lines}}}\n"
