"""`smtpcheck demo` is the first thing a newcomer runs: it must work and tell the truth."""

import re

from tests.conftest import run_smtpcheck


def test_the_demo_shows_each_report_and_checks_itself() -> None:
    run = run_smtpcheck("demo")
    assert run.status == 0, run.stdout + run.stderr
    assert run.stderr == ""
    for said in ("PASS, no findings", "cert-outside-validity", "cert-chain-incomplete",
                 "starttls-missing", "plaintext-on-implicit-port", "queued as",
                 "try at primary.far.test [127.0.0.2:", ": deferred", "connect: refused",
                 "try at backup.far.test [127.0.0.1:", ": delivered", "+OK bye",
                 "Action: failed", "Status: 5.1.1", "Return-Path: <>"):  # fmt: skip
        assert said in run.stdout, said
    assert "not as announced" not in run.stdout


def test_no_secret_is_shown() -> None:
    """The password of the demo is made anew each time; AUTH shows its length alone."""
    shown = run_smtpcheck("demo", "--transcript").stdout
    assert re.search(r"C: AUTH PLAIN ‹\d+ bytes›", shown)
    assert "C: PASS ‹a secret›" in shown
    assert not re.search(r"AUTH PLAIN [A-Za-z0-9+/=]{8}", shown)
