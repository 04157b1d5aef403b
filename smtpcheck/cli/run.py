"""The group of commands, and the one place where exceptions become words and a status."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from smtpcheck import __version__
from smtpcheck.blame import BadInputError
from smtpcheck.cli.status import ExitStatus

COMMANDS = {
    "host": "Check one mail host on its ports.",
    "judge": "Judge a saved observation again, offline.",
    "explain": "Say what a finding or a reply code means and what to do.",
    "relay": "Run a small relay: receive, queue, deliver, pick up.",
    "queue": "Look into the queue of a relay, and change it.",
    "demo": "Raise the embedded relay, healthy and broken, and check it.",
    "completion": "Print the completion script for a shell.",
}
"""Name and short help, so that `--help` need not import them."""

DEFAULT = "host"


class Commands(click.Group):
    """Commands that are imported when used; a first word that is none of them is a target."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"smtpcheck.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_command(args))


def with_command(args: list[str]) -> list[str]:
    """`HOST …` and `--option … HOST` as `host …`; the group's own options stay in front."""
    first = next(iter(args), "--help")
    if first in COMMANDS or first in ("--help", "-h", "--version"):
        return args or ["--help"]
    return [DEFAULT, *args]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`smtpcheck HOST` is `smtpcheck host HOST`; scripts write the command out. "
    "Each command has examples: smtpcheck COMMAND --help.",
)
@click.version_option(__version__, prog_name="smtpcheck", message="%(prog)s %(version)s")
def commands() -> None:
    """Whether an SMTP set-up works; where it does not, the one true cause and the remedy.

    \b
    Examples:
      smtpcheck mail.example.org
      smtpcheck host mail.example.org:587 --transcript
      smtpcheck explain cert-chain-incomplete
      smtpcheck demo
    """


def run(args: Sequence[str]) -> int:
    """Run one command; the exit status."""
    try:
        result = commands.main(list(args), prog_name="smtpcheck", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _blame(error.format_message(), getattr(error, "ctx", None))
    except BadInputError as error:
        return _blame(str(error), None)
    except (click.Abort, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return ExitStatus.OK
    except Exception as error:
        if os.environ.get("SMTPCHECK_DEBUG"):
            raise
        words = one_line(f"{type(error).__name__}: {error}")
        sys.stderr.write(
            f"smtpcheck: internal fault: {words} (please report; SMTPCHECK_DEBUG=1 shows where)\n"
        )
        return ExitStatus.INTERNAL
    return int(result) if isinstance(result, int) else ExitStatus.OK


def _blame(message: str, context: click.Context | None) -> int:
    hint = f" (see {context.command_path} --help)" if context else ""
    sys.stderr.write(f"smtpcheck: error: {one_line(message)}{hint}\n")
    return ExitStatus.USAGE


def one_line(text: str) -> str:
    """`text` without line ends and control characters: it may quote a file or a server."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _silence_stdout() -> None:
    """The reader of our pipe went away: nothing more to say, and no complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
