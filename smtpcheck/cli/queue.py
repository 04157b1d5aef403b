"""`smtpcheck queue …`: what waits in a relay's queue, and what to do about it."""

import os
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import click

from smtpcheck.blame import BadInputError
from smtpcheck.cli.options import READABLE, examples, option, together
from smtpcheck.cli.relay import complain, configured, relay_options, run
from smtpcheck.cli.status import ExitStatus

queue_options = together(
    option("--data", metavar="DIR", help="The relay's data directory."),
    option("--config", type=READABLE, help="relay.yaml, which tells the directory."),
)
format_option = option(
    "--format", "form", type=click.Choice(["console", "json"]), default="console", show_default=True
)


@click.group(
    "queue",
    epilog=examples(
        "smtpcheck queue list --data state",
        "smtpcheck queue show 0660F624D7D9CCD86480 --data state",
        "smtpcheck queue retry --domain example.org --data state",
        "smtpcheck queue run --config relay.yaml",
    ),
)
def command() -> None:
    """Look into the queue of a relay, and change it.

    A relay that runs is asked through its control socket; else the queue is opened directly.
    """


@command.command("list")
@click.option("--domain", default="", help="Only mail for this domain.")
@click.option("--all", "finished", is_flag=True, help="What is finished, too.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@queue_options
@format_option
def list_(form: str, data: str | None, config: str | None, **request: Any) -> ExitStatus:
    """List messages: state, age, next try, last reply."""
    messages = _ask(data, config, {"do": "list", **request})
    if form == "json":
        return _json({"messages": messages})
    if not messages:
        click.echo("The queue is empty.")
    for message in messages:
        _summary(message)
    return ExitStatus.OK


@command.command("show")
@click.argument("id")
@queue_options
@format_option
def show(id: str, form: str, data: str | None, config: str | None) -> ExitStatus:  # noqa: A002
    """Show one message: envelope, each attempt with its transcript."""
    message = _ask(data, config, {"do": "show", "id": id})
    if form == "json":
        return _json(message)
    _summary(message)
    for session in message["sessions"]:
        click.echo("\nreceived:")
        _transcript(session)
    for attempt in message["attempts"]:
        host = attempt["host"] or {}
        state = "" if attempt["finished"] else " (never finished)"
        where = host.get("name") or attempt["route"]["because"]
        click.echo(f"\nattempt {attempt['started']} at {where}{state}:")
        for outcome in attempt["outcomes"]:
            click.echo(f"  {outcome['address']}: {outcome['outcome']}")
        _transcript(attempt["transcript"])
    return ExitStatus.OK


@command.command("export")
@click.argument("id")
@queue_options
def export(id: str, data: str | None, config: str | None) -> ExitStatus:  # noqa: A002
    """Write a queued message to standard output, as it will be sent."""
    content = b64decode(_ask(data, config, {"do": "export", "id": id}))
    sys.stdout.buffer.write(content)
    return ExitStatus.OK


def _action(verb: str, words: str) -> None:
    @command.command(verb, help=words)
    @click.argument("id", default="")
    @click.option("--domain", default="", help="All messages for this domain.")
    @click.option("--all", "everything", is_flag=True, help="All messages.")
    @queue_options
    @format_option
    def act(
        id: str,  # noqa: A002
        domain: str,
        everything: bool,
        form: str,
        data: str | None,
        config: str | None,
    ) -> ExitStatus:
        if not (id or domain or everything or verb == "retry"):
            raise click.UsageError("name a message, --domain or --all")
        changed = _ask(data, config, {"do": verb, "id": id, "domain": domain})
        if form == "json":
            return _json({"changed": changed})
        if id and not changed:
            raise BadInputError(f"{id}: no such message, or not in a state to {verb}")
        click.echo(f"{verb}: {len(changed)} message{'s' * (len(changed) != 1)}")
        return ExitStatus.OK


_action("retry", "Try a message, all for --domain, or all, at once.")
_action("hold", "Keep messages back until they are released.")
_action("release", "Let go of messages that are held.")
_action("remove", "Take messages out of the queue; nobody is told.")


@command.command("run")
@relay_options
def run_(**options: Any) -> ExitStatus:
    """Deliver what is due, once, where no relay is serving the queue."""
    from smtpcheck.relay.engine import Engine

    config = configured(**options)
    if config.data is None:
        raise BadInputError("which queue? give --data or --config")

    async def work() -> int:
        os.umask(0o077)  # what we make is for us alone to read
        async with Engine(config, serving=False, fault=complain) as engine:
            await engine.work()
        return ExitStatus.OK

    return ExitStatus(run(work()))


def _ask(data: str | None, config: str | None, request: dict[str, Any]) -> Any:
    import asyncio

    answer = asyncio.run(_answer(_directory(data, config), request))
    if "error" in answer:
        raise BadInputError(str(answer["error"]))
    return answer["result"]


def _directory(data: str | None, config: str | None) -> Path:
    from smtpcheck.relay.config_file import load

    directory = Path(data) if data else load(Path(config)).data if config else None
    if directory is None:
        raise BadInputError("which queue? give --data or --config")
    if not (directory / "queue.db").exists():
        raise BadInputError(f"{directory}: no queue there")
    return directory


async def _answer(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Of the relay that serves it, or of the queue itself."""
    import time

    from smtpcheck.relay.control import Desk, ask
    from smtpcheck.relay.queue import LockedError, QueueError
    from smtpcheck.relay.sqlite_queue import SqliteQueue
    from smtpcheck.relay.transcripts import Transcripts

    answer = await ask(directory, request)
    if answer is not None:
        return answer
    try:
        queue = SqliteQueue(directory)
        transcripts = Transcripts(directory)
    except (LockedError, QueueError) as error:
        raise BadInputError(str(error)) from None
    try:
        return await Desk(queue, transcripts, now=time.time).answer(request)
    finally:
        await transcripts.close()
        await queue.close()


def _json(value: Any) -> ExitStatus:
    import json

    click.echo(json.dumps(value, indent=1))
    return ExitStatus.OK


def _summary(message: dict[str, Any]) -> None:
    from smtpcheck.cli.run import one_line

    sender = one_line(message["from"]) or "<>"
    state = "finished" if message["finished"] else f"waits for {_span(message['age'])}"
    click.echo(f"{message['id']}  {message['size']} octets from {sender}, {state}")
    for each in message["recipients"]:
        tries = f", tried {each['tries']}×" if each["tries"] else ""
        due = each["next_try"]
        left = due - message["received"] - message["age"] if due else 0.0
        due_in = f", next in {_span(left)}" if due else ""
        click.echo(f"  {one_line(each['address'])}: {each['state']}{tries}{due_in}")
        if each["last"]:
            click.echo(f"    {one_line(each['last'])}")


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _transcript(plain: dict[str, Any] | None) -> None:
    import msgspec

    from smtpcheck.facts.transcript import Transcript
    from smtpcheck.render.transcript import spoken

    if plain is None:
        return
    for event in msgspec.convert(plain, Transcript).events:
        for line in spoken(event):
            click.echo(f"  {line}")
