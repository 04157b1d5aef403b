"""OpenSMTPD, of Debian 13, in a root directory of its own: 6.8 of Debian 12 dies at handshakes.

`with opensmtpd(Listener(address="127.25.1.1", port=25, identity=…)) as server:` is a healthy MX.
It takes mail for nobody: what is looked at happens before RCPT. A listener's settings are the
options of its `listen` line, a word each ("tls", "auth"), with "" for a word that takes no value.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need_root, unavailable
from tests.real.rig import NAME, Listener, daemon, open_directory

ROOT = Path("/var/cache/smtpcheck-tests/trixie")
"""Made by .ci/run."""

MX = {"tls": ""}
SUBMISSION = {"tls-require": "", "auth": ""}
SUBMISSIONS = {"smtps": "", "auth": ""}
"""Of a healthy 25, 587 and 465."""

# Whoever connects: there is no word for all.
FILTERS = """\
filter greets-554 phase connect match !src "192.0.2.1" disconnect "554 5.7.1 no mail from you"
filter greets-421 phase connect match !src "192.0.2.1" disconnect "421 4.3.2 too busy"
filter greets-late proc-exec "/mnt/late"
filter refuses-ehlo phase ehlo match !src "192.0.2.1" reject "502 5.5.1 what is EHLO"
filter refuses-helo phase helo match !src "192.0.2.1" reject "550 5.7.1 go away"
filter refuses-hello chain { refuses-ehlo, refuses-helo }
filter leaves-at-ehlo phase ehlo match !src "192.0.2.1" disconnect "550 5.7.1 go away"
"""

LATE = """\
#!/bin/sh
# After smtpd-filters(7); each answer waits by itself.
while IFS='|' read -r kind _ _ _ _ session token _; do
  case $kind in
  config) [ "$session" ] || printf 'register|filter|smtp-in|connect\\nregister|ready\\n' ;;
  filter) (sleep 11; printf 'filter-result|%s|%s|proceed\\n' "$session" "$token") & ;;
  esac
done
"""

OPENSSL = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = system
[system]
CipherString = DEFAULT:@SECLEVEL=0
"""
"""Else it does not start with a weak certificate; the versions are its own affair all the same."""

ENTER = """\
mount --bind "$1" "$2/mnt"
mount --bind "$2/mnt/openssl.cnf" "$2/etc/ssl/openssl.cnf"
for folder in run tmp var/spool; do mount -t tmpfs tmpfs "$2/$folder"; done
exec chroot "$2" /usr/sbin/smtpd -d -f /mnt/smtpd.conf
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSmtpd:
    """A running daemon."""

    listeners: tuple[Listener, ...]


@contextlib.contextmanager
def opensmtpd(*listeners: Listener) -> Iterator[OpenSmtpd]:
    """Run OpenSMTPD with `listeners`."""
    need_root()
    if not (ROOT / "usr/sbin/smtpd").exists():
        unavailable(f"there is no OpenSMTPD in {ROOT}, which .ci/run makes")
    with open_directory() as directory:
        (directory / "late").write_text(LATE)
        (directory / "late").chmod(0o755)
        (directory / "openssl.cnf").write_text(OPENSSL)
        lines = [_listen(directory, number, each) for number, each in enumerate(listeners)]
        rules = f'action taken maildir "/tmp"\nmatch from any for domain {NAME} action taken\n'
        (directory / "smtpd.conf").write_text(FILTERS + "".join(lines) + rules)
        # Mounts of its own, so that they end with it and two runs don't meet.
        enter = ["unshare", "--mount", "sh", "-ec", ENTER, "sh", str(directory), str(ROOT)]
        with daemon(enter, (listeners[-1].address, listeners[-1].port)):
            yield OpenSmtpd(listeners=listeners)


def _listen(directory: Path, number: int, listener: Listener) -> str:
    settings, lines = dict(listener.settings), ""
    if listener.identity and {"tls", "tls-require", "smtps"} & set(settings):
        chain, key = listener.identity.write(directory, str(number))
        shutil.chown(key, "root")
        key.chmod(0o600)
        settings["pki"] = f"p{number}"
        lines = f'pki p{number} cert "/mnt/{chain.name}"\npki p{number} key "/mnt/{key.name}"\n'
    options = " ".join(f"{word} {value}".rstrip() for word, value in settings.items())
    where = f"listen on {listener.address} port {listener.port}"
    return f"{lines}{where} hostname {NAME} {options}\n"
