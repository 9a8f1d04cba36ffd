import numpy as np
import pandas as pd

from dmlkit import plots


def study():
    return pd.DataFrame(
        [
            {"frames": count, "choice": choice, "gap": gap + shift, "gap_low": gap - 0.02, "gap_high": gap + 0.05,
             "seconds": seconds, "videos": 1000}
            for choice, shift in (("first", 0.0), ("uniform", 0.02), ("random", 0.01))
            for count, gap, seconds in (("10", 0.4, 1.0), ("20", 0.5, 2.0), ("all", 0.6, 4.0))
        ]
    )  # fmt: skip


def test_a_line_for_each_way_of_choosing_frames(data, shown):
    plot = shown(plots.frames(study(), data))
    ticks = [tick.get_text() for tick in plot.figure.axes[0].get_xticklabels()]
    assert ticks == ["10", "20", "all"]
    assert len(plot.figure.axes[1].lines) == 3
    assert "uniform 10: GAP 0.4200, 1.0 s" in plot.alt


def test_the_sentence_names_the_best_and_the_worst_choice_of_the_fewest_frames():
    said = plots.say_frames(study())
    assert "0.4200 where they are chosen uniform, and 0.4000 where they are chosen first" in said
    assert "in 25% of the time" in said


def test_videos_that_are_shorter_than_the_fewest_frames():
    same = study().assign(gap=0.5)
    assert "0.5000, however they are chosen" in plots.say_frames(same)


def test_no_frames_to_choose(shown):
    for empty in (None, pd.DataFrame()):
        assert "no frames" in shown(plots.frames(empty)).alt
        assert "no frames" in plots.say_frames(empty)


def test_fusions_with_and_without_projections(data, shown):
    frame = pd.DataFrame(
        [
            {
                "title": "concat",
                "fusion": "concat",
                "gap": 0.6,
                "gap_low": 0.5,
                "gap_high": 0.7,
                "separation": np.nan,
            },
            {
                "title": "projection",
                "fusion": "projection",
                "gap": 0.4,
                "gap_low": 0.3,
                "gap_high": 0.5,
                "training_model": 0.1,
            },
        ]
    )
    plot = shown(plots.fusions(frame, data))
    assert "projection 0.4000, projections 0.10 apart" in plot.alt
    assert "no projections" in [text.get_text() for text in plot.figure.axes[1].texts]


def test_one_modality(shown):
    assert "one modality" in shown(plots.fusions(pd.DataFrame())).alt
