"""The outside world of a command in one object: where to print, how to run, how to end."""

import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from smtpcheck.cli import files
from smtpcheck.cli.status import ExitStatus

if TYPE_CHECKING:
    from smtpcheck.facts.observation import Observation

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """How a report is judged and shown. The fields are the options of `report_options`."""

    fail_on: str = "error"
    on_inconclusive: str | None = None
    format: str = "console"
    with_observation: bool = False
    output: str | None = None
    transcript: bool = False
    quiet: bool = False
    no_color: bool = False


class World:
    """Standard streams and the event loop. Progress goes to stderr, and only to a terminal."""

    def __init__(self) -> None:
        self._progress = sys.stderr.isatty() and not os.environ.get("NO_PROGRESS")

    def progress(self, words: str) -> None:
        """What is being done now; overwritten by the next."""
        if self._progress:
            sys.stderr.write(f"\r\x1b[2Kchecking {words} …")
            sys.stderr.flush()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end and clear the progress line."""
        import asyncio

        try:
            return asyncio.run(work)
        finally:
            if self._progress:
                sys.stderr.write("\r\x1b[2K")

    def show(self, observation: "Observation", options: ReportOptions) -> ExitStatus:
        """Judge, render, write; the exit status."""
        from smtpcheck.judge.judge import judge
        from smtpcheck.judge.profile import Profile
        from smtpcheck.judge.report import Judgement, Severity

        profile = Profile(fail_on=Severity[options.fail_on.upper()])
        report = judge(observation, profile)
        if options.format == "json":
            from smtpcheck.render import json

            text = json.render(report, with_observation=options.with_observation)
        else:
            from smtpcheck.render import console
            from smtpcheck.render.look import Look, look_for

            look = Look() if options.output else look_for(sys.stdout, color=not options.no_color)
            text = console.render(report, look, transcripts=options.transcript, quiet=options.quiet)
        self.write(text, options.output)
        match report.status:
            case Judgement.FAILED:
                return ExitStatus.FINDINGS
            case Judgement.INCONCLUSIVE:
                chosen = {"pass": ExitStatus.OK, "fail": ExitStatus.FINDINGS}
                return chosen.get(options.on_inconclusive or "", ExitStatus.INCONCLUSIVE)
            case _:
                return ExitStatus.OK

    def write(self, text: str, path: str | None = None) -> None:
        """To standard output, or to a file in one step."""
        if path:
            files.write(path, text.encode("utf-8"))
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()  # whoever reads us has read enough; the status still counts


def silence_stdout() -> None:
    """Nothing more is said there, and nothing complains of that at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
