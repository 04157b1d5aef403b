"""`smtpcheck judge FILE`."""

from typing import Any

import click

from smtpcheck.cli import files
from smtpcheck.cli.options import examples, report_options
from smtpcheck.cli.status import ExitStatus
from smtpcheck.cli.world import ReportOptions, World


@click.command(
    "judge",
    epilog=examples(
        "smtpcheck host mail.example.org --save run.json",
        "smtpcheck judge run.json --fail-on warning",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@report_options
def command(file: str, **options: Any) -> ExitStatus:
    """Judge a saved observation again, offline: the same report, byte for byte.

    FILE was written by --save; "-" reads standard input.
    """
    from smtpcheck import codec
    from smtpcheck.blame import BadInputError

    try:
        observation = codec.decode(files.read(file, codec.MAX_OCTETS))
    except BadInputError as error:
        words = str(error)
        raise BadInputError(words if words.startswith(file) else f"{file}: {words}") from None
    return World().show(observation, ReportOptions(**options))
