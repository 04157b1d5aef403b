"""The command line: read, call, render, exit.

Law: start-up imports click and nothing else that costs; a command's module is imported when
the command is used, and what it works with when it works. Every way out is an ExitStatus.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The console script."""
    from smtpcheck.cli.run import run

    sys.exit(run(sys.argv[1:]))
