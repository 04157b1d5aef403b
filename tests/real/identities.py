"""The certificates that servers of the field really show, each wrong in one way, by name."""

from datetime import UTC, datetime, timedelta

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.real.rig import NAME


def identities(ca: ThrowawayCA) -> dict[str, Identity]:
    """One of each, all but `stranger` and `self-signed` from `ca`."""
    now, day = datetime.now(UTC), timedelta(days=1)
    healthy = ca.issue([NAME])
    return {
        "healthy": healthy,
        "RSA": ca.issue([NAME], key="rsa"),
        "wildcard": ca.issue(["*.test"]),
        "short-lived": ca.issue([NAME], not_before=now - 3 * day, not_after=now + 3 * day),
        "expired": ca.issue([NAME], not_after=now - 3 * day),
        "not yet": ca.issue([NAME], not_before=now + 3 * day),
        "expiring": ca.issue([NAME], not_before=now - 85 * day, not_after=now + 5 * day),
        "other name": ca.issue(["www.example.test"]),
        "self-signed": ca.issue([NAME], self_signed=True),
        "stranger": ThrowawayCA("Company").issue([NAME], issuer_url=""),
        "no intermediate": healthy.alone(),
        "out of order": healthy.out_of_order(),
        "RSA 1024": ca.issue([NAME], key="rsa", bits=1024),
    }
