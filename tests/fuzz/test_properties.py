"""The properties themselves, on a few inputs each, so that a soak begins with what works."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.properties import PROPERTIES, SEEDS, _samples, saved_file

FEW = 100


@pytest.mark.parametrize("name", PROPERTIES)
def test_seeds(name: str) -> None:
    for seed in SEEDS[name]:
        PROPERTIES[name](seed)


@pytest.mark.parametrize("name", PROPERTIES)
def test_any_octets(name: str) -> None:
    settings(max_examples=FEW, deadline=None)(given(st.binary(max_size=200))(PROPERTIES[name]))()


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"250", b"-", b" ", b"\r\n", b"\n", b"2.1.5", b"\xff", b"x"])))
@example([b"250"] * 700)
def test_replies_out_of_their_own_pieces(pieces: list[bytes]) -> None:
    PROPERTIES["reply"](b"".join(pieces))


def test_real_files_are_read_and_shown() -> None:
    for sample in _samples()[:20]:
        saved_file(sample.encode())
