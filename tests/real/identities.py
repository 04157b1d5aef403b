"""The certificates that servers of the field really show, each wrong in one way, by name."""

import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.conftest import need
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
        "SHA-1": signed_with_sha1(ca),
    }


def signed_with_sha1(ca: ThrowawayCA) -> Identity:
    """As healthy, but for the signature: `cryptography` declines, the openssl command doesn't."""
    openssl, healthy = need("openssl"), ca.issue([NAME])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, key = healthy.write(folder)
        issuer, issuer_key = ca.intermediate.write(folder, "issuer")
        (folder / "extensions").write_text(f"subjectAltName = DNS:{NAME}\n")
        ask = f"req -new -key {key} -subj /CN={NAME}"
        sign = f"x509 -req -sha1 -days 60 -extfile {folder}/extensions"
        sign += f" -CA {issuer} -CAkey {issuer_key} -outform DER"
        request = subprocess.run([openssl, *ask.split()], check=True, capture_output=True)
        leaf = subprocess.run(
            [openssl, *sign.split()], input=request.stdout, check=True, capture_output=True
        )
    return replace(healthy, chain=(leaf.stdout, *healthy.chain[1:]))
