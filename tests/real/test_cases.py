"""Every row of the table, on the real server: the cause is found, and nothing else is blamed."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping

import pytest

from smtpcheck.relay.throwaway import Identity
from tests.conftest import unused_port
from tests.real.cases import AIOSMTPD, DOVECOT, POSTFIX, Case
from tests.real.conftest import address_of
from tests.real.dovecot import dovecot
from tests.real.netns import Network, namespace
from tests.real.postfix import postfix
from tests.real.rig import Listener, loopback
from tests.real.verdicts import Check, agree, rows

pytestmark = pytest.mark.real

Issued = Mapping[str, Identity]


@pytest.mark.parametrize("case", rows(POSTFIX))
@pytest.mark.usefixtures("postfix_server")
def test_postfix(case: Case, check: Check) -> None:
    agree(check(address_of(case), *case.arguments), case.expect, case.status)


@pytest.mark.parametrize("case", rows(DOVECOT))
@pytest.mark.usefixtures("dovecot_server")
def test_dovecot(case: Case, check: Check) -> None:
    agree(check(address_of(case), *case.arguments), case.expect, case.status)


@pytest.mark.parametrize("case", rows(AIOSMTPD))
def test_aiosmtpd(
    case: Case,
    check: Check,
    aiosmtpd_servers: Callable[[Case], contextlib.AbstractContextManager[None]],
) -> None:
    with aiosmtpd_servers(case):
        agree(check(address_of(case), *case.arguments), case.expect, case.status)


def test_nobody_listens(check: Check) -> None:
    """All ports closed is a fault even where none was asked for by number."""
    agree(check(loopback(250)), {"port-closed": "error"}, 1)


def test_dovecot_with_mechanisms_of_another_age(check: Check, issued: Issued) -> None:
    listener = Listener(address=loopback(251), port=587, identity=issued["healthy"])
    with dovecot(listener, settings={"auth_mechanisms": "plain cram-md5 digest-md5"}):
        run = check(listener.address, "--port", "587")
    agree(run, {"auth-legacy-mechanism": "warning"}, 0)


def test_healthy_on_ipv6(check: Check, issued: Issued) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    port = unused_port("::1")
    with postfix(Listener(address="::1", port=port, identity=issued["healthy"])):
        agree(check("::1", "--port", f"{port}:mx:starttls"), {}, 0)


FILTERED, OTHER = "127.27.1.1", "127.27.2.1"


@pytest.fixture
def network() -> Iterator[Network]:
    """A network in which FILTERED's port 25 swallows everything."""
    with namespace() as ours:
        ours.drop(FILTERED, 25)
        yield ours


def test_filtered_port_alone_decides_nothing(check: Check, network: Network) -> None:
    """A time-out may be our own network's doing, so the server isn't blamed."""
    run = check(FILTERED, "--port", "25", within=network.within)
    agree(run, {"port-timeout": "inconclusive"}, 3)


def test_filtered_port_beside_a_control_that_answers(check: Check, network: Network) -> None:
    with network.control(OTHER) as control:
        run = check(FILTERED, "--port", "25", "--control", control, within=network.within)
    agree(run, {"port-timeout": "error"}, 1)


def test_filtered_port_and_a_control_that_is_as_silent(check: Check, network: Network) -> None:
    """Two unrelated hosts that both vanish: it is our own network that drops port 25."""
    network.drop(OTHER, 25)
    run = check(FILTERED, "--port", "25", "--control", f"{OTHER}:25", within=network.within)
    agree(run, {"egress-blocked": "inconclusive"}, 3)
