"""The program against each lie: it ends in time, says what is true, and obeys nobody."""

import re
from concurrent.futures import Future

import pytest

from tests.hostile.cases import CASES, Case
from tests.hostile.program import Measured

GRACE = 15.0
"""Seconds beyond the time for the run: to start a process on a machine that is busy with ours."""

PEAK = 100 * 1024
"""KiB."""

OURS = re.compile(r"\x1b\[[0-9;]*m|\r\x1b\[2K")
"""What may go to a terminal beside text: colours, and the line of progress that is wiped."""

Runs = dict[str, tuple["Future[Measured]", "Future[Measured]"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lie(case: Case, runs: Runs) -> None:
    piped, on_terminal = (each.result() for each in runs[case.name])
    for run in (piped, on_terminal):
        assert run.status == case.status, run
        assert run.took < case.within + GRACE
        assert run.peak < PEAK
        assert "Traceback" not in run.stdout + run.stderr
        assert "internal fault" not in run.stdout + run.stderr
    assert piped.stderr == ""
    assert piped.stdout.isascii()
    assert found(piped) == case.expect
    assert any(case.unchecked in gap for gap in gaps(piped)) or not case.unchecked, gaps(piped)
    assert "\x1b[" in on_terminal.stdout, "colours are on, or nothing was put to the test"
    page = OURS.sub("", on_terminal.stdout).replace("\r\n", "")
    assert page.isprintable(), [char for char in page if not char.isprintable()]


def test_rows_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def found(run: Measured) -> dict[str, str]:
    """Each root cause at warning or above with its severity, or that it is inconclusive."""
    roots = run.report["findings"]
    known = {f["id"]: f["severity"] if f["status"] == "fail" else "inconclusive" for f in roots}
    return {id_: how for id_, how in known.items() if how not in ("info", "notice")}


def gaps(run: Measured) -> list[str]:
    """What the report says was not checked."""
    return [gap["what"] for gap in run.report["unchecked"]]
