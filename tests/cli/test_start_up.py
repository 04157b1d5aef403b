"""Start-up imports what the command uses and nothing else."""

import subprocess
import sys

import pytest

HEAVY = (
    "rich", "dns", "aiosmtplib", "cryptography", "OpenSSL", "yaml", "msgspec", "jinja2", "h11",
    "asyncio", "ssl", "email", "idna", "platformdirs", "publicsuffixlist", "smtpcheck.facts",
    "smtpcheck.net", "smtpcheck.judge", "smtpcheck.observe", "smtpcheck.relay", "smtpcheck.render",
)  # fmt: skip


def imported(*arguments: str) -> set[str]:
    """The modules loaded when the process ends."""
    program = (
        "import sys; from smtpcheck.cli.run import run\n"
        f"status = run({list(arguments)!r})\n"
        "print('\\n' + ' '.join(sys.modules)); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def loaded(modules: set[str], names: tuple[str, ...]) -> set[str]:
    return {name for name in names if name in modules}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("host", "--help")])
def test_help_imports_click_and_nothing_that_costs(arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    assert "click" in modules
    assert loaded(modules, HEAVY) == set()


def test_explain_needs_no_network_and_no_terminal_library() -> None:
    modules = imported("explain", "port-closed")
    kept = ("dns", "OpenSSL", "cryptography", "asyncio", "rich", "aiosmtplib", "smtpcheck.net")
    assert loaded(modules, kept) == set()


def test_a_target_that_is_an_address_needs_no_dns_library() -> None:
    modules = imported(
        "host", "127.0.0.1", "--port", "1:mx:none", "--fail-on", "critical", "--format", "json"
    )
    assert loaded(modules, ("dns", "aiosmtplib", "rich", "smtpcheck.relay")) == set()
