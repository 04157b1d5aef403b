"""The catalogue: every rule there is, in the order in which a dialogue meets them."""

from types import ModuleType

from smtpcheck.judge import auth, banner, certificate, connect, dns, protocol, starttls, tls
from smtpcheck.judge.catalogue import Rule

TOPICS: tuple[ModuleType, ...] = (
    dns,
    connect,
    banner,
    protocol,
    starttls,
    tls,
    certificate,
    auth,
)

RULES: tuple[Rule, ...] = tuple(
    value for topic in TOPICS for value in vars(topic).values() if isinstance(value, Rule)
)

BY_ID: dict[str, Rule] = {rule.id: rule for rule in RULES}
