"""A server known to be good, asked when another does not answer: is it them, or our network?"""

from smtpcheck.facts.host import MailHost
from smtpcheck.facts.step import Probe, Step
from smtpcheck.net.network import Network


async def probe(host: MailHost, net: Network) -> Step:
    """Whether a connection can be made at all."""
    async with net.dialogue(host, Probe.CONTROL) as dialogue:
        await dialogue.connect()
    return dialogue.step()
