"""Answers of a name server as facts: "no" is told apart from no answer."""

import asyncio

import dns.rcode
import pytest

from smtpcheck.blame import BadInputError
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.net.resolver import Resolver
from tests.net.nameserver import Answering, cut_short, dead, from_zone, nameserver, with_rcode

ZONE = from_zone(
    {
        ("mail.test", "A"): ["192.0.2.1", "192.0.2.2"],
        ("mail.test", "AAAA"): ["2001:db8::1"],
        ("v4.test", "A"): ["192.0.2.3"],
        ("a.test", "CNAME"): ["a.test."],
    }
)


def look_up(answering: Answering, name: str, rdtype: str = "A") -> Lookup:
    async def main() -> Lookup:
        async with nameserver(answering) as (server, _):
            return await Resolver(server, lifetime=0.5).lookup(name, rdtype)

    return asyncio.run(main())


ANSWERS = [
    ("found", ZONE, "mail.test", Answer.FOUND),
    ("no such name", ZONE, "nowhere.test", Answer.NO_SUCH_NAME),
    ("SERVFAIL", with_rcode(dns.rcode.SERVFAIL), "mail.test", Answer.SERVER_FAILED),
    ("REFUSED", with_rcode(dns.rcode.REFUSED), "mail.test", Answer.REFUSED),
    ("dead", dead, "mail.test", Answer.TIMED_OUT),
    ("cut short", cut_short, "mail.test", Answer.TIMED_OUT),
    ("a label of 64 octets", ZONE, "x" * 64 + ".test", Answer.MALFORMED),
]


@pytest.mark.parametrize(
    ("what", "answering", "name", "answer"), ANSWERS, ids=[a[0] for a in ANSWERS]
)
def test_each_way_to_answer(what: str, answering: Answering, name: str, answer: Answer) -> None:
    found = look_up(answering, name)
    assert found.answer is answer, what
    assert found.answer.decided is (answer in (Answer.FOUND, Answer.NO_SUCH_NAME))


def test_the_name_without_the_type_is_no_data() -> None:
    assert look_up(ZONE, "v4.test", "AAAA").answer is Answer.NO_DATA


def test_both_families_are_asked_at_once_and_each_question_once() -> None:
    async def main() -> tuple[tuple[Lookup, ...], list[str]]:
        async with nameserver(ZONE) as (server, asked):
            resolver = Resolver(server)
            await resolver.addresses("mail.test", ("A", "AAAA"))
            return await resolver.addresses("Mail.test", ("A", "AAAA")), asked

    (v4, v6), asked = asyncio.run(main())
    assert v4.values == ("192.0.2.1", "192.0.2.2")
    assert v6.values == ("2001:db8::1",)
    assert sorted(asked) == ["A", "AAAA"]


def test_the_hosts_file_goes_before_dns_as_for_every_program() -> None:
    (found,) = asyncio.run(Resolver().addresses("localhost", ("A",)))
    assert "127.0.0.1" in found.values
    assert found.resolver == "/etc/hosts"


@pytest.mark.parametrize("server", ["dns.example", "192.0.2.1:0", "a b"])
def test_a_resolver_must_be_an_address(server: str) -> None:
    with pytest.raises(BadInputError):
        Resolver(server)
