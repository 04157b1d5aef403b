"""The rigs of Exim, OpenSMTPD, sendmail and chasquid show what the table says: told by openssl."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import Identity
from tests.real import more_cases
from tests.real.cases import Case
from tests.real.chasquid import chasquid
from tests.real.exim import exim
from tests.real.opensmtpd import opensmtpd
from tests.real.rig import Listener, loopback
from tests.real.s_client import s_client
from tests.real.sendmail import sendmail

pytestmark = pytest.mark.real

TLS_1_0 = ("-tls1", "-cipher", "DEFAULT:@SECLEVEL=0")
WHERE = loopback(2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A daemon, the rows on it, and the one of them that still has TLS 1.0 on port 25."""

    start: Callable[..., AbstractContextManager[object]]
    table: tuple[Case, ...]
    old: str = "TLS 1.0 still on, MX"


RIGS = {
    "Exim": Rig(start=exim, table=more_cases.EXIM, old="its default versions, MX"),
    "OpenSMTPD": Rig(start=opensmtpd, table=more_cases.OPENSMTPD, old=""),
    "sendmail": Rig(start=sendmail, table=more_cases.SENDMAIL),
    "chasquid": Rig(start=chasquid, table=more_cases.CHASQUID),
}

SAID = {
    "healthy MX alone": "Verify return code: 0 (ok)",
    "expired on 25": "certificate has expired",
    "other name on 25": "hostname mismatch",
    "self-signed on 25": "self-signed certificate",
    "no intermediate on 25": "unable to verify the first certificate",
}


ALL = [pytest.param(rig, id=name) for name, rig in RIGS.items()]
OLD = [pytest.param(rig, id=name) for name, rig in RIGS.items() if rig.old]


def seen(rig: Rig, title: str, issued: Mapping[str, Identity], ca_file: Path, *options: str) -> str:
    """What openssl sees of this row's port."""
    (port,) = next(case for case in rig.table if case.title == title).ports
    identity = issued[port.identity]
    with rig.start(
        Listener(address=WHERE, port=port.number, identity=identity, settings=port.settings)
    ):
        return s_client(WHERE, port.number, ca_file, *options)


@pytest.mark.parametrize("rig", ALL)
@pytest.mark.parametrize(("title", "words"), SAID.items(), ids=SAID)
def test_openssl_sees_the_certificate(
    rig: Rig, title: str, words: str, issued: Mapping[str, Identity], ca_file: Path
) -> None:
    assert words in seen(rig, title, issued, ca_file)


@pytest.mark.parametrize("rig", ALL)
def test_openssl_gets_no_tls_1_0_from_the_healthy_one(
    rig: Rig, issued: Mapping[str, Identity], ca_file: Path
) -> None:
    said = seen(rig, "healthy MX alone", issued, ca_file, *TLS_1_0)
    assert "alert" in said
    assert "New, (NONE)" in said


@pytest.mark.parametrize("rig", OLD)
def test_openssl_gets_tls_1_0_where_it_is_still_on(
    rig: Rig, issued: Mapping[str, Identity], ca_file: Path
) -> None:
    assert "New, TLSv1.0" in seen(rig, rig.old, issued, ca_file, *TLS_1_0)
