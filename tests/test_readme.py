"""README shows what the program prints: the run in it is a saved run, judged again."""

import re
import shlex

from tests.conftest import REPOSITORY, run_smtpcheck

README = REPOSITORY / "README.md"
SAVED = REPOSITORY / "docs" / "example-run.json"
BLOCK = re.compile(r"(<!-- run: [^\n]*-->\n```\n)(.*?)(```\n<!-- end of run -->)", re.DOTALL)
COMMAND = "$ smtpcheck host mail.example.org --address 127.25.0.1 --ca-file ca.pem\n"


def block() -> str:
    found = BLOCK.search(README.read_text())
    assert found, "the run has left README"
    return found[2]


def written(output: str) -> str:
    """README with this output in its block."""
    return BLOCK.sub(lambda found: found[1] + COMMAND + output + found[3], README.read_text())


def test_the_run_is_what_the_program_makes_of_the_saved_one() -> None:
    run = run_smtpcheck("judge", str(SAVED))
    assert block() == COMMAND + run.stdout
    assert run.status == 1


def test_every_command_in_the_table_exists() -> None:
    commands = re.findall(r"^\| `smtpcheck ([^`]+)` \|", README.read_text(), re.MULTILINE)
    assert len(commands) >= 8
    for line in commands:
        first, *rest = shlex.split(line)
        options = [word for word in rest if word.startswith("--")]
        shown = run_smtpcheck("host" if "." in first else first, "--help").stdout
        assert [each for each in options if each not in shown] == [], line
