"""Single bytes flipped and files cut, at random: each is found at the record it lies in, and no other is lost."""

import random

import pytest

from dmlkit.data.checking import check

from .conftest import LAYOUTS, offsets, write_set

SHARDS, EACH = 2, 6


def hit(begins, place):
    """The record that a byte belongs to."""
    return next(number for number in range(len(begins) - 1) if place < begins[number + 1])


def one_fault(folder, shard, whole, begins, rng, cut):
    """Damage the shard in one place and check: what was found, and what should have been."""
    if cut:
        size = rng.choice([rng.randrange(len(whole)), rng.choice(begins[:-1])])
        shard.write_bytes(whole[:size])
        record = hit(begins, size)
        good = SHARDS * EACH - (EACH - record)
    else:
        place, data = rng.randrange(len(whole)), bytearray(whole)
        data[place] ^= rng.randrange(1, 256)
        shard.write_bytes(data)
        record = hit(begins, place)
        good = SHARDS * EACH - 1
    (each,) = check(folder).sets
    found = [(fault.shard, fault.record, fault.byte) for fault in each.faults]
    wanted = [(str(shard), record, begins[record])]
    return (found, each.total.good, each.total.faults.total()), (wanted, good, 1), each.total.faults


def damage(folder, make, times, *, seed):
    shard = write_set(folder, make, shards=SHARDS, each=EACH, declared=True)[1]
    whole, rng, kinds = shard.read_bytes(), random.Random(seed), {"flips": 0, "cuts": 0}
    begins = offsets([make(number) for number in range(EACH, 2 * EACH)])
    assert begins[-1] == len(whole)
    for time in range(times):
        cut = time % 10 == 0
        got, wanted, faults = one_fault(folder, shard, whole, begins, rng, cut)
        assert got == wanted, f"seed {seed}, time {time}, {'cut' if cut else 'flip'}: {dict(faults)}"
        kinds["cuts" if cut else "flips"] += 1
        for kind in faults:
            kinds[kind] = kinds.get(kind, 0) + 1
    shard.write_bytes(whole)
    assert check(folder).whole
    return kinds


@pytest.mark.parametrize("layout", LAYOUTS)
def test_some_flips(tmp_path, layout, capsys):
    kinds = damage(tmp_path, LAYOUTS[layout], 150, seed=7)
    with capsys.disabled():
        print(f"\n  {layout}: {kinds}, every one found at its record")


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_ten_thousand_flips(tmp_path, layout, capsys):
    kinds = damage(tmp_path, LAYOUTS[layout], 10_000, seed=8)
    with capsys.disabled():
        print(f"\n  {layout}: {kinds}, every one found at its record")
