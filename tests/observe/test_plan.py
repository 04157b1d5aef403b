"""From a target to the hosts to ask."""

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.host import Role, Security
from smtpcheck.facts.observation import Target
from smtpcheck.limits import Limits
from smtpcheck.observe import plan


def test_the_usual_ports_have_their_roles() -> None:
    assert [(p.number, p.role, p.security, p.asked) for p in plan.usual_ports()] == [
        (25, Role.MX, Security.STARTTLS, False),
        (465, Role.SUBMISSIONS, Security.IMPLICIT, False),
        (587, Role.SUBMISSION, Security.STARTTLS, False),
    ]


def test_a_host_for_each_port_of_each_address() -> None:
    target = Target(given="m.test", host="m.test", ports=plan.usual_ports())
    made = plan.hosts(target, ("192.0.2.1", "2001:db8::1"), Limits())
    assert [str(host) for host in made] == [
        "192.0.2.1:25", "192.0.2.1:465", "192.0.2.1:587",
        "[2001:db8::1]:25", "[2001:db8::1]:465", "[2001:db8::1]:587",
    ]  # fmt: skip
    assert {host.name for host in made} == {"m.test"}


def test_addresses_come_from_answers_that_found_something() -> None:
    found = Lookup(name="m", rdtype="A", answer=Answer.FOUND, values=("192.0.2.1", "192.0.2.1"))
    lost = Lookup(name="m", rdtype="AAAA", answer=Answer.TIMED_OUT)
    assert plan.addresses((found, lost)) == ("192.0.2.1",)


def test_what_is_left_out_is_said() -> None:
    assert plan.left_out(("a", "b", "c"), Limits(addresses=2)) == (
        "1 of 3 addresses: more than are asked",
    )
    assert plan.left_out(("a",), Limits()) == ()
