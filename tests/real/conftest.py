"""The real servers, raised once for all rows: a row is an address, a fault a listener."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.conftest import Run, Smtpcheck
from tests.real.aiosmtpd_server import aiosmtpd
from tests.real.cases import AIOSMTPD, DOVECOT, POSTFIX, Case
from tests.real.dovecot import Dovecot, dovecot
from tests.real.hops import MAIN, OURS, Hop, at, raised
from tests.real.identities import identities
from tests.real.ours import Relay, relay
from tests.real.postfix import Postfix, postfix
from tests.real.rig import Listener, loopback
from tests.real.verdicts import Check, arguments

Listeners = Callable[[Case], tuple[Listener, ...]]


ROWS = (*POSTFIX, *DOVECOT, *AIOSMTPD)


def address_of(case: Case) -> str:
    """The address on which `case` lives, one for each row."""
    return loopback(ROWS.index(case))


@pytest.fixture
def check(smtpcheck: Smtpcheck, ca_file: Path, request: pytest.FixtureRequest) -> Check:
    """Run `smtpcheck host`; with --save-observations, keep what it saw under the row's name."""
    folder: Path | None = request.config.getoption("--save-observations")
    fixed = arguments(ca_file, folder, request.node.name)

    def run(*told: str, **keywords: Any) -> Run:
        return smtpcheck("host", *told, *fixed, **keywords)

    return run


@pytest.fixture(scope="session")
def issued(ca: ThrowawayCA) -> dict[str, Identity]:
    """The certificates that the rows name; "none" is none."""
    return identities(ca)


@pytest.fixture(scope="session")
def listeners(issued: dict[str, Identity]) -> Listeners:
    """A row's listeners, as the rigs take them."""

    def build(case: Case) -> tuple[Listener, ...]:
        return tuple(
            Listener(
                address=address_of(case),
                port=port.number,
                identity=issued.get(port.identity),
                settings=port.settings,
            )
            for port in case.ports
        )

    return build


@pytest.fixture(scope="session")
def dovecot_server(listeners: Listeners) -> Iterator[Dovecot]:
    """Dovecot with the listeners of all its rows."""
    with dovecot(*(each for case in DOVECOT for each in listeners(case))) as server:
        yield server


@pytest.fixture(scope="session")
def postfix_server(listeners: Listeners, dovecot_server: Dovecot) -> Iterator[Postfix]:
    """Postfix with the listeners of all its rows; Dovecot checks its passwords."""
    ours = [each for case in POSTFIX for each in listeners(case)]
    with postfix(*ours, settings={"smtpd_sasl_path": dovecot_server.auth_socket}) as server:
        yield server


@pytest.fixture
def aiosmtpd_servers(
    listeners: Listeners,
) -> Callable[[Case], contextlib.AbstractContextManager[None]]:
    """aiosmtpd with the listeners of one row, within a block."""

    @contextlib.contextmanager
    def running(case: Case) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for listener in listeners(case):
                stack.enter_context(aiosmtpd(listener, case.kind))
            yield

    return running


@pytest.fixture(params=MAIN)
def hop(request: pytest.FixtureRequest, ca: ThrowawayCA) -> Iterator[Hop]:
    """Postfix and Exim in turn, as hops of our relay."""
    with raised(request.param, ca) as hop:
        yield hop


@pytest.fixture
def postfix_hop(ca: ThrowawayCA) -> Iterator[Hop]:
    """Postfix as a hop."""
    with raised("postfix", ca) as hop:
        yield hop


@pytest.fixture
def exim_hop(ca: ThrowawayCA) -> Iterator[Hop]:
    """Exim as a hop."""
    with raised("exim", ca) as hop:
        yield hop


@pytest.fixture
def ours(hop: Hop, ca: ThrowawayCA, tmp_path: Path) -> Iterator[Relay]:
    """Our relay, which sends to the hop by MX and within verified TLS, and relays for it."""
    tls = {"outgoing": "verified"}
    world = at(MAIN[hop.name])
    with relay(OURS, tmp_path, ca, zone=world, tls=tls, networks=["127.0.0.0/8"]) as serving:
        yield serving
