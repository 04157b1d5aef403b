"""Buckets: a burst, a refill, one per client, and a bound on all of them."""

from smtpcheck.relay.rates import MAX_BUCKETS, Rate


def test_a_burst_and_a_refill() -> None:
    rate = Rate(60)
    assert [rate.take("a", 0.0) for _ in range(61)] == [True] * 60 + [False]
    assert rate.take("b", 0.0)
    assert not rate.take("a", 0.9)
    assert rate.take("a", 1.9)
    assert [rate.take("a", 1000.0) for _ in range(61)] == [True] * 60 + [False]


def test_no_limit_and_a_clock_that_goes_back() -> None:
    assert all(Rate(0).take("a", 0.0) for _ in range(1000))
    rate = Rate(1)
    assert rate.take("a", 100.0)
    assert not rate.take("a", 0.0)


def test_what_is_asked_is_not_counted() -> None:
    rate = Rate(1)
    assert rate.allows("a", 0.0)
    assert rate.allows("a", 0.0)
    rate.count("a", 0.0, many=3)
    assert not rate.allows("a", 100.0)
    assert rate.allows("a", 200.0)


def test_clients_are_forgotten_rather_than_memory_filled() -> None:
    rate = Rate(1)
    for number in range(MAX_BUCKETS + 10):
        rate.take(str(number), 0.0)
    assert rate.take("0", 0.0)
    assert not rate.take(str(MAX_BUCKETS + 9), 0.0)
