"""MAIL on a submission port before TLS: should be refused (RFC 8314 §4.1). No RCPT follows."""

from smtpcheck.facts.host import MailHost
from smtpcheck.facts.step import Probe, Step
from smtpcheck.net.network import Network


async def probe(host: MailHost, net: Network) -> Step:
    """The reply to MAIL with the null path, in clear text."""
    async with net.dialogue(host, Probe.CLEARTEXT) as dialogue:
        await dialogue.connect()
        await dialogue.greeting()
        offered = await dialogue.ehlo()
        if offered.offers("PIPELINING"):
            await dialogue.mail_and_quit("")
        else:
            await dialogue.mail("")
            await dialogue.quit()
    return dialogue.step()
