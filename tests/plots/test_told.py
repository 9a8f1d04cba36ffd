import re

import pytest

from dmlkit import plots
from dmlkit.plots.words import Sentence


def counts(said):
    found = re.match(r"Of (\d+) steps?, (\w+) gained .*?, (\w+) lost more than that.*? and (\w+) could", said)
    return [0 if each == "none" else int(each) for each in found.groups()]


@pytest.fixture
def base(make_run):
    return {"lr": make_run("lr", quality=0.4)}


def test_what_gained_lost_and_could_be_either(base, make_run):
    runs = [
        make_run("netvlad", quality=0.9, title="Better"),
        make_run("deep-bag", quality=0.1, title="Worse"),
        make_run("class-attention", quality=0.4, title="Alike"),
    ]
    said = plots.say_steps(runs, against=base)
    assert isinstance(said, Sentence) and counts(said) == [3, 1, 1, 1]
    assert re.search(r"gained .*\(Better \+0\.\d{4}\), 1 lost more than that \(Worse -0\.\d{4}\)", said)
    assert "either way (Alike +0.0000)" in said


def test_the_numbers_are_those_of_the_figure(base, make_run):
    runs = [make_run("netvlad", quality=0.9, seed=3), make_run("deep-bag", quality=0.6, seed=4)]
    plot, said = plots.steps(runs, against=base), plots.say_steps(runs, against=base)
    for number in re.findall(r"[+-]0\.\d{4} \(", plot.alt):
        assert number[:-2] in said


def test_many_are_cut_and_chance_is_told_of(base, make_run):
    runs = [make_run(f"own-{place}", quality=0.9, seed=place) for place in range(20)]
    # Each of my own stands against the run before it, so most are alike.
    said = plots.say_steps(runs, against=base)
    assert sum(counts(said)[1:]) == 20 and "more)" in said and "one in twenty" in said


def test_what_stands_against_nothing_is_named_and_not_called_missing(base, make_run):
    alone = [make_run("netvlad")]
    assert "not trained here" in plots.say_steps(alone, against={})
    assert "None of these rungs" not in plots.say_steps(alone, against={})
    said = plots.say_steps([*alone, make_run("netvlad-gated", seed=1)], against={})
    assert said.startswith("Of 1 step, ") and said.endswith("scored on other videos: netvlad.")


def test_nothing_trained(base):
    for none in ({}, None):
        assert plots.say_steps(none, against=base).startswith("None of these rungs is here,")
