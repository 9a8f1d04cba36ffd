from itertools import pairwise

from dmlkit import plots


def test_a_point_a_rung_in_both_panels_and_every_name_once(rows, data, shown):
    plot = shown(plots.cost(rows, data))
    names = [text.get_text() for text in plot.figure.axes[1].texts]
    assert sorted(names) == sorted(row["title"] for row in rows[:9])
    heights = sorted(text.xyann[1] for text in plot.figure.axes[1].texts)
    assert min(b - a for a, b in pairwise(heights)) > 0.05


def test_one_rung_and_none(rows, shown):
    shown(plots.cost(rows[:1]))
    assert "no rung has been trained" in shown(plots.cost(rows[-2:])).alt
    assert "no rung has been trained" in shown(plots.cost([])).alt
