"""The report for a person: an overview, what to mend, what stayed open, and one last line.

Law: the same report and the same look give the same page, byte for byte: no clock, no
environment. No text gets here that has not been through `escaped`, and none is read as markup.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from smtpcheck.facts.step import Step
from smtpcheck.facts.transcript import Side
from smtpcheck.judge.report import Finding, Judgement, Report, Severity, Status
from smtpcheck.render import overview, transcript
from smtpcheck.render.escape import ascii_only, escaped, sentence
from smtpcheck.render.findings import faults, hence, places, seen, undecided
from smtpcheck.render.look import Look
from smtpcheck.render.summary import counted, summary, verdict

_COLORS = {
    Severity.CRITICAL: "bold red",
    Severity.ERROR: "red",
    Severity.WARNING: "yellow",
    Severity.NOTICE: "cyan",
    Severity.INFO: "blue",
}
_MARKS = {Severity.WARNING: "!", Severity.NOTICE: "·", Severity.INFO: "·"}
_UNSURE = "magenta"
_GOOD = "green"
_QUIET = "dim"
_RESULTS = {Judgement.FAILED: "bold red", Judgement.INCONCLUSIVE: f"bold {_UNSURE}"}

_SPEAKERS = {Side.CLIENT: "bold", Side.SERVER: "", Side.LOCAL: _QUIET}

_COLUMNS = ("port", "reachable", "security", "certificate", "AUTH", "time")


def render(
    report: Report, look: Look | None = None, *, transcripts: bool = False, quiet: bool = False
) -> str:
    """The page, each line with its end. `quiet` leaves the last line alone."""
    look = look or Look()
    page = io.StringIO()
    console = _console(page, look)
    if not quiet:
        for part in _parts(report, look, transcripts):
            console.print(part)
    console.print(_last(report), soft_wrap=True)
    text = "\n".join(line.rstrip(" ") for line in page.getvalue().split("\n"))
    return text if look.unicode else ascii_only(text)


def _console(page: io.StringIO, look: Look) -> Console:
    return Console(
        file=page,
        width=look.width,
        force_terminal=look.color,
        color_system="standard" if look.color else None,
        no_color=not look.color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},
    )


def _parts(report: Report, look: Look, transcripts: bool) -> Iterator[RenderableType]:
    if transcripts:
        yield from _dialogues(report.observation.steps)
    yield _heading(report)
    yield Text()
    yield from _overview(report, look)
    yield from _findings(faults(report), report, look)
    if unsure := undecided(report):
        yield Text("Could not be decided", style="bold")
        yield Text()
        yield from _findings(unsure, report, look)
    yield _checked(report)
    yield Text()


def _heading(report: Report) -> Text:
    observation = report.observation
    rest = f"  {observation.started:%Y-%m-%d %H:%M:%S} UTC, {escaped(observation.tool, 40)}"
    return Text.assemble((escaped(observation.target.given), "bold"), (rest, _QUIET))


def _last(report: Report) -> Text:
    text, word = Text(summary(report)), verdict(report)
    start = text.plain.find(f": {word}") + 2
    text.stylize(_RESULTS.get(report.status, f"bold {_GOOD}"), start, start + len(word))
    return text


# The overview


def _overview(report: Report, look: Look) -> Iterator[RenderableType]:
    """One table; of several names, one each under its name."""
    rows = overview.rows(report)
    for name in dict.fromkeys(row.name for row in rows):
        if name not in ("", escaped(report.observation.target.host, 60)):
            yield Text(name, style="bold")
        yield _table([row for row in rows if row.name == name], look)
        yield Text()


def _table(rows: Sequence[overview.Row], look: Look) -> RenderableType:
    """Addresses stand in a column where there is room, else above their ports.

    Where even that has no room, the last columns go.
    """
    widths = [max(map(len, cells)) for cells in zip(_COLUMNS, *map(_cells, rows), strict=True)]
    while len(widths) > 2 and 1 + sum(width + 2 for width in widths) > look.width:
        widths.pop()
    addresses = dict.fromkeys(row.address for row in rows)
    if 3 + max(map(len, addresses)) + sum(width + 2 for width in widths) <= look.width:
        return _grid(rows, widths, [row.address for row in rows])
    grids = [_grid([r for r in rows if r.address == address], widths) for address in addresses]
    for grid in grids[1:]:
        grid.show_header = False
    return Group(*(Group(Text(a), grid) for a, grid in zip(addresses, grids, strict=True)))


def _grid(
    rows: Sequence[overview.Row], widths: Sequence[int], addresses: Sequence[str] = ()
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=_QUIET)
    table.add_column("", no_wrap=True, min_width=1)
    if addresses:
        table.add_column("address", no_wrap=True)
    for title, width in zip(_COLUMNS, widths, strict=False):
        right = title in ("port", "time")
        table.add_column(title, no_wrap=True, min_width=width, justify="right" if right else "left")
    for row, *address in zip(rows, _unrepeated(addresses), strict=True) if addresses else zip(rows):
        table.add_row(_mark(row), *address, *map(_cell, _cells(row)[: len(widths)]))
    return table


def _unrepeated(words: Iterable[str]) -> Iterator[str]:
    above = ""
    for word in words:
        yield "" if word == above else word
        above = word


def _cells(row: overview.Row) -> tuple[str, ...]:
    return (str(row.port), row.reachable, row.security, row.certificate, row.auth, row.time)


def _cell(text: str) -> Text:
    return Text(text, style=_QUIET if text == overview.UNKNOWN else "")


def _mark(row: overview.Row) -> Text:
    if row.worst is not None and row.worst >= Severity.WARNING:
        return _severity_mark(row.worst)
    if row.undecided:
        return Text("?", style=_UNSURE)
    return Text("✓", style=_GOOD) if row.complete else Text("")


def _severity_mark(severity: Severity) -> Text:
    return Text(_MARKS.get(severity, "✗"), style=_COLORS[severity])


# The findings


def _findings(findings: Iterable[Finding], report: Report, look: Look) -> Iterator[RenderableType]:
    for finding in findings:
        title, where = _title(finding), places(finding)
        fits = title.cell_len + 2 + len(where) <= look.width
        if fits:
            title.append(f"  {where}", style=_QUIET)
        yield title
        message = Text(_opened(sentence(finding.message)))
        yield Padding(message, (0, 0, 0, 2))
        yield Padding(_details(finding, report, "" if fits else where), (0, 0, 0, 2))
        yield Text()


def _opened(message: str) -> str:
    """A plain first word with a capital: a message is a clause that others may embed."""
    first = message.partition(" ")[0]
    return message[:1].upper() + message[1:] if first.isalpha() and first.islower() else message


def _title(finding: Finding) -> Text:
    if finding.status is Status.INCONCLUSIVE:
        mark, word, color = Text("?", style=_UNSURE), str(finding.status), _UNSURE
    else:
        mark, word = _severity_mark(finding.severity), finding.severity.word
        color = _COLORS[finding.severity]
    return Text.assemble(mark, " ", (word, color), "  ", (escaped(finding.id, 60), "bold"))


def _details(finding: Finding, report: Report, where: str) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, min_width=6)
    table.add_column(overflow="fold")
    rows = (
        ("At:", Text(where)),
        ("Seen:", Text(seen(finding, report.observation))),
        ("Do:", Text(sentence(finding.remedy))),
        ("Ref:", Text(sentence(finding.reference), style=_QUIET)),
        ("Hence:", Text(hence(finding), style=_QUIET, no_wrap=True, overflow="ellipsis")),
    )
    for label, text in rows:
        if text:
            table.add_row(Text(label, style="bold" if label == "Do:" else _QUIET), text)
    return table


# The end


def _checked(report: Report) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=11, style="bold")
    table.add_column(overflow="fold", style=_QUIET)
    table.add_row("Checked", Text(_extent(report)))
    if terms := _terms(report):
        table.add_row("Seen with", Text(terms))
    for label, line in zip(chain(["Not checked"], repeat("")), _not_checked(report), strict=False):
        table.add_row(label, Text(sentence(line)))
    return table


def _not_checked(report: Report) -> Iterator[str]:
    """A line a reason; what has none is a sentence by itself."""
    reasons: dict[str, list[str]] = {}
    for item in report.unchecked:
        if item.why:
            reasons.setdefault(item.why, []).append(item.what)
    for why, what in reasons.items():
        yield f"{'; '.join(what)}: {why}"
    yield from (item.what for item in report.unchecked if not item.why)


def _extent(report: Report) -> str:
    rows = overview.rows(report)
    addresses = len({(row.name, row.address) for row in rows})
    places = f"{counted(len(rows), 'port')} of {counted(addresses, 'address')}"
    extent = f"{counted(report.checked, 'check')}{f' on {places}' if rows else ', no port'}"
    ehlo = report.observation.vantage.ehlo
    return extent + (f", as {escaped(ehlo)}" if ehlo else "")


def _terms(report: Report) -> str:
    """What of ours had a say in the result."""
    vantage = report.observation.vantage
    trust = vantage.trust and f"trust in {vantage.trust}"
    resolver = vantage.resolver and f"resolver {vantage.resolver}"
    return escaped("; ".join(filter(None, (vantage.library, trust, resolver))))


# The dialogues


def _dialogues(steps: Iterable[Step]) -> Iterator[RenderableType]:
    for step in steps:
        if step.transcript:
            yield Text(transcript.heading(step), style="bold")
            yield _dialogue(step)
            yield Text()


def _dialogue(step: Step) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, style=_QUIET)
    table.add_column(overflow="fold")
    for line in transcript.lines(step):
        table.add_row(Text(line.margin), Text(line.text, style=_SPEAKERS[line.side]))
    return table
