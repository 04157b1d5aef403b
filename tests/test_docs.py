"""What the documentation shows is what the program takes."""

import re
from pathlib import Path

from smtpcheck.cli.run import COMMANDS
from smtpcheck.relay.config import PortRole
from smtpcheck.relay.config_file import load
from tests.conftest import REPOSITORY, run_smtpcheck

DOCS = REPOSITORY / "docs"


def test_the_configuration_in_the_relay_page_is_read(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", (DOCS / "relay.md").read_text(), re.DOTALL)
    assert found
    path = tmp_path / "relay.yaml"
    path.write_text(found[1])
    config = load(path)
    assert config.data == tmp_path / "state"
    assert {listen.role for listen in config.listen} >= {PortRole.MX, PortRole.POP3S}


def test_the_queue_commands_in_the_relay_page_exist() -> None:
    page = (DOCS / "relay.md").read_text()
    listed = re.findall(r"^    smtpcheck queue ([a-z |]+?)(?: ID|  | --)", page, re.MULTILINE)
    named = {word for words in listed for word in words.split(" | ")}
    shown = run_smtpcheck("queue", "--help").stdout
    assert len(named) >= 7
    assert [word for word in sorted(named) if f"  {word} " not in shown] == []


def test_every_command_is_listed_in_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [name for name in COMMANDS if f"smtpcheck {name}" not in readme] == []
