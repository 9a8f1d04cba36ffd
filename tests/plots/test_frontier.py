import pandas as pd

from dmlkit import plots


def rung(name, gap, training, speed, *, part="ladder"):
    return {
        "name": name, "title": name.title(), "status": "trained", "gap": gap, "training_seconds": training,
        "videos_per_second": speed, "part": part,
    }  # fmt: skip


ROWS = [
    rung("cheap", 0.5, 10, 1000),
    rung("beaten", 0.4, 20, 900, part="pooling"),
    rung("slow", 0.6, 100, 2000, part="encoder"),
    rung("equal", 0.6, 200, 100, part="ensemble"),
    rung("best", 0.7, 300, 50, part="trick"),
    {"name": "absent", "title": "Absent", "status": "not trained", "part": "recipe"},
]


def names(plot):
    """The names that are numbered, in the order of their numbers."""
    (listed,) = [text.get_text() for text in plot.figure.axes[1].texts if "\n" in text.get_text()]
    return [line.split(maxsplit=1)[1] for line in listed.splitlines()]


def line(ax):
    """The points at which the line of what nothing cheaper beats turns."""
    (found,) = [each for each in ax.lines if each.get_drawstyle().startswith("steps")]
    return list(zip(found.get_xdata(), found.get_ydata(), strict=True))


def test_what_nothing_cheaper_beats_by_hand(data, shown):
    plot = shown(plots.frontier(ROWS, data))
    training, scoring = plot.figure.axes
    assert line(training) == [(10, 0.5), (100, 0.6), (300, 0.7)]
    # A thousand videos take 0.5, 1, 10 and 20 s: who is cheapest is better than the next one too.
    assert line(scoring) == [(0.5, 0.6), (20, 0.7)]
    assert names(plot) == ["Best", "Slow", "Cheap"]
    assert "generated data" in plot.alt and "Slow 0.6000 at 100.00" in plot.alt and "Beaten" not in plot.alt


def test_every_rung_has_a_point_and_its_part_a_mark_without_colour(data):
    plot = plots.frontier(ROWS, data)
    for ax in plot.figure.axes:
        points = [each for each in ax.lines if each.get_marker() not in ("None", "", None)]
        assert len(points) == 5
    (legend,) = plot.figure.legends
    marks = [handle.get_marker() for handle in legend.legend_handles]
    assert [text.get_text() for text in legend.get_texts()] == [
        "ladder", "pooling", "encoder", "trick", "ensemble",
    ]  # fmt: skip
    assert len(set(marks)) == len(marks)


def test_runs_of_before_scoring_was_timed(rows, data, shown):
    older = [row | {"videos_per_second": None} for row in ROWS]
    plot = shown(plots.frontier(older, data))
    assert any("not measured" in text.get_text() for text in plot.figure.axes[1].texts)
    assert "Of 5 the time of scoring was not measured" in plot.alt
    # The ladder's own rows, which name no part.
    assert "ladder" in [text.get_text() for text in shown(plots.frontier(rows)).figure.legends[0].get_texts()]


def test_nothing_and_a_table_of_the_walk(shown):
    assert "no rung has been trained" in shown(plots.frontier([])).alt
    assert "no rung has been trained" in shown(plots.frontier(ROWS[-1:])).alt
    assert names(plots.frontier(pd.DataFrame(ROWS).set_index("title"))) == ["Best", "Slow", "Cheap"]


def test_the_table_of_all_is_sorted_and_says_what_is_not_trained(data):
    page = plots.everything(pd.DataFrame(ROWS).set_index("title"), data).to_html()
    places = [page.index(f">{title}<") for title in ("Best", "Slow", "Equal", "Cheap", "Beaten")]
    assert places == sorted(places)
    assert "Not trained: Absent." in page and "generated data" in page
    assert ">2,000<" in page and ">trick<" in page and "nan" not in page


def test_a_table_of_nothing_and_of_older_runs(rows):
    assert "Every rung" in plots.everything([]).to_html()
    shown = plots.everything([row | {"seconds_an_epoch": 2.5} for row in rows]).to_html()
    assert "2.5 s" in shown and ">–<" in shown


def test_who_was_scored_on_other_videos_is_named():
    usual = [row | {"videos": 1000} for row in ROWS[:4]]
    page = plots.everything([*usual, ROWS[4] | {"videos": 3500}]).to_html()
    assert "Scored on 3,500 videos, unlike the others, and not to be compared with them: Best." in page
    assert page.count("unlike the others") == 1
    assert "unlike the others" not in plots.everything([*usual, ROWS[4]]).to_html()


def test_a_trick_is_named_before_its_base():
    long = rung("attention-label-smoothing", 0.9, 5, 5, part="trick")
    long |= {"title": "Bi-GRU, attention, label smoothing", "experiment": {"trick": "label-smoothing"}}
    assert "label smoothing (Bi-GRU, attention)" in plots.everything([*ROWS, long]).to_html()
    assert names(plots.frontier([*ROWS, long]))[0] == "label smoothing (Bi-GRU, attention)"
