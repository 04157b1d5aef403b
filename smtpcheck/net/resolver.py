"""Questions to the domain name system, and their answers as facts.

Law: no answer is not the answer "no"; each question is asked once in a run.
"""

import asyncio
from collections.abc import Awaitable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from smtpcheck.blame import BadInputError
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.limits import DEFAULT
from smtpcheck.wire.endpoint import Endpoint, EndpointError, endpoint

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.resolver

HOSTS = Path("/etc/hosts")


class Resolver:
    """Asks the system's resolver, or the one server that the user named."""

    def __init__(self, server: str = "", *, lifetime: float = DEFAULT.lookup) -> None:
        self._server = _server(server) if server else None
        self._lifetime = lifetime
        self._asked: dict[tuple[str, str], Awaitable[Lookup]] = {}
        self.name = server
        """Who is asked; empty until the system's resolver was asked something."""

    @cached_property
    def _resolver(self) -> "dns.asyncresolver.Resolver":
        import dns.asyncresolver  # 100 ms, not spent on a target that is an address
        import dns.resolver

        if self._server:
            resolver = dns.asyncresolver.Resolver(configure=False)
            resolver.nameservers, resolver.port = [self._server.host], self._server.port or 53
            return resolver
        try:
            resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
        self.name = ", ".join(map(str, resolver.nameservers))
        return resolver

    async def addresses(self, name: str, families: tuple[str, ...]) -> tuple[Lookup, ...]:
        """A and AAAA records of `name`, as far as `families` ("A", "AAAA") want them.

        The hosts file goes before DNS, as for every other program, unless a server was named.
        """
        if self._server is None and (listed := _hosts_file(name)):
            return tuple(_from_hosts_file(name, family, listed) for family in families)
        return tuple(await asyncio.gather(*(self.lookup(name, family) for family in families)))

    async def lookup(self, name: str, rdtype: str) -> Lookup:
        """One question; an equal one shares its answer."""
        key = (name.lower(), rdtype)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._lookup(name, rdtype))
        return await self._asked[key]

    async def _lookup(self, name: str, rdtype: str) -> Lookup:
        import dns.exception
        import dns.flags
        import dns.resolver

        resolver = self._resolver
        began = asyncio.get_running_loop().time()

        def fact(answer: Answer, **more: object) -> Lookup:
            took = round(asyncio.get_running_loop().time() - began, 6)
            facts = {"name": name, "rdtype": rdtype, "answer": answer, "took": took}
            return Lookup(**{**facts, "resolver": self.name, **more})  # type: ignore[arg-type]

        if not resolver.nameservers:
            return fact(Answer.TIMED_OUT, detail="no resolver is configured on this machine")
        try:
            found = await resolver.resolve(
                name, rdtype, raise_on_no_answer=False, lifetime=self._lifetime, search=None
            )
        except dns.resolver.NXDOMAIN:
            return fact(Answer.NO_SUCH_NAME)
        except dns.resolver.NoNameservers as error:
            return fact(_failed(error), detail=_words(error))
        except dns.exception.Timeout:
            return fact(Answer.TIMED_OUT, detail="no answer from the resolver")
        except (dns.exception.DNSException, UnicodeError, ValueError) as error:
            return fact(Answer.MALFORMED, detail=_words(error))
        except OSError as error:
            return fact(Answer.TIMED_OUT, detail=error.strerror or str(error))
        if stray := _stray(found):
            return fact(Answer.MALFORMED, detail=stray)
        authentic = bool(found.response.flags & dns.flags.AD)
        canonical = found.canonical_name.to_text(omit_final_dot=True)
        if found.rrset is None:
            return fact(Answer.NO_DATA, canonical=canonical, authentic=authentic)
        values = tuple(sorted(record.to_text() for record in found.rrset))  # a set has no order
        return fact(Answer.FOUND, values=values, canonical=canonical, authentic=authentic)


def _stray(found: "dns.resolver.Answer") -> str:
    """Why an answer without the records that were asked for is not the answer "there are none"."""
    import dns.flags

    if found.rrset is None and found.response.flags & dns.flags.TC:
        return "cut short over TCP as well"
    records = found.response.answer
    if found.rrset is None and records and all(each.name != found.qname for each in records):
        return "the answer is about another name"
    return ""


def _failed(error: Exception) -> Answer:
    words = str(error)
    if "REFUSED" in words:
        return Answer.REFUSED
    return Answer.SERVER_FAILED if "SERVFAIL" in words else Answer.MALFORMED


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _server(given: str) -> Endpoint:
    try:
        server = endpoint(given)
    except EndpointError as error:
        raise BadInputError(str(error)) from None
    if not server.literal:
        raise BadInputError(f"{given!r} is no resolver: give its ADDRESS or ADDRESS:PORT")
    return server


def _hosts_file(name: str) -> tuple[str, ...]:
    wanted = name.rstrip(".").lower()
    found: list[str] = []
    try:
        lines = HOSTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if wanted in (each.lower() for each in names):
            found.append(address)
    return tuple(dict.fromkeys(found))


def _from_hosts_file(name: str, family: str, listed: tuple[str, ...]) -> Lookup:
    values = tuple(each for each in listed if (":" in each) == (family == "AAAA"))
    answer = Answer.FOUND if values else Answer.NO_DATA
    return Lookup(
        name=name, rdtype=family, answer=answer, values=values, canonical=name, resolver=str(HOSTS)
    )
