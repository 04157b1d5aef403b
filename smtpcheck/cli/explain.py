"""`smtpcheck explain [TERM]`."""

import json
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING

import click

from smtpcheck.blame import BadInputError
from smtpcheck.cli.options import examples, option

if TYPE_CHECKING:
    from smtpcheck.judge.codes import Code
    from smtpcheck.judge.explain import Page

WIDTH = 80


@click.command(
    "explain",
    epilog=examples(
        "smtpcheck explain",
        "smtpcheck explain cert-chain-incomplete",
        "smtpcheck explain 535",
        "smtpcheck explain 5.7.8",
    ),
)
@click.argument("term", required=False)
@option(
    "--format", "-f", "format_", type=click.Choice(["console", "json"]), default="console",
    show_default=True, help="Of the answer.",
)  # fmt: skip
def command(term: str | None, format_: str) -> None:
    """Say what a finding, a reply code or an enhanced status code means and what to do.

    Without TERM, list all findings.
    """
    from smtpcheck.judge.explain import Page, Unknown, explain, pages

    if term is None:
        found = pages()
        click.echo(_json([asdict(page) for page in found]) if format_ == "json" else _list(found))
        return
    meant = explain(term)
    if isinstance(meant, Unknown):
        raise BadInputError(_unknown(term, meant.close))
    if format_ == "json":
        click.echo(_json(asdict(meant)))
    else:
        click.echo(_page(meant) if isinstance(meant, Page) else _code(meant))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _unknown(term: str, close: tuple[str, ...]) -> str:
    hint = f"did you mean {' or '.join(close)}?" if close else "smtpcheck explain lists all"
    return f"nothing is called {term!r}; {hint}"


def _list(found: tuple["Page", ...]) -> str:
    rows = []
    area = ""
    for page in found:
        if page.area != area:
            area = page.area
            rows += ["", area]
        severity = page.severity if " " not in page.severity else "by role"
        rows.append(f"  {page.id:<28} {severity:<13} {page.meaning}")
    return "\n".join(_cut(row) for row in rows[1:])


def _cut(row: str) -> str:
    return row if len(row) <= 100 else row[:99].rstrip() + "…"


def _page(page: "Page") -> str:
    parts = [f"{page.id}  ({page.area}; {page.severity})", fill(page.meaning, WIDTH)]
    parts += [fill(page.why, WIDTH), fill(page.how, WIDTH)]
    parts.append(_labelled("Do", page.remedy))
    follows = [("Follows from", page.explained_by), ("Brings about", page.explains)]
    parts += [_labelled(label, ", ".join(ids)) for label, ids in follows if ids]
    parts.append(_labelled("Ref", page.reference))
    return "\n\n".join(parts)


def _code(code: "Code") -> str:
    parts = [
        f"{code.code}  {'' if code.known else '(not registered; read by its digits)'}".rstrip()
    ]
    parts += [fill(code.meaning, WIDTH), _labelled("Do", code.action)]
    return "\n\n".join([*parts, _labelled("Ref", code.reference)])


def _labelled(label: str, text: str) -> str:
    return fill(f"{label}: {text}", WIDTH, subsequent_indent=" " * (len(label) + 2))
