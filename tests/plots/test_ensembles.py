"""Ways side by side, what each member adds, how alike members are: what is drawn, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

from dmlkit import plots
from dmlkit.metrics import COMBINERS
from dmlkit.plots.words import WAY_TITLES


@pytest.fixture
def ways():
    """The way that is best on the tuning part is not the best on the validation part."""
    rows = {
        "best member: LSTM": (0.50, 0.52, 0.50, 0.54, "–"),
        "algorithm_2": (0.55, 0.54, 0.52, 0.56, "0.5, 0.5"),
        "stacking": (0.60, 0.51, 0.49, 0.53, "0.9, -0.2"),
        "optimized": (0.58, 0.59, 0.57, 0.61, "1.0, 0.0"),
    }
    columns = ["tuning GAP@20", "validation GAP@20", "from", "to", "weights"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


@pytest.fixture
def gains():
    rows = [
        (0.5, -0.01, -0.02, -0.03, -0.01),
        (0.9, 0.05, 0.04, 0.03, 0.05),
        (0.6, 0.01, -0.001, -0.01, 0.01),
    ]
    columns = ["alone", "adds, tuning", "adds, validation", "from", "to"]
    return pd.DataFrame(rows, index=["LR", "LSTM", "Bi-GRU"], columns=columns)


def labels(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def test_every_way_has_a_name_for_people():
    assert list(WAY_TITLES) == list(COMBINERS) and len(set(WAY_TITLES.values())) == len(COMBINERS)
    assert plots.way_title("algorithm_2") == "Algorithm 2 (the paper's)"
    assert plots.way_title("best member: LSTM") == "Best member: LSTM"


def test_a_way_is_chosen_by_the_tuning_part(ways, data, shown):
    plot = shown(plots.ways(ways, data))
    tuning, validation = plot.figure.axes
    assert labels(tuning.yaxis) == [
        "Best member: LSTM",
        "Algorithm 2 (the paper's)",
        "Stacking",
        "Weights found",
    ]
    for axes, column in ((tuning, "tuning GAP@20"), (validation, "validation GAP@20")):
        dots = [line for line in axes.lines if line.get_marker() in ("s", "o", "D")]
        assert [line.get_xdata()[0] for line in dots] == list(ways[column])
        # Told by its shape too: the best member a square, the chosen way a diamond.
        assert [line.get_marker() for line in dots] == ["s", "o", "D", "o"]
    intervals = [line.get_xdata() for line in validation.lines if len(line.get_xdata()) == 2]
    assert [0.49, 0.53] in [list(each) for each in intervals]
    assert "Stacking 0.6000 and 0.5100" in plot.alt
    said = plots.say_ways(ways)
    assert "one chooses: Stacking (0.6000)" in said
    assert "0.5100, 0.0100 below the best member: LSTM (0.5200)" in said


def test_a_long_name_leaves_room_for_what_a_member_does_alone(gains, data, shown):
    long = gains.rename({"LSTM": "Bi-LSTM, seven layers with short-cuts over temporal ResNet blocks"})
    first, *_ = labels(shown(plots.added(long, data)).figure.axes[0].yaxis)
    assert first.startswith("Bi-LSTM, seven layers") and first.endswith("… (alone 0.900)")


def test_what_each_adds_the_most_first(gains, data, shown):
    plot = shown(plots.added(gains, data))
    (axes,) = plot.figure.axes
    assert labels(axes.yaxis) == ["LSTM (alone 0.900)", "Bi-GRU (alone 0.600)", "LR (alone 0.500)"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"] == [0.05, 0.01, -0.01]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"] == [0.04, -0.001, -0.02]
    assert "LR -0.0100 on the tuning part, -0.0200 on the validation part" in plot.alt
    said = plots.say_added(gains)
    assert "owes most to LSTM, +0.0500. Without LR it would be better" in said
    assert "none without which" in plots.say_added(gains.drop("LR"))


def test_each_pair_has_its_number(data, shown):
    shares = np.array([[1, 0.25, 0.5], [0.25, 1, 0.75], [0.5, 0.75, 1]])
    names = ["LR", "LSTM", "Bi-GRU"]
    table = pd.DataFrame(shares, index=names, columns=names)
    table.attrs["top_k"] = 4
    plot = shown(plots.agreement(table, data))
    axes, scale = plot.figure.axes
    assert [text.get_text() for text in axes.texts] == [
        "–",
        "0.25",
        "0.50",
        "0.25",
        "–",
        "0.75",
        "0.50",
        "0.75",
        "–",
    ]
    assert labels(axes.xaxis) == labels(axes.yaxis) == names
    # Dark on bright, bright on dark.
    assert [text.get_color() for text in axes.texts[1:3]] == ["white", "white"]
    assert axes.texts[5].get_color() == "black"
    assert "4 highest classes" in scale.get_ylabel() and "LSTM and LR 0.25" in plot.alt


def test_two_that_are_the_same(data, shown):
    same = pd.DataFrame(np.ones((2, 2)), index=["a", "b"], columns=["a", "b"])
    assert "b and a 1.00" in shown(plots.agreement(same, data)).alt


def test_two_members_have_one_share_and_a_scale_that_can_be_read(data, shown):
    table = pd.DataFrame([[1.0, 0.5625], [0.5625, 1.0]], index=["a", "b"], columns=["a", "b"])
    scale = shown(plots.agreement(table, data)).figure.axes[1].yaxis
    # Not millionths, and what to add to them.
    assert scale.get_offset_text().get_text() == ""


def test_nothing_to_combine(shown):
    nothing = pd.DataFrame()
    for plot in (plots.ways(nothing), plots.agreement(nothing)):
        assert "fewer runs" in shown(plot).alt
    assert "fewer than three" in shown(plots.added(nothing)).alt
    assert "nothing to combine" in plots.say_ways(nothing)
    assert "fewer than three" in plots.say_added(nothing)
