"""Exim: any number of listeners in one daemon, each with settings of its own.

`with exim(Listener(address="127.25.1.1", port=25, identity=…)) as server:` is a healthy MX.
Mail to anyone at INBOX is delivered into `server.inbox`, a Maildir; all else is refused unless
it is for `relay_domains`. A listener's settings are main options that Exim expands.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need_root, unavailable
from tests.real.rig import NAME, Listener, daemon, next_in, open_directory

INBOX = "inbox.test"
USER = "Debian-exim"
"""Compiled in."""
UNPACKED = Path("/var/cache/smtpcheck-tests/exim4/usr/sbin/exim4")
"""By .ci/run, as Debian has either Exim or Postfix installed."""

MAIN = """\
exim_path = {directory}/exim4
primary_hostname = {name}
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s
pid_file_path = {directory}/spool/pid
keep_environment =
never_users =
deliver_drop_privilege
local_interfaces = <; {interfaces}
smtp_accept_max = 200
smtp_accept_max_nonmail = 200
host_lookup =
rfc1413_query_timeout = 0s
domainlist relay_domains = {relay_domains}
acl_smtp_rcpt = rcpt
acl_smtp_predata = accept
acl_smtp_data = accept
{main}
begin acl
rcpt:
{rcpt}  accept domains = {inbox} : +relay_domains
  deny message = relay not permitted

begin routers
{routers}inbox:
  driver = accept
  domains = {inbox}
  transport = inbox

begin transports
{transports}inbox:
  driver = appendfile
  directory = {directory}/inbox
  maildir_format
  create_directory
  return_path_add
  envelope_to_add

begin retry
* * F,1h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = false
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = false
"""

DEFAULTS = {
    "acl_smtp_connect": "accept",
    "acl_smtp_helo": "accept",
    "acl_smtp_mail": "accept",
    "acl_smtp_starttls": "accept",
    "auth_advertise_hosts": "",
    "chunking_advertise_hosts": "*",
    "dsn_advertise_hosts": "*",
    "message_size_limit": "50M",
    "pipelining_advertise_hosts": "*",
    "smtp_banner": "$smtp_active_hostname ESMTP",
    "smtputf8_advertise_hosts": "*",
    "tls_advertise_hosts": "",
    "tls_on_connect_ports": "465",
    "tls_require_ciphers": "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1",
}
"""What a listener's settings may differ from, each for its own."""

SUBMISSION = {
    "auth_advertise_hosts": "${if def:tls_in_cipher{*}}",
    "acl_smtp_mail": r"accept encrypted = *\n deny message = 530 5.7.0 STARTTLS first",
}
"""Of a healthy 587 or 465, where nobody can log in: the password is always wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exim:
    """A running daemon."""

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
        return "".join(path.read_text() for path in sorted((self.directory / "log").iterdir()))


@contextlib.contextmanager
def exim(
    *listeners: Listener,
    settings: Mapping[str, str] | None = None,
    relay_domains: Sequence[str] = (),
    rcpt: str = "",
    routers: str = "",
    transports: str = "",
) -> Iterator[Exim]:
    """Run Exim with `listeners`; `settings` are main options for all of them.

    `rcpt`, `routers` and `transports` are text of these sections, before what is there.
    """
    need_root()
    program = shutil.which("exim4") or (str(UNPACKED) if UNPACKED.exists() else "")
    if not program:
        unavailable("exim4 is neither installed nor unpacked, which .ci/run does")
    with open_directory() as directory:
        # Exim runs itself again as its own user, who might not get at the place it came from.
        shutil.copy(program, directory / "exim4")
        for folder in ("spool", "log", "inbox"):
            (directory / folder).mkdir(mode=0o750)
            shutil.chown(directory / folder, USER, USER)
        main = MAIN.format(
            directory=directory,
            name=NAME,
            inbox=INBOX,
            interfaces=" ; ".join(_interface(each) for each in listeners),
            relay_domains=" : ".join(relay_domains),
            main=_settings(directory, listeners, {**DEFAULTS, **(settings or {})}),
            rcpt=rcpt,
            routers=routers,
            transports=transports,
        )
        (directory / "exim.conf").write_text(main)
        command = [str(directory / "exim4"), "-bdf", "-q1s", "-C", str(directory / "exim.conf")]
        last = (listeners[-1].address, listeners[-1].port)
        with daemon(command, last, directory / "log/main"):
            yield Exim(directory=directory, listeners=listeners)


def _interface(listener: Listener) -> str:
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{address}:{listener.port}" if ":" in address else f"{address}.{listener.port}"


def _settings(directory: Path, listeners: tuple[Listener, ...], settings: Mapping[str, str]) -> str:
    """Each option once: for all, or chosen by where the client came to."""
    own = [_own(directory, number, listener) for number, listener in enumerate(listeners)]
    names = dict.fromkeys((*settings, *(name for each in own for name in each)))
    lines = []
    for name in names:
        value = settings.get(name, "")
        for listener, each in zip(listeners, own, strict=True):
            if name in each:
                here = f"{listener.address}:{listener.port}"
                there = "$received_ip_address:$received_port"
                value = f"${{if eq{{{there}}}{{{here}}}{{{each[name]}}}{{{value}}}}}"
        lines.append(f"{name} = {value}\n")
    return "".join(lines)


def _own(directory: Path, number: int, listener: Listener) -> dict[str, str]:
    if listener.identity is None:
        return dict(listener.settings)
    chain, key = listener.identity.write(directory, str(number))
    shutil.chown(key, USER, USER)
    tls = {
        "tls_advertise_hosts": "*",
        "tls_certificate": str(chain),
        "tls_privatekey": str(key),
    }
    return {**tls, **listener.settings}
