"""The ClientHello is understood by real TLS servers, and their answers are read from any cut."""

import socket
import ssl
import subprocess
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.hello import (
    MAX_HELLO_OCTETS,
    SSL3,
    TLS1_0,
    TLS1_1,
    TLS1_2,
    TLS1_3,
    Alert,
    Answer,
    NotTls,
    ServerHello,
    ServerHelloReader,
    client_hello,
)

VERSIONS = (TLS1_0, TLS1_1, TLS1_2, TLS1_3)
RANDOM = bytes(range(1, 33))


def hello(version: int, name: str | None = "mx.example.test") -> bytes:
    session_id = RANDOM if version == TLS1_3 else b""
    return client_hello(version, server_name=name, random=RANDOM, session_id=session_id)


def read(data: bytes, size: int = 0) -> Answer | None:
    reader = ServerHelloReader()
    size = size or len(data) or 1
    answers = [reader.feed(data[n : n + size]) for n in range(0, len(data), size)]
    return answers[-1] if answers else None


def record(fragment: bytes, kind: int = 22) -> bytes:
    return bytes((kind, 3, 3)) + len(fragment).to_bytes(2) + fragment


def handshake(body: bytes, kind: int = 2) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3) + body


SERVER_HELLO = b"\x03\x01" + bytes(32) + b"\x00" + b"\x00\x05" + b"\x00"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file with an RSA key and a self-signed certificate."""
    folder = tmp_path_factory.mktemp("hello")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=mx.example.test -days 2"
    subprocess.run(
        [*command.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


def context(certificate: Path, only: int, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    made.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        made.minimum_version = ssl.TLSVersion(only)
        made.maximum_version = ssl.TLSVersion(only)
    return made


def answered(server: ssl.SSLContext, offer: bytes) -> bytes:
    """All that OpenSSL writes when it reads `offer`, without a socket."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(offer)
    with suppress(ssl.SSLError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_version_that_is_on_is_accepted(certificate: Path, version: int, size: int) -> None:
    answer = read(answered(context(certificate, version), hello(version)), size)
    assert isinstance(answer, ServerHello)
    assert answer.version == version
    assert not answer.retry
    assert answer.cipher_name.startswith(("TLS_", "ECDHE-RSA", "DHE-RSA"))


@pytest.mark.parametrize("offered", VERSIONS)
@pytest.mark.parametrize("on", VERSIONS)
def test_a_version_that_is_off_is_never_chosen(certificate: Path, offered: int, on: int) -> None:
    """Below TLS 1.3 a lower version may be chosen: the answer tells which."""
    answer = read(answered(context(certificate, on), hello(offered)))
    if offered == on or on < offered < TLS1_3:
        assert isinstance(answer, ServerHello)
        assert answer.version == on
    else:
        assert isinstance(answer, Alert)
        assert answer.name in ("protocol_version", "handshake_failure")


def test_another_group_is_asked_for_and_counts(certificate: Path) -> None:
    server = context(certificate, TLS1_3)
    server.set_ecdh_curve("secp521r1")
    answer = read(answered(server, hello(TLS1_3)))
    assert isinstance(answer, ServerHello)
    assert (answer.version, answer.retry) == (TLS1_3, True)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("mx.example.test", b"mx.example.test"),
        ("mx.example.test.", b"mx.example.test"),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        ("[2001:db8::1]", None),
        ("bücher.example", None),
        ("", None),
        (None, None),
    ],
)
def test_server_name_is_sent_for_dns_names_alone(
    certificate: Path, name: str | None, sent: bytes | None
) -> None:
    seen: list[str | None] = []

    def note(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
        seen.append(name)

    server = context(certificate, TLS1_2)
    server.sni_callback = note
    answered(server, hello(TLS1_2, name))
    assert seen == [sent.decode() if sent else None]


def test_sslv3_is_accepted_by_a_server_that_still_has_it(certificate: Path) -> None:
    """Our OpenSSL can't; tlslite can, over a socket."""
    api: Any = pytest.importorskip("tlslite.api")
    pem = certificate.read_text()
    chain = api.X509CertChain([api.X509().parse(pem[pem.index("-----BEGIN CERT") :])])
    key = api.parsePEMKey(pem, private=True)
    settings = api.HandshakeSettings()
    settings.minVersion, settings.maxVersion = (3, 0), (3, 0)
    settings.cipherNames = ["rc4", "3des"]
    ours, theirs = socket.socketpair()

    def serve() -> None:
        connection = api.TLSConnection(theirs)
        with pytest.raises(Exception, match=r".*"):  # we hang up after the ServerHello
            connection.handshakeServer(certChain=chain, privateKey=key, settings=settings)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        ours.sendall(hello(SSL3))
        reader, answer = ServerHelloReader(), None
        while answer is None:
            answer = reader.feed(ours.recv(4096)) or None
    thread.join(10)
    theirs.close()
    assert isinstance(answer, ServerHello)
    assert answer.version == SSL3
    assert answer.cipher_name in ("RC4-SHA", "RC4-MD5", "DES-CBC3-SHA", "DHE-RSA-DES-CBC3-SHA")


NO = NotTls(first_octets=b"", detail="any")
HANDSHAKE_FAILURE = Alert(fatal=True, description=40)
ANSWERS: list[tuple[str, bytes, Answer | None]] = [
    ("nothing", b"", None),
    ("a greeting", b"220 mx ready\r\n", NotTls(first_octets=b"220 mx ready\r\n", detail="any")),
    ("fatal alert", record(b"\x02\x46", 21), Alert(fatal=True, description=70)),
    ("alert cut in two", record(b"\x02", 21) + record(b"\x28", 21), HANDSHAKE_FAILURE),
    ("close_notify", record(b"\x01\x00", 21), Alert(fatal=False, description=0)),
    (
        "a warning first",
        record(b"\x01\x70", 21) + record(handshake(SERVER_HELLO)),
        ServerHello(version=TLS1_0, legacy_version=TLS1_0, cipher=5),
    ),
    (
        "one octet a record",
        b"".join(record(bytes((o,))) for o in handshake(SERVER_HELLO)),
        ServerHello(version=TLS1_0, legacy_version=TLS1_0, cipher=5),
    ),
    (
        "supported_versions rules",
        record(handshake(SERVER_HELLO + b"\x00\x0a\xff\x01\x00\x00\x00\x2b\x00\x02\x03\x04")),
        ServerHello(version=TLS1_3, legacy_version=TLS1_0, cipher=5),
    ),
    (
        "garbled extensions",
        record(handshake(SERVER_HELLO + b"\x00\x03\x00\x2b\x00")),
        ServerHello(version=TLS1_0, legacy_version=TLS1_0, cipher=5),
    ),
    ("certificate first", record(handshake(b"", 11)), NO),
    ("too short a hello", record(handshake(b"\x03\x03")), NO),
    ("session id too long", record(handshake(SERVER_HELLO[:34] + b"\xff\0\0\0")), NO),
    ("huge hello", record(b"\x02\xff\xff\xff"), NO),
    ("huge record", b"\x16\x03\x03\xff\xff", NO),
    ("application data", record(b"x", 23), NO),
    ("endless empty records", record(b"") * 100, NO),
    ("half a hello", record(handshake(SERVER_HELLO)[:20]), None),
]  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize(("data", "expected"), [pytest.param(*r[1:], id=r[0]) for r in ANSWERS])
def test_answers(data: bytes, expected: Answer | None, size: int) -> None:
    answer = read(data, size)
    if isinstance(expected, NotTls):
        assert isinstance(answer, NotTls)
        assert answer.detail
        assert data.startswith(answer.first_octets)
    else:
        assert answer == expected


def test_clear_text_is_recognised_by_its_first_octet() -> None:
    assert isinstance(ServerHelloReader().feed(b"2"), NotTls)


def test_an_end_before_the_hello_is_an_answer() -> None:
    reader = ServerHelloReader()
    assert reader.feed(record(handshake(SERVER_HELLO))[:30]) is None
    assert isinstance(reader.end(), NotTls)


def test_octets_after_the_answer_change_nothing() -> None:
    reader = ServerHelloReader()
    first = reader.feed(record(handshake(SERVER_HELLO)) + b"220 what")
    assert reader.feed(b"\x15\x03\x03\x00\x02\x02\x46") == first == reader.end()


def test_a_long_hello_is_bounded() -> None:
    reader = ServerHelloReader()
    part = record(b"\x02\x00\xff\xff" + bytes(2**14 - 4))
    answers = [reader.feed(part) for _ in range(MAX_HELLO_OCTETS // 2**14 + 2)]
    assert answers[-1] is not None


@given(data=st.binary(max_size=600), cut=st.integers(0, 600), good=st.booleans())
def test_no_octet_raises_and_no_cut_matters(data: bytes, cut: int, good: bool) -> None:
    stream = record(handshake(SERVER_HELLO))[: len(data) % 50] + data if good else data
    parts = ServerHelloReader()
    parts.feed(stream[:cut])
    parts.feed(stream[cut:])
    whole = ServerHelloReader()
    whole.feed(stream)
    one, other = whole.end(), parts.end()
    assert type(one) is type(other)
    assert one == other or isinstance(one, NotTls)


@given(body=st.binary(max_size=200))
def test_any_server_hello_body_is_read_or_called_garbled(body: bytes) -> None:
    assert isinstance(read(record(handshake(body))), ServerHello | NotTls)
