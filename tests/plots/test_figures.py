"""Every figure from small tables: what it draws, its labels and alternative text; None where there is nothing."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from dmlkit import plots
from dmlkit.plots.ladder import pareto_front
from dmlkit.plots.style import COLORS, DARK, GREY, GRID, INK, PAPER, STYLE


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_functions_return_none_where_there_is_nothing_to_show(data):
    nothing = pd.DataFrame()
    assert plots.ladder([]) is plots.table([]) is plots.all_results([]) is plots.cost([]) is None
    assert plots.learning_curves({}) is plots.learning_curves(None) is None
    assert plots.differences(plots.paired_differences({})) is plots.by_kind({"a": None}, data) is None
    assert plots.fusions(nothing) is plots.frame_counts(None) is plots.ensemble_members(None, {}) is None
    assert plots.attention({}, {}, data) is plots.faithfulness(None) is plots.video({"id": []}, data) is None


def test_ladder_draws_values_intervals_and_reasons(rows, data, shown):
    plot = shown(plots.ladder(rows, data, title="GAP"))
    (axes,) = plot.figure.axes
    assert labels(axes) == [row["title"] for row in rows]
    assert [bar.get_width() for bar in axes.patches] == [row["gap"] for row in rows if row["gap"]]
    assert [bar.get_hatch() for bar in axes.patches] == [None] * 8 + ["//"]
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == f"{rows[0]['gap']:.4f}" and "not applicable: it reads frames" in texts
    assert plot.alt.startswith(f"GAP · generated data. lr: GAP@20 {rows[0]['gap']:.4f}, CI low ")


def curves(axes, style):
    lines = [line for line in axes.lines if line.get_linestyle() == style]
    return {line.get_label(): tuple(line.get_ydata()) for line in lines}


def test_learning_curves_mark_the_kept_epoch(runs, shown):
    plot = shown(plots.learning_curves(runs))
    loss, gap = plot.figure.axes
    names = [name for name in runs if name != "ensemble-lr-lstm"]  # which has no epochs
    assert curves(loss, "-") == dict.fromkeys(names, (3.0, 2.0, 1.5))
    assert curves(loss, "--") == dict.fromkeys(names, (2.5, 2.1, 2.2))
    assert curves(gap, "-") == dict.fromkeys(names, (0.2, 0.4, 0.3))
    rings = [line for ax in (loss, gap) for line in ax.lines if line.get_linestyle() == "None"]
    rings = [line.get_xydata().tolist() for line in rings]
    assert rings == [[[2, 2.0]], [[2, 2.1]]] * 8 + [[[2, 0.4]]] * 8
    assert "nats" in loss.get_ylabel() and "tuning" in gap.get_ylabel()
    assert "last training loss 1.5000, last tuning loss 2.2000, highest GAP@20 0.4000" in plot.alt
    # An experiment looks the same in every figure.
    colors = {line.get_label(): line.get_color() for line in gap.lines}
    for line in shown(plots.learning_curves([runs["lstm"], runs["lr"]])).figure.axes[1].lines[::2]:
        assert line.get_color() == colors[line.get_label()]


def test_outliers_of_learning_curves_are_numbers_at_the_edge(runs, make, shown):
    odd, long = make.run("odd"), [make.run(f"run {seed}", seed=seed) for seed in range(11)]
    odd.__dict__["history"] = odd.history.assign(loss=[45.0, 4.0, 2.0], tuning_loss=[np.inf, np.nan, 2.0])
    loss, gap = shown(plots.learning_curves([odd, *long])).figure.axes
    low, high = loss.get_ylim()
    assert low < 1.5 and 4.0 < high < 5.0
    assert [line.get_xydata().tolist() for line in loss.lines if line.get_marker() == "^"][-2:] == [
        [[1, high]]
    ] * 2
    assert [text.get_text() for text in loss.texts] == ["45 to inf"] and not gap.texts
    # None of these stretches a panel: few values, one that is missing everywhere.
    odd.__dict__["history"] = pd.DataFrame({"epoch": [1], "loss": [45.0], "tuning_gap": [0.1]})
    loss, gap = shown(plots.learning_curves(odd)).figure.axes
    assert not loss.texts and loss.get_ylim()[0] < 45 < loss.get_ylim()[1]


def test_the_pareto_front_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        costs, gaps = rng.integers(0, 6, 12).astype(float), rng.integers(0, 6, 12) / 6
        costs[rng.integers(12)] = np.nan
        front = pareto_front(pd.Series(costs), pd.Series(gaps))
        for at in np.flatnonzero(~np.isnan(costs)):
            beaten = (costs <= costs[at]) & (gaps >= gaps[at]) & ((costs < costs[at]) | (gaps > gaps[at]))
            equal = [each for each in front if (costs[each], gaps[each]) == (costs[at], gaps[at])]
            assert bool(equal) == (not beaten.any())


def test_cost_numbers_all_of_few_and_the_front_of_many(rows, data, shown):
    plot = shown(plots.cost(rows, data))
    assert "9  lr" in plot.figure.axes[1].texts[-1].get_text()
    assert [axes.get_xlabel().split()[0] for axes in plot.figure.axes] == ["seconds", "parameters"]
    seconds = [
        rows[place % 8] | {"seconds_an_epoch": place + 1.0, "gap": (place % 3 + 1) / 4, "parameters": np.nan}
        for place in range(20)
    ]
    plot = shown(plots.cost(seconds, data))
    assert [text.get_text() for text in plot.figure.axes[0].texts] == ["1", "2", "3"]  # the higher GAP first
    assert "not measured" in plot.figure.axes[1].texts[0].get_text()
    assert plots.cost(rows[-2:]) is plots.all_results(rows[-2:]) is None  # nothing trained


def test_frame_counts_and_fusions(data, shown):
    study = pd.DataFrame(
        [(count, choice, gap, gap - 0.02, gap + 0.05, 1000)
         for choice in ("first", "random") for count, gap in (("10", 0.4), ("all", 0.6))],
        columns=["frames", "choice", "gap", "gap_low", "gap_high", "videos"],
    )  # fmt: skip
    plot = shown(plots.frame_counts(study, data))
    assert [tick.get_text() for tick in plot.figure.axes[0].get_xticklabels()] == ["10", "all"]
    assert "random 10: GAP@20 0.4000, CI low 0.3800" in plot.alt
    study = pd.DataFrame(
        [("concat", "concat", 0.6, 0.5, 0.7, np.nan), ("projection", "projection", 0.4, 0.3, 0.5, 0.1)],
        columns=["title", "fusion", "gap", "gap_low", "gap_high", "relative_distance"],
    )
    plot = shown(plots.fusions(study, data))
    assert [text.get_text() for text in plot.figure.axes[1].texts] == ["no projections", "0.10"]


def test_ensemble_figures(runs, data, shown):
    plot = shown(plots.ensemble_members(runs["ensemble-lr-lstm"], runs))
    assert labels(plot.figure.axes[0]) == ["lr (weight 0.500)", "lstm (weight 0.500)", "ensemble-lr-lstm"]
    ends = {"from": [0.45, 0.5, 0.48], "to": [0.5, 0.56, 0.53]}
    table = pd.DataFrame({"tuning GAP@20": [0.6, 0.52, 0.51], "validation GAP@20": [0.49, 0.5, 0.53], **ends},
                         index=["best member: LR", "algorithm_2", "own"])  # fmt: skip
    plot = shown(plots.combiners(table, data))
    assert labels(plot.figure.axes[0]) == ["Best member: LR", "Algorithm 2 (the paper's)", "Own"]
    diamonds = [line for line in plot.figure.axes[1].lines if line.get_marker() == "D"]
    assert [line.get_ydata()[0] for line in diamonds] == [1]  # by the tuning split, and never the best member
    table = pd.DataFrame({"alone": [0.5, 0.6], "adds, tuning": [-0.01, 0.02], "adds, validation": [0.0, 0.03],
                          "from": [-0.01, 0.01], "to": [0.01, 0.05]}, index=["a", "b"])  # fmt: skip
    rows = labels(shown(plots.leave_one_out(table, data)).figure.axes[0])
    assert rows == ["b (alone 0.600)", "a (alone 0.500)"]
    table = pd.DataFrame([[1, 0.4], [0.4, 1]], index=["a", "b"], columns=["a", "b"])
    table.attrs["top_k"] = 4
    plot = plots.agreement(table, data)
    assert [text.get_text() for text in plot.figure.axes[0].texts] == ["–", "0.40", "0.40", "–"]
    assert "4 highest-scoring" in plot.figure.axes[1].get_ylabel() and plot.png()


def test_attention_shares_of_uniform_and_of_perfect_weights(data, batch):
    perfect = np.zeros((8, 12))
    perfect[:, 4:6] = 0.5
    shares = plots.attention_on_truth({"uniform": np.full((8, 12), 1 / 12), "perfect": perfect}, batch, data)
    assert list(shares.index) == ["steady visual", "short event"]
    assert shares.loc["short event"].tolist() == pytest.approx([2 / 12, 2 / 12, 1, 8])
    assert plots.attention_on_truth({}, batch | {"id": np.array(["x"] * 8)}, data).empty


def test_faithfulness_has_a_panel_for_the_ground_truth(study, shown):
    plot = shown(plots.faithfulness(study))
    titles = [axes.get_title(loc="left").split(":")[0] for axes in plot.figure.axes]
    assert titles == ["deletion", "insertion", "ground truth"]
    titles = [axes.get_title(loc="left") for axes in plot.narrow.figure.axes]
    assert ["score of the highest class" in title for title in titles] == [True, True, False]
    names = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert names == ["attention weight", "occlusion (removed)", "random order", "uniform weights"]
    table = plots.faithfulness_table(study)
    assert "0.300 (0.250 to 0.350)" in repr(table) and "-0.200 (-0.250 to -0.150)" in repr(table)
    assert table.data.loc["uniform weights"].tolist() == ["–"] * 4 + ["0.200 (0.150 to 0.250)"]
    unknown = type(study)(**vars(study) | {"ground_truth": pd.DataFrame()})
    assert len(shown(plots.faithfulness(unknown)).figure.axes) == 2 and plots.faithfulness_table(unknown)
    values = {"seeds": 1, "labels": 7, "precision": 0.5, "difference": 0.1}
    values |= {
        f"{name}_{end}": values[name] + off
        for name in ("precision", "difference")
        for end, off in (("low", -0.05), ("high", 0.05))
    }
    uniform = values | {"precision": 0.4}
    index = pd.MultiIndex.from_product([["<Bi-GRU>"], ["rollout", "uniform"]], names=["run", "criterion"])
    table = plots.ground_truth_table(pd.DataFrame([values, uniform], index=index))
    assert (
        "<Bi-GRU>: attention rollout | 7 | 0.500 (0.450 to 0.550) | 0.400 | +0.100 (+0.050 to +0.150)"
        in repr(table)
    )
    assert "<Bi-GRU>" not in table.to_html() and plots.ground_truth_table(pd.DataFrame()) is None


def test_a_video_and_its_ground_truth(data, batch, shown, make):
    plot = shown(plots.video(batch, data))
    truth, rgb, audio = plot.figure.axes
    assert len(truth.collections) == 2 and audio.get_xlabel() == "time (s)" and "6 values" in rgb.get_ylabel()
    assert rgb.images[0].get_array().shape == (6, 12) and "in 2 of 12 frames" in plot.alt
    assert "v2" in plots.video(batch, data, kind="steady visual", title="Video").alt or "v0" in plot.alt
    still = next(iter(make.data(level="video").batches("train", batch_size=8)))
    plot = shown(plots.video(still, make.data(level="video")))
    assert plot.figure.axes[1].get_xlabel() == "feature dimension"


def test_the_survey_counts_what_is_there(data, batch, shown):
    counted = plots.survey(data, "train")
    assert counted.videos_of_class.tolist() == batch["labels"].sum(axis=0).tolist()
    assert counted.labels_of_video.tolist() == batch["labels"].sum(axis=1).tolist()
    plot = shown(plots.data_survey(counted, data))
    assert len(plot.figure.axes) == 3
    assert "labels per video: count 8.00, mean 2.75, min 2.00, max 3.00" in plot.alt
    frequent = plots.most_frequent(counted, data, rows=3)
    assert frequent["videos"].tolist() == [8, 8, 6]
    assert frequent["share of all labels"].sum() == pytest.approx(1)


def test_data_colours_are_visible_and_inks_change_on_light_and_dark_pages():
    def contrast(*colors):
        low, high = sorted(np.dot(linear(each), (0.2126, 0.7152, 0.0722)) for each in colors)
        return (high + 0.05) / (low + 0.05)

    def linear(color):  # WCAG 2.2, relative luminance
        values = np.array(to_rgb(color))
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)

    assert set(COLORS) - set(DARK) == set(COLORS) - {INK} and len(set(COLORS)) == 8
    for color in COLORS:
        assert contrast(color, PAPER) >= 3 and contrast(color, "white") >= 3
        assert contrast(DARK.get(color, color), DARK[PAPER]) >= 3
    for ink in (INK, GREY):
        assert contrast(ink, PAPER) >= 4.5 and contrast(DARK[ink], DARK[PAPER]) >= 4.5
    used = mpl.rc_params_from_file(STYLE, use_default_template=False)
    cycle = [each["color"] for each in used["axes.prop_cycle"]]
    assert [color.upper() for color in cycle] == [color.upper() for color in COLORS]
    inks = {str(used[name]) for name in used if name.endswith("color")}
    assert inks == {INK, GREY, GRID, "none", "white"}  # white: of a PNG


def test_the_style_neither_leaks_nor_is_overridden(runs, tmp_path):
    before, plot = dict(mpl.rcParams), plots.learning_curves(runs)
    plain, svg = plot.png(), plot.svg()
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30, "figure.facecolor": "black", "savefig.dpi": 20}):
        again = plots.learning_curves(runs)
        assert (again.svg(), again.png()) == (svg, plain)
    for name, content in (("plot.png", plain), ("plot.svg", svg.encode())):
        plot.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content


def test_localization_names_each_way_and_what_it_is_compared_with():
    index = pd.MultiIndex.from_tuples([("A", "clip"), ("A", "video"), ("A, on segments", "clip")])
    values = [(0.9, 0.1, ("A", "video")), (0.8, np.nan, ("A", "video")), (0.95, 0.05, ("A", "clip"))]
    rows = [
        {"on_segments": place == 2, "against": against, "segments": 1234, "rated": 5678}
        | {f"map_at_k{end}": value + off for end, off in (("", 0), ("_low", -0.01), ("_high", 0.01))}
        | {f"difference{end}": gain + off for end, off in (("", 0), ("_low", -0.01), ("_high", 0.01))}
        for place, (value, gain, against) in enumerate(values)
    ]
    study = pd.DataFrame(rows, index=index)
    plot, table = plots.localization(study), plots.localization_table(study)
    assert "A: as a clip: map at k 0.9000" in plot.alt and "A, on segments: map at k 0.9500" in plot.alt
    assert plot.narrow.alt == plot.alt
    text = repr(table)
    assert "A: as a clip | 0.900 (0.890 to 0.910) | +0.100 (+0.090 to +0.110) | A: the video's score" in text
    assert "A: the video's score | 0.800 (0.790 to 0.810) | – | –" in text
    assert "5,678 ratings of 1,234 segments" in text
