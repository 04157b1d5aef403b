"""The run in README, on a real Postfix; with SMTPCHECK_REWRITE=1 it is written anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import run_smtpcheck
from tests.real.cases import FROM_1_0
from tests.real.dovecot import Dovecot
from tests.real.postfix import SUBMISSION, SUBMISSIONS, postfix
from tests.real.rig import Listener
from tests.test_readme import README, SAVED, written

pytestmark = pytest.mark.real

HOST, ADDRESS = "mail.example.org", "127.25.0.1"


def judged(saved: Path) -> list[tuple[Any, ...]]:
    """What the report says, but for dates, times and key material."""
    report = run_smtpcheck("judge", str(saved), "--format", "json").report
    found = [*report["findings"], *report["consequences"]]
    return [(f["id"], f["severity"], f["status"], f["subject"]["port"]) for f in found]


def test_the_run_in_readme_is_true(
    ca: ThrowawayCA, dovecot_server: Dovecot, tmp_path: Path
) -> None:
    identity = ca.issue([HOST]).alone()
    old = {**SUBMISSION, **FROM_1_0}
    listeners = (
        Listener(address=ADDRESS, port=25, identity=identity),
        Listener(address=ADDRESS, port=465, identity=identity, settings=SUBMISSIONS),
        Listener(address=ADDRESS, port=587, identity=identity, settings=old),
    )
    settings = {
        "smtpd_sasl_path": dovecot_server.auth_socket,
        "myhostname": HOST,
        "message_size_limit": "52428800",
    }
    saved = tmp_path / "run.json"
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(ca.root_pem)
    with postfix(*listeners, settings=settings):
        run = run_smtpcheck(
            "host", HOST, "--address", ADDRESS, "--ca-file", "ca.pem", "--save", str(saved),
            "--ehlo", "client.example.org", cwd=tmp_path,
        )  # fmt: skip
    assert run.status == 1
    if os.environ.get("SMTPCHECK_REWRITE"):
        SAVED.write_bytes(saved.read_bytes())
        README.write_text(written(run.stdout))
    assert judged(saved) == judged(SAVED)
    assert json.loads(saved.read_text())["target"]["host"] == HOST
