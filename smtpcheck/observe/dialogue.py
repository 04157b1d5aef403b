"""The whole way with one port: greeting, EHLO, TLS, EHLO again, QUIT (RFC 5321 §3, RFC 3207)."""

import asyncio
from collections.abc import Callable

from smtpcheck.facts.failure import Kind
from smtpcheck.facts.host import MailHost, Role, Security
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Offer
from smtpcheck.net.client import Dialogue
from smtpcheck.net.network import Network
from smtpcheck.observe import versions


async def probe(host: MailHost, net: Network, tls_due: Callable[[], None]) -> tuple[Step, ...]:
    """The dialogue's step, and that of a ClientHello if the port stayed silent.

    `tls_due` is called when the port has shown that more connections are worth making.
    """
    more: list[Step] = []
    async with net.dialogue(host) as dialogue:
        await dialogue.connect()
        if host.security is Security.IMPLICIT:
            tls_due()
            await dialogue.start_tls()
        else:
            await _break_silence(dialogue, net, more)
        await dialogue.greeting()
        before = await dialogue.ehlo()
        if host.security is Security.STARTTLS and before.offers("STARTTLS"):
            tls_due()
            await dialogue.starttls()
            await dialogue.start_tls()
            await dialogue.ehlo()
        await dialogue.quit()
    return (dialogue.step(), *more)


async def _break_silence(dialogue: Dialogue, net: Network, more: list[Step]) -> None:
    """A port that stays silent is asked on another connection whether it speaks TLS."""
    mx = dialogue.host.role is Role.MX
    patience = net.limits.silence_mx if mx else net.limits.silence
    if await dialogue.heard(patience):
        return
    asking = asyncio.create_task(versions.tls_first(dialogue.host, net))
    greeting = asyncio.create_task(dialogue.heard(net.limits.greeting - patience))
    try:
        await asyncio.wait((asking, greeting), return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            more.append(step := asking.result())
            if step.version and step.version.offer is Offer.ACCEPTED and not greeting.done():
                raise dialogue.stop(Kind.TIMED_OUT, "silent, and it speaks TLS")
        if not await greeting:
            raise dialogue.stop(Kind.TIMED_OUT, f"no greeting in {net.limits.greeting:g} s")
    finally:
        for task in (asking, greeting):
            task.cancel()
        await asyncio.gather(asking, greeting, return_exceptions=True)
