"""The retry table, hour by hour, and that clocks and chance can't make it storm or give up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.relay.schedule import DAY, HOUR, MINUTE, SECONDS, Schedule

PLAIN = Schedule(jitter=0)


def even() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("tries", "greylisted", "delay"),
    [
        (1, False, 30 * MINUTE),
        (2, False, 1 * HOUR),
        (3, False, 2 * HOUR),
        (4, False, 4 * HOUR),
        (5, False, 4 * HOUR),
        (900, False, 4 * HOUR),
        (1, True, 1 * MINUTE),
        (2, True, 2 * MINUTE),
        (3, True, 4 * MINUTE),
        (4, True, 4 * HOUR),
    ],
)
def test_delays(tries: int, greylisted: bool, delay: float) -> None:
    assert PLAIN.delay(tries, greylisted=greylisted, chance=even) == delay


@given(tries=st.integers(1, 10_000), greylisted=st.booleans(), chance=st.floats(0, 0.999))
def test_jitter_keeps_within_its_share(tries: int, greylisted: bool, chance: float) -> None:
    plain = PLAIN.delay(tries, greylisted=greylisted, chance=even)
    delay = Schedule().delay(tries, greylisted=greylisted, chance=lambda: chance)
    assert 0.9 * plain <= delay <= 1.1 * plain
    assert delay <= Schedule().furthest()


def test_five_days_of_tries() -> None:
    """30 min, 1 h, 2 h, then every four hours: 33 tries in five days."""
    assert Schedule().tries_due() == 33
    assert SECONDS.tries_due() == 9


@pytest.mark.parametrize(
    ("age", "tries", "over"),
    [
        (5 * DAY - 1, 33, False),
        (5 * DAY, 33, True),
        (5 * DAY, 16, True),
        (10 * DAY, 15, False),  # the clock jumped, or the relay was off
        (-10 * DAY, 33, False),
    ],
)
def test_given_up_when_the_time_is_over_and_was_used(age: float, tries: int, over: bool) -> None:
    assert Schedule().expires(received=1e9, tries=tries, now=1e9 + age) is over
