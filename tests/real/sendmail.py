"""Sendmail: one daemon with one certificate, on any number of ports.

`with sendmail(Listener(address="127.25.1.1", port=25, identity=…)) as server:` is a healthy MX.
It takes mail for nobody: what is looked at happens before RCPT. Of a listener's settings
`modifiers` are its own (those of DAEMON_OPTIONS). For the whole daemon hold `features`, `rulesets`
and the m4 macros, and `openssl`: lines of openssl.cnf.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import need, need_root, unavailable
from tests.real.rig import NAME, Listener, daemon, open_directory

UNPACKED = Path("/var/cache/smtpcheck-tests/sendmail")
"""By .ci/run, as Debian has either sendmail or Postfix installed."""
CF = UNPACKED / "usr/share/sendmail/cf"
PROGRAM = UNPACKED / "usr/libexec/sendmail/sendmail"

MX = {"modifiers": "A"}
SUBMISSION = {"modifiers": "Ea"}
SUBMISSIONS = {"modifiers": "Eas"}
"""Of a healthy 25, without AUTH, and 587 and 465, with AUTH before MAIL and without ETRN."""

MAIN = {
    "confDOMAIN_NAME": NAME,
    "confPID_FILE": "/mnt/pid",
    "QUEUE_DIR": "/mnt/queue",
    "STATUS_FILE": "/mnt/status",
    "HELP_FILE": "",
    "ALIAS_FILE": "",
    "confTO_IDENT": "0",
    "confDONT_PROBE_INTERFACES": "true",
    "confREFUSE_LA": "1000",
    "confDELAY_LA": "0",
    "confCACERT_PATH": "/etc/ssl/certs",
    "confCACERT": "/mnt/ca.pem",
    "confSERVER_CERT": "/mnt/server.pem",
    "confSERVER_KEY": "/mnt/server.key",
    "confAUTH_MECHANISMS": "PLAIN LOGIN",
    "confAUTH_OPTIONS": "p",
}

OTHERS = ("modifiers", "features", "rulesets", "openssl")
"""The settings that are no macros."""

END = b"-----END CERTIFICATE-----\n"

OPENSSL = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = system\n[system]\n"

# A key below a folder that everyone may write, such as /tmp, is not good enough for it. Names are
# looked up before it listens: here they are found, and nobody else is asked.
ENTER = """\
mount --bind "$1" /mnt
for file in hosts resolv.conf ssl/openssl.cnf; do
  mount --bind "/mnt/$(basename $file)" "/etc/$file"
done
hostname "$3"
exec "$2" -bD -C /mnt/sendmail.cf
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendmail:
    """A running daemon."""

    listeners: tuple[Listener, ...]


@contextlib.contextmanager
def sendmail(*listeners: Listener) -> Iterator[Sendmail]:
    """Run sendmail with `listeners`."""
    need_root()
    if not PROGRAM.exists():
        unavailable(f"there is no sendmail in {UNPACKED}, which .ci/run unpacks")
    settings = {name: value for each in listeners for name, value in each.settings.items()}
    with open_directory() as directory:
        (directory / "queue").mkdir(mode=0o700)
        (directory / "hosts").write_text(f"127.0.0.1 {NAME} localhost\n")
        (directory / "resolv.conf").write_text("nameserver 127.0.0.1\noptions attempts:1\n")
        (directory / "openssl.cnf").write_text(OPENSSL + settings.get("openssl", ""))
        if identity := listeners[0].identity:
            identity.write(directory)
            # Of ServerCertFile it takes the first certificate, and finds its issuers here.
            issuers = identity.chain_pem.partition(END)[2] or ThrowawayCA("Company").root_pem
            (directory / "ca.pem").write_bytes(issuers)
        (directory / "sendmail.cf").write_bytes(_translated(_source(listeners, settings)))
        enter = ["unshare", "--mount", "--uts", "sh", "-ec", ENTER, "sh", str(directory)]
        last = (listeners[-1].address, listeners[-1].port)
        with daemon([*enter, str(PROGRAM), NAME], last):
            yield Sendmail(listeners=listeners)


def _translated(source: str) -> bytes:
    command = [need("m4"), f"-D_CF_DIR_={CF}/", str(CF / "m4/cf.m4"), "-"]
    return subprocess.run(command, input=source.encode(), capture_output=True, check=True).stdout


def _source(listeners: tuple[Listener, ...], settings: Mapping[str, str]) -> str:
    macros = {**MAIN, **{name: value for name, value in settings.items() if name not in OTHERS}}
    lines = [f"define(`{name}', `{value}')" for name, value in macros.items()]
    lines += ["OSTYPE(`linux')", "FEATURE(`no_default_msa')", settings.get("features", "")]
    lines += [_listen(each) for each in listeners]
    lines += ["MAILER(`local')", "MAILER(`smtp')"]
    lines += ["LOCAL_RULESETS", settings.get("rulesets", "")]
    return "divert(-1)\n" + "\n".join(lines) + "\n"


def _listen(listener: Listener) -> str:
    modifiers = listener.settings.get("modifiers", "")
    where = f"Name=p{listener.port}, Addr={listener.address}, Port={listener.port}"
    return f"DAEMON_OPTIONS(`{where}{f', M={modifiers}' if modifiers else ''}')"
