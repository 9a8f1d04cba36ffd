import numpy as np
import pytest

from dmlkit import plots
from dmlkit.metrics import paired_gap_difference
from dmlkit.plots.words import RESAMPLES
from dmlkit.predictions import Predictions


def labels(plot):
    return [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]


def points(plot):
    """(difference, filled) of every step, in the order of the rows."""
    dots = [line for line in plot.figure.axes[0].lines if line.get_marker() == "o"]
    dots.sort(key=lambda line: line.get_ydata()[0])
    return [(float(line.get_xdata()[0]), line.get_markerfacecolor() != "white") for line in dots]


def test_a_rung_stands_against_the_one_of_which_it_changes_one_thing(nine_runs, data, shown):
    plot = shown(plots.steps(nine_runs, data))
    assert labels(plot) == [
        "lstm\nagainst lr",
        "bi-lstm\nagainst lstm",
        "bi-gru-concat\nagainst bi-lstm",
        "bi-gru-shared-space\nagainst bi-gru-concat",
        "bi-gru-projection\nagainst bi-gru-concat",
        "attention\nagainst bi-gru-concat",
        "own\nagainst attention",
        "ensemble-lr-lstm\nagainst lstm",
    ]
    assert "generated data" in plot.alt and plot.alt.count(" against ") == 8


def test_the_differences_and_intervals_are_the_paired_ones(nine_runs):
    plot = plots.steps(nine_runs)
    lstm, lr = nine_runs["lstm"].predictions, nine_runs["lr"].predictions
    expected = paired_gap_difference(lstm.scores, lr.scores, lr.labels, resamples=RESAMPLES)
    difference, _ = points(plot)[0]
    assert difference == pytest.approx(expected.difference, abs=1e-12)
    low, high = expected.interval
    assert f"lstm against lr {difference:+.4f} ({low:+.4f} to {high:+.4f}, " in plot.alt


def test_what_the_interval_says_is_seen_without_colour(make_run):
    plot = plots.steps(
        [make_run("lr"), make_run("lstm", quality=0.9), make_run("bi-lstm", quality=0.9, seed=1)]
    )
    (better, told), (alike, not_told) = points(plot)
    assert told and not not_told and better > 0.1 > abs(alike)
    assert "0 excluded" in plot.alt and "0 within" in plot.alt
    # Of each step the difference and, below it, its interval.
    weights = [text.get_weight() for text in plot.figure.axes[0].texts]
    assert weights == ["bold", "normal", "normal", "normal"]
    for text in plot.figure.axes[0].texts[1::2]:
        assert text.get_text().replace("−", "-") in plot.alt


def test_where_the_rung_below_was_not_trained_the_nearest_below_it_serves(make_run):
    assert labels(plots.steps([make_run("lr"), make_run("bi-gru-projection")])) == [
        "bi-gru-projection\nagainst lr"
    ]
    # And without any of them, the run before.
    assert labels(plots.steps([make_run("own"), make_run("attention")])) == ["attention\nagainst own"]


def test_names_are_whole_however_long(make_run, shown):
    title = "A rung with a name of many words, which is wrapped and not cut off, whatever it costs"
    plot = shown(plots.steps([make_run("lr"), make_run("own", title=title)]))
    (label,) = labels(plot)
    assert label.replace("\n", " ") == f"{title} against lr" and max(map(len, label.splitlines())) <= 40


def test_another_order_of_videos_is_the_same_step_and_other_videos_are_left_out(make_run, shown):
    runs = [make_run("lr"), make_run("lstm", quality=0.9), make_run("bi-lstm")]
    straight = plots.steps(runs[:2])
    kept = runs[1].predictions
    runs[1].__dict__["predictions"] = Predictions(
        ids=kept.ids[::-1], labels=kept.labels[::-1], scores=kept.scores[::-1]
    )
    assert points(plots.steps(runs[:2])) == points(straight)
    other = runs[2].predictions
    runs[2].__dict__["predictions"] = Predictions(
        ids=np.char.add(other.ids, "x"), labels=other.labels, scores=other.scores
    )
    plot = shown(plots.steps(runs))
    assert len(points(plot)) == 1 and "Left out, " in plot.alt and "other videos: bi-lstm" in plot.alt
    assert "scored on other videos" in shown(plots.steps([runs[0], runs[2]])).alt


@pytest.mark.parametrize("names", [[], ["lr"]])
def test_fewer_than_two(make_run, shown, names):
    assert "needs two rungs" in shown(plots.steps([make_run(name) for name in names])).alt


def test_what_runs_stand_against_has_no_line_of_its_own(make_run, shown):
    ground = {"lr": make_run("lr"), "attention": make_run("attention", seed=1)}
    runs = {"netvlad": make_run("netvlad", seed=2), "netvlad-gated": make_run("netvlad-gated", seed=3)}
    plot = shown(plots.steps(runs, against=ground))
    assert labels(plot) == ["netvlad\nagainst lr", "netvlad-gated\nagainst netvlad"]
    # What stands in both has its line, and alone on the ground each has none.
    both = plots.steps(runs, against=ground | {"netvlad": runs["netvlad"]})
    assert labels(both) == labels(plot) and points(both) == points(plot)
    assert "--beyond" in shown(plots.steps({}, against=ground)).alt


def test_what_a_rung_stands_against_is_never_just_another_one(make_run, shown):
    alone = {"netvlad": make_run("netvlad")}
    assert "what these rungs stand against is not trained here" in shown(plots.steps(alone, against={})).alt
    # The mean of frames is missing for the one, not for the other; nor is the first told of as ground.
    some = alone | {
        "transformer": make_run("transformer", seed=1),
        "netvlad-gated": make_run("netvlad-gated"),
    }
    plot = plots.steps(some, against=[make_run("attention", seed=2)])
    assert labels(plot) == ["transformer\nagainst attention", "netvlad-gated\nagainst netvlad"]
    assert plot.alt.endswith("scored on other videos: netvlad.")


def test_a_trick_is_called_by_itself_and_stands_against_its_base(make_run):
    base = make_run("attention", title="Bi-GRU, attention")
    tricked = make_run("attention-mixup", title="Bi-GRU, attention, mixup", seed=1)
    tricked.record["experiment"]["trick"] = "mixup"
    plot = plots.steps({"mixup": tricked}, against=[make_run("lr"), base, make_run("lstm")])
    assert labels(plot) == ["mixup\nagainst Bi-GRU, attention"]
