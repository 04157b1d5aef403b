"""Postfix: any number of listeners, each with its own fault, in one instance.

`with postfix(Listener(address="127.25.1.1", port=25, identity=…)) as server:` is a healthy MX.
Mail to anyone at INBOX is delivered into `server.inbox`, a Maildir; all else is refused unless
the client logged in. A listener's settings are main.cf parameters (`-o name=value`).
"""

import contextlib
import os
import pwd
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need, need_root
from tests.real.rig import NAME, Listener, daemon, next_in, open_directory

INBOX = "inbox.test"

QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved")

MAIN = """\
compatibility_level = 3.6
command_directory = {command_directory}
daemon_directory = {daemon_directory}
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = {name}
mydestination =
mynetworks =
inet_interfaces = all
smtpd_peername_lookup = no
max_idle = 10s
notify_classes =
alias_maps =
local_recipient_maps =
smtpd_banner = $myhostname ESMTP
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_sasl_type = dovecot
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
virtual_mailbox_domains = {inbox}
virtual_mailbox_maps = static:inbox/
virtual_mailbox_base = {directory}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
"""

MASTER = """\
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

SUBMISSION = {
    "smtpd_tls_security_level": "encrypt",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_recipient_restrictions": "permit_sasl_authenticated,reject",
}
"""Of a healthy 587, after Debian's master.cf; `smtpd_sasl_path` is for the caller to add."""

SUBMISSIONS = {**SUBMISSION, "smtpd_tls_wrappermode": "yes"}
"""Of a healthy 465."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """A running instance."""

    directory: Path
    listeners: tuple[Listener, ...]

    @property
    def inbox(self) -> Path:
        """The Maildir that takes all mail to anyone at INBOX; it is there after the first."""
        return self.directory / "inbox"

    def next_mail(self, within: float = 10.0) -> Path:
        """The oldest message in the inbox, as soon as there is one; it is yours to delete."""
        return next_in(self.inbox, within, lambda: self.log)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def postfix(*listeners: Listener, settings: Mapping[str, str] | None = None) -> Iterator[Postfix]:
    """Run Postfix with `listeners`; `settings` are main.cf parameters for all of them."""
    need_root()
    master = need("master")
    with open_directory() as directory:
        _lay_out(directory)
        services = [_service(directory, number, each) for number, each in enumerate(listeners)]
        _write(directory / "etc/main.cf", _main(directory, listeners, settings or {}))
        _write(directory / "etc/master.cf", MASTER + "".join(services))
        last = (listeners[-1].address, listeners[-1].port)
        with daemon([master, "-c", str(directory / "etc"), "-d"], last, directory / "log"):
            yield Postfix(directory=directory, listeners=listeners)


def _main(directory: Path, listeners: tuple[Listener, ...], settings: Mapping[str, str]) -> str:
    account = pwd.getpwnam("postfix")
    main = MAIN.format(
        directory=directory,
        command_directory=Path(need("postfix")).parent,
        daemon_directory=Path(need("master")).parent,
        name=NAME,
        inbox=INBOX,
        uid=account.pw_uid,
        gid=account.pw_gid,
    )
    six = any(":" in listener.address for listener in listeners)
    settings = {"inet_protocols": "all" if six else "ipv4", **settings}
    return main + "".join(f"{name} = {value}\n" for name, value in settings.items())


def _lay_out(directory: Path) -> None:
    for folder in ("etc", "spool/pid"):
        (directory / folder).mkdir(parents=True)
    for folder in (*(f"spool/{each}" for each in (*QUEUES, "private", "trace")), "data", "inbox"):
        (directory / folder).mkdir(mode=0o700)
        shutil.chown(directory / folder, "postfix")
    for folder, mode in (("spool/maildrop", 0o1730), ("spool/public", 0o710)):
        (directory / folder).mkdir()
        shutil.chown(directory / folder, "postfix", "postdrop")
        (directory / folder).chmod(mode)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    # Postfix takes a file of this very second for unfinished and reads it again for two more.
    os.utime(path, (0, 0))


def _service(directory: Path, number: int, listener: Listener) -> str:
    settings = dict(listener.settings)
    if listener.identity:
        path = directory / "etc" / f"{number}.pem"
        path.write_bytes(listener.identity.key_pem + listener.identity.chain_pem)
        path.chmod(0o600)
        settings = {"smtpd_tls_chain_files": str(path), **settings}
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    options = "".join(f"  -o {{ {name} = {value} }}\n" for name, value in settings.items())
    return f"{address}:{listener.port} inet n - n - - smtpd\n{options}"
