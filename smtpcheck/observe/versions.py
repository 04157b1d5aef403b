"""Which TLS versions a port accepts: one small ClientHello each, whatever our OpenSSL can do."""

import os
from dataclasses import replace

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Offer, Version, VersionOffer
from smtpcheck.net.client import Dialogue
from smtpcheck.net.network import Network
from smtpcheck.wire import hello

ASKED = (Version.TLS1_0, Version.TLS1_1, Version.TLS1_2, Version.TLS1_3)

NUMBERS = {
    Version.SSL3: hello.SSL3,
    Version.TLS1_0: hello.TLS1_0,
    Version.TLS1_1: hello.TLS1_1,
    Version.TLS1_2: hello.TLS1_2,
    Version.TLS1_3: hello.TLS1_3,
}
NAMES = {number: version for version, number in NUMBERS.items()}

USER_CANCELED = bytes((21, 3, 1, 0, 2, 1, 90))
"""The alert by which we let go of a handshake that we won't finish (RFC 8446 §6.1)."""


async def probe(host: MailHost, version: Version, net: Network) -> Step:
    """Whether `host` accepts `version`; undecided when we never got to ask."""
    offer = VersionOffer(version=version, offer=Offer.UNDECIDED)
    async with net.dialogue(host, Probe.VERSION) as dialogue:
        await dialogue.connect()
        if host.security is Security.STARTTLS:
            await dialogue.greeting()
            await dialogue.ehlo()
            await dialogue.starttls()
        offer = await _offer(dialogue, version, net)
    if dialogue.failure is not None:
        offer = _undecided(dialogue, version)
    return dialogue.step(version=offer)


async def tls_first(host: MailHost, net: Network) -> Step:
    """A ClientHello on a port that is meant for clear text and says nothing."""
    implicit = replace(host, security=Security.IMPLICIT)
    offer = VersionOffer(version=Version.TLS1_2, offer=Offer.UNDECIDED)
    # The silent connection waits for us and has a turn already: a second one might never come.
    async with net.dialogue(implicit, Probe.TLS_FIRST, turn=False) as dialogue:
        await dialogue.connect()
        offer = await _offer(dialogue, Version.TLS1_2, net)
        if offer.offer is not Offer.ACCEPTED:
            dialogue.remark("no TLS here")
    return dialogue.step(version=offer)


async def _offer(dialogue: Dialogue, version: Version, net: Network) -> VersionOffer:
    dialogue.stage = Stage.TLS
    sni = net.server_name(dialogue.host)
    random, session_id = os.urandom(32), os.urandom(32)
    offered = hello.client_hello(
        NUMBERS[version], server_name=sni, random=random, session_id=session_id
    )
    await dialogue.raw(offered, f"ClientHello that offers {version}")
    reader = hello.ServerHelloReader()
    answer: hello.Answer | None = None
    heard, began = 0, net.clock.now()
    while answer is None:
        left = net.limits.handshake - (net.clock.now() - began)
        data = await dialogue.octets(max(0.0, left))
        if not data and not heard:
            raise dialogue.stop(Kind.CLOSED, "closed in answer to the ClientHello")
        heard += len(data)
        answer = reader.feed(data) if data else reader.end()
    result = _read(version, answer)
    dialogue.remark(f"{version} {result.offer}: {result.cipher or result.detail}")
    if result.offer is Offer.ACCEPTED:
        await dialogue.raw(USER_CANCELED, "alert: user_canceled")
    return result


def _read(version: Version, answer: hello.Answer) -> VersionOffer:
    match answer:
        case hello.ServerHello(version=chosen) if chosen == NUMBERS[version]:
            return VersionOffer(version=version, offer=Offer.ACCEPTED, cipher=answer.cipher_name)
        case hello.ServerHello(version=chosen):
            other = NAMES.get(chosen, f"version {chosen:#06x}")
            return VersionOffer(
                version=version, offer=Offer.REFUSED, detail=f"the server answered with {other}"
            )
        case hello.Alert():
            return VersionOffer(version=version, offer=Offer.REFUSED, detail=f"alert {answer.name}")
        case hello.NotTls():
            return VersionOffer(version=version, offer=Offer.UNDECIDED, detail=answer.detail)


def _undecided(dialogue: Dialogue, version: Version) -> VersionOffer:
    """A connection torn down right at our ClientHello is a refusal without words."""
    failure = dialogue.failure
    if failure and failure.stage is Stage.TLS and failure.kind in (Kind.RESET, Kind.CLOSED):
        return VersionOffer(version=version, offer=Offer.REFUSED, detail=str(failure))
    return VersionOffer(version=version, offer=Offer.UNDECIDED, detail=str(failure))
