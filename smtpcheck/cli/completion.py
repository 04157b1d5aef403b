"""`smtpcheck completion SHELL`."""

import click

from smtpcheck.cli.options import examples


@click.command(
    "completion",
    epilog=examples(
        'eval "$(smtpcheck completion bash)"',
        "smtpcheck completion zsh > ~/.zfunc/_smtpcheck",
        "smtpcheck completion fish > ~/.config/fish/completions/smtpcheck.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    from smtpcheck.cli.run import commands

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(commands, {}, "smtpcheck", "_SMTPCHECK_COMPLETE").source())
