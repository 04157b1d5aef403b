"""A run fit to share: nobody is named, and it is judged alike."""

from dataclasses import replace

from smtpcheck.codec import encode
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.observation import Vantage
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Certificate, TlsSession, TrustStore
from smtpcheck.redact import redacted
from tests.test_codec import NOW, observation

NAMES = ("*.example.org", "example.org")


def secretive() -> Step:
    (step,) = observation(b"220 mail.example.org at 203.0.113.9, hello 2001:DB8:9:0::9\r\n").steps
    leaf = Certificate(
        der=b"example.org",
        names=NAMES,
        common_name="example.org",
        subject="CN=example.org,O=Example Ltd",
        issuer="CN=Example Corp Root",
        not_after=NOW,
        sha256="abcdef",
        subject_key_id="abcdef",
    )
    trust = TrustStore(source="x", anchors=1)
    return replace(
        step,
        host=replace(step.host, name="mail.example.org", address="203.0.113.9"),
        tls=TlsSession(version="TLSv1.3", cipher="x", chain=(leaf,), trust=trust),
    )


def test_no_name_or_address_is_left_anywhere() -> None:
    before = observation()
    before = replace(
        before,
        target=replace(before.target, given="mail.example.org", verify="mail.example.org"),
        vantage=Vantage(ehlo="laptop.home.arpa", resolver="198.51.100.53"),
        dns=(
            Lookup(
                name="mail.example.org", rdtype="A", answer=Answer.FOUND, values=("203.0.113.9",)
            ),
        ),
        steps=(secretive(),),
    )
    text = encode(redacted(before)).decode()
    for private in ("example", "203.0.113.9", "laptop", "198.51.100.53", "m.test", ":9:", "abcdef"):
        assert private not in text


def test_names_keep_their_shape_so_that_they_still_match() -> None:
    before = observation()
    before = replace(
        before,
        target=replace(before.target, verify="mail.example.org"),
        steps=(secretive(),),
    )
    after = redacted(before)
    session = after.steps[0].tls
    assert session is not None
    host, wildcard = after.target.verify, session.chain[0].names[0]
    assert host.partition(".")[2] == wildcard.partition(".")[2]
    assert wildcard.startswith("*.")
    assert session.chain[0].not_after == NOW
    assert after.redacted


def test_a_server_can_not_trip_it() -> None:
    """A long s folds to s where case is ignored; a name may be cut anywhere."""
    greeting = "220 mail.\u017fmtp.example mail.smtp.example .. [:::] 1.2.3.4.5\r\n"
    before = observation(greeting.encode())
    assert redacted(before).redacted


def test_loopback_stays_loopback_and_many_addresses_stay_apart() -> None:
    lines = b"".join(b"220-10.0.%d.%d\r\n" % (n // 250, n % 250) for n in range(600))
    before = observation(lines + b"220 127.0.0.1\r\n")
    after = redacted(before).steps[0].greeting
    assert after is not None
    assert len(set(after.reply.lines)) == 601
    assert after.reply.lines[-1] == "127.0.0.1"
