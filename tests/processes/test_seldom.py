"""What is done so seldom that it takes a tenth of the time."""

import pytest

from shared_keras.processes import seldom
from shared_keras.processes.seldom import Seldom


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless a test moves it."""
    clock = type("Clock", (), {"now": 100.0})()
    monkeypatch.setattr(seldom.time, "monotonic", lambda: clock.now)
    return clock


def test_it_takes_a_tenth_of_the_time(clock):
    calls = []

    def slow():
        calls.append(clock.now)
        clock.now += 2.0

    with Seldom(slow) as function:
        for _ in range(1000):
            function()
            clock.now += 0.5
    assert calls[:3] == [100.0, 120.0, 140.0]
    assert len(calls) * 2.0 == pytest.approx((clock.now - 100.0) / 10, rel=0.1)


def test_what_was_left_out_is_made_up_for(clock):
    calls = []

    def slow():
        calls.append(clock.now)
        clock.now += 1.0

    with Seldom(slow) as function:
        function()
        function.catch_up()  # nothing was left out
        clock.now = 105.0
        function()
        function.catch_up()  # too early
        clock.now = 111.0
        function.catch_up()
        clock.now = 112.0
        function()
    assert calls == [100.0, 111.0, 112.0]
    with Seldom(slow) as function:
        function()
    assert len(calls) == 4  # nothing was left out


def test_what_was_left_out_is_made_up_for_after_an_error(clock):
    calls = []

    def slow():
        calls.append(clock.now)
        clock.now += 1.0

    with pytest.raises(KeyboardInterrupt), Seldom(slow) as function:
        function()
        function()  # too early
        raise KeyboardInterrupt
    assert calls == [100.0, 101.0]
