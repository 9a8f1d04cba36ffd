import numpy as np
import pytest

from dmlkit import plots


@pytest.fixture
def weights(batch):
    even = np.full((8, 12), 1 / 12, np.float32)
    sharp = np.zeros((8, 12), np.float32)
    sharp[:, 4:6] = 0.5
    return {"even": even, "sharp": sharp}


def test_weights_are_drawn_beside_what_was_planted(weights, batch, data, shown):
    plot = shown(plots.attention(weights, batch, data, videos=2))
    assert len(plot.figure.axes) == 2
    assert "sharp looks hardest at second 4" in plot.alt
    assert "class 3 was planted from second 4 to 5" in plot.alt


def test_the_share_of_weight_on_planted_frames(weights, batch, data):
    shares = plots.attention_on_truth(weights, batch, data)
    short = shares.loc["short event"]
    assert short["share of the frames"] == pytest.approx(2 / 12)
    assert short["share of the weight, even"] == pytest.approx(2 / 12)
    assert short["share of the weight, sharp"] == pytest.approx(1.0)
    assert (
        "16.7% of the frames hold 16.7% of the weight (even), 100.0% of the weight (sharp)"
        in plots.say_attention(shares)
    )


def test_videos_with_short_events_come_first(weights, batch, make_data):
    class Rare(make_data):
        def truth(self, split):
            return {"v6": {3: np.array([4])}}

    assert "of v6" in plots.attention(weights, batch, Rare(), videos=1).alt


def test_data_without_truth(weights, batch, make_data, shown):
    real = make_data(generated=False, kinds=None)
    assert "planted" not in shown(plots.attention(weights, batch, real)).alt
    shares = plots.attention_on_truth(weights, batch, real)
    assert shares.empty
    assert "only be looked at" in plots.say_attention(shares)


def test_truth_without_kinds(weights, batch, make_data):
    assert list(plots.attention_on_truth(weights, batch, make_data(kinds=None)).index) == ["all classes"]


def test_no_model_with_attention(batch, data, shown):
    assert "no model with attention" in shown(plots.attention({}, batch, data)).alt
