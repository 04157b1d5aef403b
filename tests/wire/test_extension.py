"""The EHLO reply as extensions: order and oddities are kept, spelling is not."""

import pytest

from smtpcheck.wire.extension import Extension, extensions
from smtpcheck.wire.reply import reply


def test_keywords_are_upper_cased_parameters_are_not() -> None:
    offered = extensions(reply(250, "a.test greets", "size 1000", "Auth plain LOGIN", "DSN"))
    assert offered == (
        Extension("SIZE", ("1000",)),
        Extension("AUTH", ("plain", "LOGIN")),
        Extension("DSN"),
    )


def test_duplicates_are_facts() -> None:
    assert len(extensions(reply(250, "a", "DSN", "DSN"))) == 2


def test_a_refusal_offers_nothing() -> None:
    assert extensions(reply(502, "a", "SIZE")) == ()


@pytest.mark.parametrize(
    ("keyword", "legal"),
    [
        ("SIZE", True),
        ("X-Y", True),
        ("8BITMIME", True),
        ("-X", False),
        ("A_B", False),
        ("É", False),
    ],
)
def test_the_grammar_of_keywords(keyword: str, legal: bool) -> None:
    assert Extension(keyword).legal is legal


def test_the_equals_form_of_auth_counts_as_auth() -> None:
    """Postfix with broken_sasl_auth_clients sends both."""
    (offered,) = extensions(reply(250, "a", "AUTH=PLAIN LOGIN"))
    assert offered == Extension("AUTH", ("PLAIN", "LOGIN"))
    assert offered.legal
