from dmlkit import plots
from dmlkit.plots.marks import COLORS, marks


def lines(plot, axis):
    return [line for line in plot.figure.axes[axis].lines if line.get_linestyle() != "None"]


def test_a_line_a_run_and_none_for_ensembles(nine_runs, shown):
    plot = shown(plots.learning_curves(nine_runs))
    assert len(lines(plot, 0)) >= 8
    assert "ensemble" not in plot.alt
    assert list(plot.figure.axes[0].lines[0].get_ydata()) == [3.0, 2.0, 1.5]


def test_the_kept_epoch_has_a_ring(make_run, shown):
    rings = [
        line
        for line in shown(plots.learning_curves(make_run("lr"))).figure.axes[1].lines
        if line.get_markersize() > 10
    ]
    assert [tuple(ring.get_xydata()[0]) for ring in rings] == [(2.0, 0.4)]


def test_runs_differ_without_colour(nine_runs):
    looks = [(mark.marker, str(mark.line)) for mark in marks(list(nine_runs))]
    assert len(set(looks)) == len(looks)


def test_a_rung_looks_the_same_in_every_figure():
    assert marks(["lr", "attention"])[1] == marks(["attention"])[0]


def test_two_runs_of_one_name_and_many_unknown_ones_get_marks_of_their_own():
    many = marks(["lr"] * 3 + [f"own {number}" for number in range(20)])
    assert len({(mark.color, mark.marker) for mark in many}) == len(many)
    assert all(mark.color in COLORS for mark in many)


def test_nothing_to_draw(make_run, shown):
    for given in (None, {}, [], [None], make_run("e", members=("a", "b"))):
        assert "no run" in shown(plots.learning_curves(given)).alt
