"""What a run of the program said of a server, held against what was to be said."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.real.cases import Case
from tests.real.rig import NAME

QUIET = {"info", "notice"}

Check = Callable[..., Run]
"""`smtpcheck host` with the arguments given, and those of this house."""


def arguments(ca_file: Path, folder: Path | None, name: str) -> tuple[str, ...]:
    """What every run has in common; what it sees is saved in `folder` under `name`."""
    saved: tuple[str, ...] = ()
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        saved = ("--save", str(folder / (re.sub(r"\W+", "-", name).strip("-") + ".json")))
    return ("--name", NAME, "--ca-file", str(ca_file), "--format", "json", *saved)


def findings(report: Mapping[str, Any]) -> dict[str, str]:
    """The root causes: id, and its severity or "inconclusive"."""
    roots = [each for each in report["findings"] if not each.get("explained_by")]
    return {
        each["id"]: each["severity"] if each["status"] == "fail" else each["status"]
        for each in reversed(roots)  # the worst, where two ports have it, comes first
    }


def agree(run: Run, expect: Mapping[str, str], status: int) -> None:
    """The run found what was expected, and blamed the server for nothing more."""
    found = findings(run.report)
    loud = {id_: severity for id_, severity in found.items() if severity not in QUIET}
    hushed = {id_: found.get(id_) for id_, severity in expect.items() if severity in QUIET}
    said, wanted = ({**loud, **hushed}, run.status), (dict(expect), status)
    messages = [each["message"] for each in run.report["findings"]]
    assert said == wanted, f"{said} where {wanted} was expected: {messages}"


def rows(table: tuple[Case, ...]) -> list[Any]:
    """The table as pytest takes it."""
    return [pytest.param(case, id=case.title) for case in table]
