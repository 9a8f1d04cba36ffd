"""The two-stage staircase, the cosine and its cycles against steps counted by hand."""

import math
from dataclasses import replace

import keras
import pytest

from dmlkit.errors import UsageError
from dmlkit.profiles import DEMO, PAPER
from dmlkit.training.schedule import TwoStageStaircase, cosine, schedule, staircase


def rate(schedule, step):
    return float(schedule(step))


def test_steps_counted_by_hand():
    schedule = TwoStageStaircase(
        learning_rate=0.01, decay=0.5, first=100, then=10, converged_after=250, batch_size=10
    )
    # 90 examples: no step; 100: one; 250: two of the first stage; 270: two more of the second.
    assert rate(schedule, 9) == pytest.approx(0.01)
    assert rate(schedule, 10) == pytest.approx(0.005)
    assert rate(schedule, 25) == pytest.approx(0.0025)
    assert rate(schedule, 27) == pytest.approx(0.000625)


def test_the_papers_numbers():
    profile = replace(PAPER, learning_rate=0.01)
    schedule = staircase(profile, videos=10_000_000)
    # 3,999 steps of 1,024 are 4,094,976 examples: one step of 95 %. The budget is 50 million, and the loss
    # counts as nearly converged after 45: by then 11 steps, and 25 more in each further million.
    assert rate(schedule, 3_906) == pytest.approx(0.01)
    assert rate(schedule, 3_907) == pytest.approx(0.01 * 0.95)
    assert rate(schedule, 46_000_000 / 1024) == pytest.approx(0.01 * 0.95 ** (11 + 25), rel=1e-4)


def test_shares_of_the_budget_keep_the_shape():
    schedule = staircase(replace(DEMO, epochs=10, batch_size=1, learning_rate=1.0), videos=100)
    # Half of 1,000 examples at the full rate, then a step every 25.
    assert rate(schedule, 499) == 1.0
    assert rate(schedule, 500) == pytest.approx(0.95)
    assert rate(schedule, 1000) == pytest.approx(0.95**21)


def test_a_cosine_rises_and_falls_by_hand():
    profile = replace(DEMO, epochs=10, batch_size=10, learning_rate=2.0, warm_up=0.2, schedule="cosine")
    rates = schedule(profile, videos=95)  # 10 steps an epoch, the last a short one: 100, of which 20 warm up
    assert rate(rates, 0) == 0.0 and rate(rates, 10) == pytest.approx(1.0)
    assert rate(rates, 20) == pytest.approx(2.0) and rate(rates, 60) == pytest.approx(1.0)
    assert rate(rates, 100) == pytest.approx(0.0, abs=1e-6)
    config = keras.optimizers.schedules.serialize(cosine(profile, videos=95))
    assert rate(keras.optimizers.schedules.deserialize(config), 33) == pytest.approx(rate(rates, 33))


def test_a_schedule_that_is_not_there_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'cosine'"):
        schedule(replace(DEMO, schedule="cosin"), videos=100)


def test_it_is_saved_with_an_optimiser():
    schedule = staircase(DEMO, videos=1000)
    config = keras.optimizers.schedules.serialize(schedule)
    again = keras.optimizers.schedules.deserialize(config)
    assert rate(again, 1234) == rate(schedule, 1234)


def cycles(**settings):
    profile = replace(DEMO, schedule="cyclic", batch_size=10, learning_rate=2.0, warm_up=0.0, **settings)
    return schedule(profile, videos=95)  # 10 steps an epoch, the last a short one


def test_equal_cycles_are_those_of_keras():
    ours = cycles(epochs=6, cycles=3)
    keras_own = keras.optimizers.schedules.CosineDecayRestarts(
        2.0, first_decay_steps=20, t_mul=1.0, m_mul=1.0
    )
    for step in range(60):
        assert rate(ours, step) == pytest.approx(rate(keras_own, step), abs=1e-5)


def test_cycles_end_with_epochs_also_where_these_cannot_be_divided():
    assert replace(DEMO, schedule="cyclic", epochs=5, cycles=2).cycle_ends == (2, 5)
    ours = cycles(epochs=5, cycles=2)
    by_hand = [1 + math.cos(math.pi * step / 20) for step in range(20)]
    by_hand += [1 + math.cos(math.pi * step / 30) for step in range(30)]
    assert [rate(ours, step) for step in range(50)] == pytest.approx(by_hand, abs=1e-5)
    assert rate(ours, 50) == rate(ours, 70) == pytest.approx(0.0, abs=1e-6)


def test_only_the_first_cycle_is_warmed_up():
    warmed = schedule(
        replace(DEMO, schedule="cyclic", batch_size=10, epochs=4, cycles=2, learning_rate=2.0, warm_up=0.1),
        videos=100,
    )  # 40 steps, of which 4 warm up
    plain = [1 + math.cos(math.pi * (step % 20) / 20) for step in range(40)]
    rising = [0.0, 0.25, 0.5, 0.75]
    expected = [rise * full for rise, full in zip(rising, plain, strict=False)] + plain[4:]
    assert [rate(warmed, step) for step in range(40)] == pytest.approx(expected, abs=1e-5)
    config = keras.optimizers.schedules.serialize(warmed)
    assert rate(keras.optimizers.schedules.deserialize(config), 33) == rate(warmed, 33)
