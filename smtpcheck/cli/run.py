"""The group of commands, and the one place where exceptions become words and a status."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from smtpcheck import __version__
from smtpcheck.blame import BadInputError
from smtpcheck.cli.status import ExitStatus
from smtpcheck.cli.world import silence_stdout

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
    _standard_streams()
    signal.signal(signal.SIGTERM, _terminated)
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
        silence_stdout()
        return ExitStatus.OK
    except SystemExit as ended:
        return _ended(ended)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF):
            return _fault(error)
        silence_stdout()
        return _blame(f"standard output: {error.strerror}", None)
    except Exception as error:
        return _fault(error)
    return int(result) if isinstance(result, int) else ExitStatus.OK


def _ended(ended: SystemExit) -> int:
    """click ends a broken pipe with 1, which here would mean findings; completion with its own."""
    completing = "_SMTPCHECK_COMPLETE" in os.environ
    code = ended.code if isinstance(ended.code, int) else 1
    return code if completing or code != 1 else ExitStatus.OK


def _fault(error: Exception) -> int:
    if os.environ.get("SMTPCHECK_DEBUG"):
        raise error
    words = one_line(f"{type(error).__name__}: {error}")
    sys.stderr.write(
        f"smtpcheck: internal fault: {words} (please report; SMTPCHECK_DEBUG=1 shows where)\n"
    )
    return ExitStatus.INTERNAL


def _standard_streams() -> None:
    """A closed one (`>&-`) is None in Python; what is written there is then lost, as asked."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as we live


def _terminated(*_: object) -> None:
    """SIGTERM unwinds, so that what was begun is tidied up."""
    raise SystemExit(128 + signal.SIGTERM)


def _blame(message: str, context: click.Context | None) -> int:
    hint = f" (see {context.command_path} --help)" if context else ""
    sys.stderr.write(f"smtpcheck: error: {one_line(message)}{hint}\n")
    return ExitStatus.USAGE


def one_line(text: str) -> str:
    """`text` without line ends and control characters: it may quote a file or a server."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
