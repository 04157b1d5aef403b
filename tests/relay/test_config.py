"""relay.yaml: a full file becomes the values it says; each fault is named by file, line and key."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.blame import BadInputError
from smtpcheck.facts.host import Security
from smtpcheck.relay.config import Config, Listen, PortRole, maildir
from smtpcheck.relay.config_file import load
from smtpcheck.relay.hop import Login, TlsLevel
from smtpcheck.relay.schedule import DAY, HOUR, SECONDS

FULL = """
hostname: MX.Example.test
data: state
listeners:
  - {address: 127.0.0.1, port: 2525, role: mx}
  - {address: "::1", port: 0, role: pop3s}
  - {port: 2627, role: mx, security: none}
users: {alice: s3cret, bob@example.test: other}
local:
  domains: [Example.test, example.org]
  mailboxes: [Carol@Example.test]
  catch-all: carol@example.test
networks: [192.0.2.0/24, 2001:db8::1]
smarthost: {host: smart.test, port: 465, security: implicit, user: u, password: p}
resolver: 127.0.0.1:5353
mx-port: 2526
tls:
  certificate: cert.pem
  key: /etc/key.pem
  outgoing: required
  destinations: {Strict.test: verified}
limits: {message: 10M, recipients: 50, idle: 1m}
rates: {messages: 0, failed-logins: 3}
retry: {delays: [1s, 5m, 1h], warning: 2h, lifetime: 3d}
transcripts: no
keep: 1d
"""


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "relay.yaml"
    path.write_text(text)
    return load(path)


def test_a_full_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, FULL)
    assert config.hostname == "mx.example.test"
    assert config.data == tmp_path / "state"
    assert config.listen == (
        Listen(port=2525, role=PortRole.MX),
        Listen(address="::1", role=PortRole.POP3S),
        Listen(port=2627, role=PortRole.MX, security=Security.NONE),
    )
    assert config.users == {"alice": "s3cret", "bob@example.test": "other"}
    assert config.local_domains == {"example.test", "example.org"}
    assert config.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))
    assert config.smarthost is not None
    assert config.smarthost.login == Login(user="u", password="p")
    assert config.smarthost.security is Security.IMPLICIT
    assert (config.certificate, config.key) == (tmp_path / "cert.pem", Path("/etc/key.pem"))
    assert config.policy_for("strict.test").level is TlsLevel.VERIFIED
    assert config.policy_for("other.test").level is TlsLevel.REQUIRED
    assert (config.limits.message_octets, config.limits.idle) == (10 * 1024**2, 60)
    assert (config.rates.messages, config.rates.failed_logins) == (0, 3)
    assert config.schedule.delays == (1, 300, HOUR)
    assert (config.schedule.warning, config.schedule.lifetime) == (2 * HOUR, 3 * DAY)
    assert (config.transcripts, config.keep) == (False, DAY)


@pytest.mark.parametrize(
    ("store", "address", "port"),
    [("127.0.0.1:24", "127.0.0.1", 24), ("/run/lmtp", "/run/lmtp", 25)],
)
def test_a_store_that_speaks_lmtp(tmp_path: Path, store: str, address: str, port: int) -> None:
    lmtp = loaded(tmp_path, f'local: {{lmtp: "{store}"}}').lmtp
    assert lmtp is not None
    assert (lmtp.address, lmtp.port, lmtp.security) == (address, port, Security.NONE)


def test_an_empty_file_is_the_defaults_and_they_are_closed(tmp_path: Path) -> None:
    config = loaded(tmp_path, "# nothing\n")
    assert config == Config()
    assert not config.may_relay("127.0.0.1")
    assert {listen.address for listen in config.listen} == {"127.0.0.1"}
    assert min(listen.port for listen in config.listen) > 1023
    assert loaded(tmp_path, "retry: {profile: seconds}").schedule == SECONDS


FAULTS: list[tuple[str, str]] = [
    ("hostname: a.test\nlistners: []", ":2: listners: unknown key; did you mean listeners?"),
    ("listeners:\n - {port: 25}\n - {port: 99999}", ":3: listeners[1].port: must be a number"),
    ("listeners:\n - {port: 25, rôle: mx}", ":2: listeners[0].rôle: unknown key"),
    ("listeners: [{role: smtp}]", ":1: listeners[0].role: must be one of mx, submission"),
    ("listeners: 25", ":1: listeners: must be a list"),
    ("users: [a, b]", ":1: users: must be a mapping"),
    ("users:\n  alice:\n", ":2: users.alice: must be a word"),
    ("hostname: -bad-", ":1: hostname: malformed domain"),
    ("local:\n  mailboxes: [alice]", ":2: local.mailboxes[0]: malformed address; write USER@"),
    ("local:\n  lmtp: store.test", ":2: local.lmtp: must be ADDRESS:PORT or the path"),
    ("networks: [10.0.0.0/99]", ":1: networks[0]: must be a network"),
    ("smarthost: {port: 25}", ":1: smarthost: host is missing"),
    ("smarthost: {host: h, user: u}", ":1: smarthost: user and password go together"),
    ("smarthost: {host: h, user: u, password: p, security: none}", ":1: smarthost: a password"),
    ("resolver: dns.test", ":1: resolver: must be the address"),
    ("tls:\n  destinations:\n    a.test: maybe", ":3: tls.destinations.a.test: must be one of"),
    ("retry: {lifetime: forever}", ":1: retry.lifetime: must be a duration"),
    ("retry: {delays: []}", ":1: retry.delays: must have one"),
    ("transcripts: perhaps", ":1: transcripts: must be true or false"),
    ("limits: {message: big}", ":1: limits.message: must be a size"),
    ("data: a\ndata: b", ":2: data: given twice"),
    ("? [a]\n: b", ":1: a key must be a word"),
    ("- a", ":1: must be a mapping"),
    ("a: [", ":1: "),
    ("a: \x00", ""),
]


@pytest.mark.parametrize(("text", "words"), FAULTS)
def test_faults_name_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError) as fault:
        loaded(tmp_path, text)
    assert str(fault.value).startswith(f"{tmp_path / 'relay.yaml'}{words}")
    assert "\n" not in str(fault.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "relay.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(BadInputError, match="not UTF-8"):
        load(tmp_path / "relay.yaml")


HOUSE = Config(
    hostname="mx.example.test",
    users={"alice": "x", "bob@example.org": "y", "eve@elsewhere.test": "z"},
    local_domains=frozenset({"example.test", "example.org"}),
    mailboxes=frozenset({"carol@example.test"}),
)


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("alice@example.test", "alice@example.test"),
        ("ALICE@Example.Org", "alice@example.org"),
        ("bob@example.org", "bob@example.org"),
        ("bob@example.test", None),
        ("carol@example.test", "carol@example.test"),
        ("postmaster@example.org", "postmaster@mx.example.test"),
        ("PostMaster", "postmaster@mx.example.test"),
        ("alice%other.test@example.test", None),
        ('"alice@other.test"@example.test', None),
        ("eve@elsewhere.test", None),
    ],
)
def test_who_lives_here(address: str, mailbox: str | None) -> None:
    assert HOUSE.mailbox_of(address) == mailbox


@pytest.mark.parametrize(
    ("user", "mailbox"),
    [("bob@example.org", "bob@example.org"), ("alice", "alice@example.org"), ("mallory", None)],
)
def test_whose_mail_a_user_reads(user: str, mailbox: str | None) -> None:
    assert HOUSE.mailbox_of_user(user) == mailbox


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ((), "127.0.0.1", False),
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("127.0.0.0/8",), "::ffff:127.0.0.1", True),
        (("127.0.0.0/8",), "::1", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("192.0.2.0/24",), "192.0.3.1", False),
    ],
)
def test_who_may_relay(networks: tuple[str, ...], address: str, allowed: bool) -> None:
    config = Config(networks=tuple(ip_network(each) for each in networks))
    assert config.may_relay(address) is allowed


@given(local=st.text(min_size=1), domain=st.text(min_size=1))
def test_no_mailbox_leaves_its_directory(local: str, domain: str) -> None:
    data = Path("/data")
    path = maildir(data, f"{local}@{domain.replace('@', '')}d")
    assert path.parts[:3] == ("/", "data", "mail")
    assert len(path.parts) == 5
    assert not any(part.startswith(".") for part in path.parts)
