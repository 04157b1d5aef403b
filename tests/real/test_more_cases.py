"""Exim, OpenSMTPD, sendmail and chasquid are told apart from their faults as Postfix is."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import Identity
from tests.conftest import Run, run_smtpcheck
from tests.real.cases import Case
from tests.real.chasquid import chasquid
from tests.real.exim import exim
from tests.real.more_cases import CHASQUID, EXIM, EXIM_SWAPPED, OPENSMTPD, SENDMAIL
from tests.real.opensmtpd import opensmtpd
from tests.real.rig import Listener, loopback
from tests.real.sendmail import sendmail
from tests.real.verdicts import agree, arguments, rows

pytestmark = pytest.mark.real

TABLES = ((*EXIM, *EXIM_SWAPPED), OPENSMTPD, SENDMAIL, CHASQUID)
WHERE = {
    id(case): loopback(1000 + 250 * number + row)
    for number, table in enumerate(TABLES)
    for row, case in enumerate(table)
}
"""The address on which each row lives."""

AT_ONCE = 6
"""Most of a run is waiting."""

Built = Callable[[tuple[Case, ...]], list[Listener]]
Look = Callable[[Case], Run]
Runs = Mapping[str, Future[Run]]
Ahead = Callable[[tuple[Case, ...], Look], Runs]


@pytest.fixture(scope="module")
def built(issued: Mapping[str, Identity]) -> Built:
    """The listeners of these rows."""

    def build(table: tuple[Case, ...]) -> list[Listener]:
        return [
            Listener(
                address=WHERE[id(case)],
                port=port.number,
                identity=issued.get(port.identity),
                settings=port.settings,
            )
            for case in table
            for port in case.ports
        ]

    return build


@pytest.fixture(scope="module")
def look(ca_file: Path, request: pytest.FixtureRequest) -> Look:
    """What the program says of a row."""
    folder: Path | None = request.config.getoption("--save-observations")

    def run(case: Case) -> Run:
        address = WHERE[id(case)]
        name = f"{case.title}-{address.partition('.')[2]}"
        fixed = arguments(ca_file, folder, name)
        return run_smtpcheck("host", address, *case.arguments, *fixed)

    return run


@pytest.fixture(scope="module")
def ahead(request: pytest.FixtureRequest) -> Iterator[Ahead]:
    """Look at the rows that were selected, some at once, before their tests ask."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    selected = {id(each.params["case"]) for each in params if each and "case" in each.params}
    pool = ThreadPoolExecutor(AT_ONCE)

    def submit(table: tuple[Case, ...], work: Look) -> Runs:
        wanted = [case for case in table if id(case) in selected]
        wanted.sort(key=lambda case: "banner-slow" not in case.expect)  # they wait beside the rest
        return {case.title: pool.submit(work, case) for case in wanted}

    try:
        yield submit
    finally:
        pool.shutdown(cancel_futures=True)


def alone(rig: Callable[..., AbstractContextManager[object]], built: Built, look: Look) -> Look:
    """With a daemon for the row alone."""

    def run(case: Case) -> Run:
        with rig(*built((case,))):
            return look(case)

    return run


@pytest.fixture(scope="module")
def exim_runs(built: Built, look: Look, ahead: Ahead) -> Iterator[Runs]:
    """One Exim with the listeners of all its rows, but those with 465 and 587 the wrong way."""
    swapped = {"tls_on_connect_ports": "587"}
    with exim(*built(EXIM)), exim(*built(EXIM_SWAPPED), settings=swapped):
        yield ahead((*EXIM, *EXIM_SWAPPED), look)


@pytest.mark.parametrize("case", rows((*EXIM, *EXIM_SWAPPED)))
def test_exim(case: Case, exim_runs: Runs) -> None:
    agree(exim_runs[case.title].result(), case.expect, case.status)


@pytest.fixture(scope="module")
def opensmtpd_runs(built: Built, look: Look, ahead: Ahead) -> Iterator[Runs]:
    """One OpenSMTPD with the listeners of all its rows."""
    with opensmtpd(*built(OPENSMTPD)):
        yield ahead(OPENSMTPD, look)


@pytest.mark.parametrize("case", rows(OPENSMTPD))
def test_opensmtpd(case: Case, opensmtpd_runs: Runs) -> None:
    agree(opensmtpd_runs[case.title].result(), case.expect, case.status)


@pytest.fixture(scope="module")
def sendmail_runs(built: Built, look: Look, ahead: Ahead) -> Runs:
    """A sendmail for each row: its certificate is that of the whole daemon."""
    return ahead(SENDMAIL, alone(sendmail, built, look))


@pytest.mark.parametrize("case", rows(SENDMAIL))
def test_sendmail(case: Case, sendmail_runs: Runs) -> None:
    agree(sendmail_runs[case.title].result(), case.expect, case.status)


@pytest.fixture(scope="module")
def chasquid_runs(built: Built, look: Look, ahead: Ahead) -> Runs:
    """A chasquid for each row, for the same reason."""
    return ahead(CHASQUID, alone(chasquid, built, look))


@pytest.mark.parametrize("case", rows(CHASQUID))
def test_chasquid(case: Case, chasquid_runs: Runs) -> None:
    agree(chasquid_runs[case.title].result(), case.expect, case.status)
