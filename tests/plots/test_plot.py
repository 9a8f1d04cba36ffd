import matplotlib as mpl
import numpy as np

from dmlkit import plots
from dmlkit.plots.plot import shorten

# What a class may be called in the wild, and what it must not break.
HOSTILE = (
    "$\\frac{1}{0}$",
    "<script>alert(1)</script>",
    "a" * 500,
    "line\nbreak\ttab\x00",
    "日本語 🎬",
    "",
    "%s {0}",
    "_x_",
)


def test_a_plot_is_a_picture_with_its_words(shown):
    plot = shown(plots.nothing("nothing was trained.", title="Curves"))
    assert plot.alt == "Curves: nothing was trained."
    assert repr(plot) == plot.alt


def test_a_plot_is_saved_as_it_is_shown(tmp_path):
    plot = plots.nothing("no runs.")
    plot.save(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes() == plot.png()


def test_the_style_stays_within_the_plot():
    before = dict(mpl.rcParams)
    plots.nothing("no runs.").png()
    assert dict(mpl.rcParams) == before


def test_the_notebooks_style_does_not_reach_the_plot():
    plain = plots.nothing("no runs.").png()
    with mpl.rc_context({"font.size": 30, "figure.facecolor": "black", "savefig.dpi": 20}):
        assert plots.nothing("no runs.").png() == plain


def test_hostile_class_names_are_drawn(make_data, batch, shown):
    data = make_data(names=[*HOSTILE, *HOSTILE][:10])
    everything = batch | {"labels": np.ones((8, 10), np.float32)}
    shown(plots.video(everything, data))
    shown(plots.attention(dict.fromkeys(HOSTILE, batch["rgb"][..., 0] / 255), everything, data))


def test_hostile_titles_are_drawn(make_run, make_row, make_data, shown):
    runs = [make_run("lr", title=text) for text in HOSTILE]
    shown(plots.learning_curves(runs, title=HOSTILE[0]))
    shown(plots.ladder([make_row(run) for run in runs], title=HOSTILE[1]))
    shown(plots.cost([make_row(run) for run in runs], title=HOSTILE[4]))
    shown(plots.by_kind(runs, make_data(kinds=(*HOSTILE, "a", "b")), title=HOSTILE[2]))


def test_text_is_cut_to_one_printable_line():
    assert shorten("a\nb\x00  c") == "a b c"
    assert shorten("abcdef", 4) == "abc…"
