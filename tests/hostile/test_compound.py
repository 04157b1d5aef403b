"""Several faults at once on real sockets: the cause to mend first stands on top, what follows
from it is folded under it, and each fault with a remedy of its own stays its own.
"""

import asyncio
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.facts.host import DEFAULTS, Port
from smtpcheck.facts.observation import Target
from smtpcheck.judge import judge
from smtpcheck.judge.report import Report, Severity, Status
from smtpcheck.observe.observer import Circumstances, observe_host
from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.conftest import Run, run_smtpcheck, unused_port
from tests.hostile import refusing
from tests.hostile.clear import Healthy
from tests.hostile.conftest import NAME, context
from tests.hostile.peer import OFFERED, Peer, listing, serving, set_up
from tests.hostile.test_turned_away import FAST, MX, SUBMISSION, SUBMISSIONS
from tests.real.netns import namespace

OLD = ("TLSv1", "TLSv1_2")
ANCIENT = ("TLSv1", "TLSv1")
MODERN = ("TLSv1_2", "TLSv1_3")


class Open(Peer):
    """STARTTLS on offer, and everything else without it, too"""

    async def ehlo(self) -> None:
        words = (*OFFERED, b"AUTH PLAIN") + (() if self.tls else (b"STARTTLS",))
        await self.send(listing(*words))

    async def mail(self) -> None:
        await self.send(b"250 2.1.0 ok\r\n")


class Bare(Open):
    """no STARTTLS, and passwords and mail in the clear"""

    async def ehlo(self) -> None:
        await self.send(listing(*OFFERED, b"AUTH PLAIN"))


class Lmtp(Peer):
    """LMTP where SMTP is due"""

    async def session(self) -> None:
        await self.send(b"220 peer.test LMTP\r\n")
        while not (line := await self.line()).startswith(b"QUIT"):
            if line.startswith(b"LHLO"):
                await self.send(listing(*OFFERED))
            else:
                await self.send(b"500 5.5.1 LHLO is what we speak\r\n")
        await self.quit()


class Turning(Peer):
    """554 for everybody"""

    async def greet(self) -> None:
        await self.send(b"554 5.7.1 you are on a list\r\n")


class Untidy(Peer):
    """a greeting without a name, and keywords twice"""

    async def greet(self) -> None:
        await self.send(b"220 ****************\r\n")

    async def ehlo(self) -> None:
        await self.send(listing(b"XXXXXXXA", *OFFERED, *OFFERED))


@dataclass(frozen=True, kw_only=True)
class On:
    """What is on one port. `closed`: nothing."""

    like: int
    peer: type[Peer] = Healthy
    certificate: str = "healthy"
    versions: tuple[str, str] = MODERN
    implicit: bool | None = None
    closed: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """Roots in the order of the report; what is folded under one of them; what is undecided."""

    title: str
    ports: tuple[On, ...]
    roots: tuple[str, ...]
    folded: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


TABLE = (
    Row(
        title="expired, of another name, and old TLS",
        ports=(On(like=SUBMISSION, certificate="expired other", versions=OLD),),
        roots=("cert-outside-validity", "tls-legacy-version", "cert-name-mismatch"),
    ),
    Row(
        title="expired, self-signed, of another name, and nothing but TLS 1.0",
        ports=(On(like=SUBMISSIONS, certificate="wreck", versions=ANCIENT),),
        roots=("cert-outside-validity", "tls-modern-missing", "cert-untrusted"),
        folded=("tls-legacy-version", "cert-name-mismatch"),
    ),
    Row(
        title="expired on three ports: one finding for users, and a milder one for the MX",
        ports=tuple(On(like=n, certificate="expired") for n in (MX, SUBMISSIONS, SUBMISSION)),
        roots=("cert-outside-validity", "cert-outside-validity"),
    ),
    Row(
        title="a throwaway certificate: self-signed, and so of no name that matters",
        ports=(On(like=SUBMISSION, certificate="throwaway"),),
        roots=("cert-untrusted",),
        folded=("cert-name-mismatch",),
    ),
    Row(
        title="the intermediate is missing, and expiry is near",
        ports=(On(like=SUBMISSIONS, certificate="half expiring"),),
        roots=("cert-chain-incomplete", "cert-expires-soon"),
        folded=("cert-untrusted",),
    ),
    Row(
        title="no STARTTLS, so passwords and mail go in the clear",
        ports=(On(like=SUBMISSION, peer=Bare),),
        roots=("starttls-missing",),
        folded=("auth-in-cleartext", "submission-cleartext"),
    ),
    Row(
        title="STARTTLS, expired, and all can be had without it",
        ports=(On(like=SUBMISSION, peer=Open, certificate="expired"),),
        roots=("cert-outside-validity", "submission-cleartext", "auth-in-cleartext"),
    ),
    Row(
        title="LMTP knows neither EHLO nor STARTTLS",
        ports=(On(like=MX, peer=Lmtp),),
        roots=("lmtp-on-smtp-port",),
        folded=("ehlo-rejected", "starttls-missing"),
    ),
    Row(
        title="wrapper mode on 587: clients wait for a greeting",
        ports=(On(like=SUBMISSION, implicit=True), On(like=SUBMISSIONS)),
        roots=("tls-on-plaintext-port",),
        folded=("banner-slow",),
    ),
    Row(
        title="no wrapper mode on 465, and expired on 587",
        ports=(
            On(like=SUBMISSIONS, implicit=False), On(like=SUBMISSION, certificate="expired"),
        ),
        roots=("cert-outside-validity", "plaintext-on-implicit-port"),
    ),
    Row(
        title="465 is closed, so implicit TLS is missing",
        ports=(On(like=SUBMISSION), On(like=SUBMISSIONS, closed=True)),
        roots=("port-closed",),
        folded=("implicit-tls-missing",),
    ),
    Row(
        title="refused on 25, closed on 587, wrong name on 465",
        ports=(
            On(like=MX, peer=Turning), On(like=SUBMISSION, closed=True),
            On(like=SUBMISSIONS, certificate="other"),
        ),
        roots=("port-closed", "service-refused", "cert-name-mismatch"),
    ),
    Row(
        title="a firewall that rewrites greeting and keywords, and takes STARTTLS away",
        ports=(On(like=MX, peer=Untidy),),
        roots=("banner-malformed", "ehlo-reply-malformed", "starttls-missing"),
    ),
    Row(
        title="expired, and we are turned away before all was seen",
        ports=(
            On(like=SUBMISSION, peer=refusing.rationed(refusing.Rationed, 1),
               certificate="expired"),
        ),
        roots=("cert-outside-validity",),
        unsure=("client-throttled",),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def shown(ca: ThrowawayCA) -> Mapping[str, Identity]:
    """The certificates of the table."""
    now, day = datetime.now(UTC), timedelta(days=1)
    past, other = now - 3 * day, ["www.other.test"]
    expiring = ca.issue([NAME], not_before=now - 85 * day, not_after=now + 5 * day)
    return {
        "healthy": ca.issue([NAME]),
        "other": ca.issue(other),
        "expired": ca.issue([NAME], not_after=past),
        "expired other": ca.issue(other, not_after=past),
        "wreck": ca.issue(other, not_after=past, self_signed=True),
        "throwaway": ca.issue(["localhost"], self_signed=True),
        "half expiring": expiring.alone(),
    }


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_the_cause_on_top(
    row: Row, shown: Mapping[str, Identity], ca_file: Path, tmp_path: Path
) -> None:
    async def main() -> Report:
        async with AsyncExitStack() as stack:
            ports = []
            for on in row.ports:
                role, security = DEFAULTS[on.like]
                number = unused_port()
                if not on.closed:
                    made = _context(shown[on.certificate], on, tmp_path)
                    implicit = on.like == SUBMISSIONS if on.implicit is None else on.implicit
                    ready = set_up(on.peer, made, implicit=implicit, logins=on.like != MX)
                    number = await stack.enter_async_context(serving(ready))
                ports.append(Port(number=number, role=role, security=security, asked=True))
            target = Target(given=NAME, host="127.0.0.1", verify=NAME, ports=tuple(ports))
            how = Circumstances(limits=replace(FAST, greeting=1.0), ca_file=str(ca_file))
            return judge(await observe_host(target, how, lambda _: None))

    report = asyncio.run(main())
    faults = [f for f in report.findings if f.status is Status.FAIL]
    roots = [f.id for f in faults if f.severity >= Severity.WARNING]
    unsure = [f.id for f in report.findings if f.status is Status.INCONCLUSIVE]
    assert roots[0] == row.roots[0]
    assert roots == list(row.roots)
    assert sorted({f.id for f in report.consequences}) == sorted(row.folded)
    assert unsure == list(row.unsure)


def _context(identity: Identity, on: On, folder: Path) -> ssl.SSLContext:
    made = context(identity, folder, f"{on.like}")
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version, made.maximum_version = (
        getattr(ssl.TLSVersion, name) for name in on.versions
    )
    return made


FILTERED, ALSO_FILTERED, SERVED, NO_ROUTE = "127.27.1.1", "127.27.1.2", "127.27.2.1", "2001:db8::9"


@dataclass(frozen=True, kw_only=True)
class Way:
    """What is asked, of a network in which FILTERED and ALSO_FILTERED swallow everything."""

    title: str
    arguments: tuple[str, ...]
    status: int
    found: Mapping[str, str] = field(default_factory=dict)
    folded: tuple[str, ...] = ()
    why: str = ""


PATHS = (
    Way(
        title="a firewall, no route for IPv6, and a control that answers",
        arguments=(FILTERED, "-a", FILTERED, "-a", NO_ROUTE, "--control", SERVED),
        found={"port-timeout": "error"},
        status=1,
        why="no route of that address family",
    ),
    Way(
        title="a firewall, no route for IPv6, and nothing to tell them from our own network",
        arguments=(FILTERED, "-a", FILTERED, "-a", NO_ROUTE),
        found={"port-timeout": "inconclusive"},
        status=3,
    ),
    Way(
        title="two addresses that swallow all, and a control as silent: it is us",
        arguments=(
            FILTERED, "-a", FILTERED, "-a", ALSO_FILTERED, "--control", ALSO_FILTERED,
        ),
        found={"egress-blocked": "inconclusive"},
        folded=("port-timeout",),
        status=3,
    ),
    Way(
        title="one address is filtered, the other has no STARTTLS",
        arguments=(SERVED, "-a", SERVED, "-a", FILTERED, "--control", SERVED),
        found={"port-timeout": "warning", "starttls-missing": "warning"},
        status=0,
    ),
    Way(
        title="one address is closed, the other filtered",
        arguments=("127.27.3.1", "-a", "127.27.3.1", "-a", FILTERED, "--control", SERVED),
        found={"port-closed": "error", "port-timeout": "error"},
        status=1,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def walked() -> dict[str, Run]:
    """All at once: each waits ten seconds for packets that don't come."""
    with namespace() as network, network.control(SERVED), ThreadPoolExecutor(len(PATHS)) as pool:
        for address in (FILTERED, ALSO_FILTERED):
            network.drop(address, 25)
        fixed: dict[str, Any] = {"within": network.within}
        runs = {
            path.title: pool.submit(
                run_smtpcheck, "host", *path.arguments, "--port", "25", "--format", "json", **fixed
            )
            for path in PATHS
        }
        return {title: run.result() for title, run in runs.items()}


@pytest.mark.real
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.title)
def test_on_the_way(path: Way, walked: dict[str, Run]) -> None:
    report = walked[path.title].report
    roots = report["findings"]
    found = {f["id"]: f["severity"] if f["status"] == "fail" else f["status"] for f in roots}
    loud = {id_: how for id_, how in found.items() if how not in ("notice", "info")}
    assert loud == dict(path.found)
    assert next(iter(found)) == next(iter(path.found))
    assert {f["id"] for f in report["consequences"]} == set(path.folded)
    assert walked[path.title].status == path.status
    assert path.why in " ".join(gap["why"] for gap in report["unchecked"])
