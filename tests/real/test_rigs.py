"""The rigs have the faults that the table says: told by openssl and smtplib, not by us."""

import contextlib
import smtplib
import socket
import ssl
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.real.cases import POSTFIX
from tests.real.conftest import address_of
from tests.real.dovecot import PASSWORD, USER, dovecot
from tests.real.postfix import INBOX, SUBMISSION, Postfix, postfix
from tests.real.rig import NAME, Listener, StartError, loopback
from tests.real.s_client import s_client

pytestmark = pytest.mark.real

BY_TITLE = {case.title: case for case in POSTFIX}

OPENSSL_SAYS = {
    "healthy": "Verify return code: 0 (ok)",
    "healthy with RSA": "Verify return code: 0 (ok)",
    "expired on submission": "certificate has expired",
    "not yet valid on submission": "certificate is not yet valid",
    "wrong name on submission": "hostname mismatch",
    "self-signed on submission": "self-signed certificate",
    "a company's own CA": "unable to get local issuer certificate",
    "missing intermediate on submission": "unable to verify the first certificate",
    "chain in wrong order": "1 s:CN = Throwaway Root CA",
    "weak key": "Server public key is 1024 bit",
    "no STARTTLS on submission": "Didn't find STARTTLS in server response",
    "STARTTLS answers 454 on submission": "wrong version number",
    "no usable handshake after the 220": "alert handshake failure",
    "plaintext on 465": "wrong version number",
    "greets with 421": "Didn't find STARTTLS in server response",
    "TLS 1.2 only": "New, TLSv1.2",
}


def seen(title: str, ca_file: Path, *options: str) -> str:
    """What openssl sees of the row's first port."""
    case = BY_TITLE[title]
    return s_client(address_of(case), case.ports[0].number, ca_file, *options)


@pytest.mark.parametrize(("title", "words"), OPENSSL_SAYS.items(), ids=OPENSSL_SAYS)
@pytest.mark.usefixtures("postfix_server")
def test_openssl_sees_the_fault(title: str, words: str, ca_file: Path) -> None:
    assert words in seen(title, ca_file)


@pytest.mark.parametrize("title", ["TLS 1.0 still on, submission", "TLS 1.0 only"])
@pytest.mark.usefixtures("postfix_server")
def test_openssl_gets_tls_1_0_where_it_is_still_on(title: str, ca_file: Path) -> None:
    said = seen(title, ca_file, "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "New, TLSv1.0" in said


@pytest.mark.usefixtures("postfix_server")
def test_openssl_gets_no_tls_1_0_from_the_healthy_one(ca_file: Path) -> None:
    said = seen("healthy", ca_file, "-tls1", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "alert protocol version" in said


class Submission(smtplib.SMTP):
    """Connects to the healthy row's address and verifies its name."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # noqa: ARG002
        return socket.create_connection((address_of(BY_TITLE["healthy"]), port), timeout)


def test_mail_with_a_login_reaches_the_inbox(postfix_server: Postfix, ca_file: Path) -> None:
    with Submission(NAME, 587, timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(ca_file)))
        client.login(USER, PASSWORD)
        client.sendmail("alice@a.test", [f"bob@{INBOX}"], b"Subject: to be found\r\n\r\nhello\r\n")
    assert "to be found" in postfix_server.next_mail().read_text()


@pytest.mark.usefixtures("postfix_server")
def test_a_wrong_password_does_not_log_in(ca_file: Path) -> None:
    with Submission(NAME, 587, timeout=10) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(ca_file)))
        client.ehlo()
        client.user, client.password = USER, "wrong"
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.auth("PLAIN", client.auth_plain)
    assert refusal.value.smtp_code == 535


@pytest.fixture
def identity(ca: ThrowawayCA) -> Identity:
    """A healthy certificate."""
    return ca.issue([NAME])


def test_nothing_is_left_of_a_rig_even_when_the_test_fails(identity: Identity) -> None:
    listener = Listener(address=loopback(260), port=587, identity=identity, settings=SUBMISSION)
    with contextlib.suppress(ZeroDivisionError), postfix(listener) as server:
        directory = server.directory
        raise ZeroDivisionError
    assert not directory.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listener.address, listener.port), timeout=5)


def test_a_server_that_does_not_start_says_why() -> None:
    listener = Listener(address=loopback(261), port=587)
    with (
        pytest.raises(StartError, match="Unknown setting: no_such_setting"),
        dovecot(listener, settings={"no_such_setting": "1"}),
    ):
        pytest.fail("it started")


def test_an_address_that_is_taken_is_not_mistaken_for_ours() -> None:
    listener = Listener(address=loopback(262), port=25)
    with (
        socket.create_server((listener.address, listener.port)),
        pytest.raises(StartError, match="taken"),
        postfix(listener),
    ):
        pytest.fail("it started")
