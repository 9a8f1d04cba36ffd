import pandas as pd

from dmlkit import plots


def bars(plot):
    return plot.figure.axes[0].patches


def texts(plot):
    return [text.get_text() for text in plot.figure.axes[0].texts]


def test_a_bar_a_rung_and_a_sentence_where_there_is_none(rows, data, shown):
    plot = shown(plots.ladder(rows, data))
    assert [bar.get_width() for bar in bars(plot)] == [row["gap"] for row in rows[:9]]
    assert any(text.startswith("not applicable: it reads frames") for text in texts(plot))
    assert "generated data" in plot.alt and "not applicable: it reads frames" in plot.alt
    assert f"{rows[0]['gap']:.4f}" in plot.alt


def test_the_papers_figures_are_no_bars(make_row, make_run):
    plot = plots.ladder([make_row(make_run("lr"), paper_gap=0.99999)])
    assert len(bars(plot)) == 1
    assert "0.99999" not in plot.alt


def test_a_table_of_the_walk_is_taken_as_it_is(rows, data, shown):
    plot = shown(plots.ladder(pd.DataFrame(rows).set_index("title"), data))
    assert len(bars(plot)) == 9


def test_the_order_is_that_of_the_rows(rows):
    plot = plots.ladder(rows)
    labels = [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]
    assert labels == [row["title"] for row in rows]
    assert plot.figure.axes[0].yaxis_inverted()


def test_no_rungs_and_no_runs(rows, shown):
    assert "no rungs" in shown(plots.ladder([])).alt
    assert not bars(shown(plots.ladder(rows[-2:])))


def test_members_stand_beside_their_ensemble(nine_runs, shown):
    ensemble = nine_runs["ensemble-lr-lstm"]
    plot = shown(plots.ensemble_members(ensemble, nine_runs))
    assert [bar.get_width() for bar in bars(plot)] == [
        nine_runs["lr"].gap,
        nine_runs["lstm"].gap,
        ensemble.gap,
    ]
    assert "weight 0.500" in plot.alt


def test_members_of_one_name_have_each_their_own_weight(nine_runs, shown):
    lr, ensemble = nine_runs["lr"], nine_runs["ensemble-lr-lstm"]
    members = [{"name": "lr", "path": "a", "weight": 0.7}, {"name": "lr", "path": "b", "weight": 0.3}]
    seeds = type(ensemble)(ensemble.path, ensemble.record | {"members": members})
    plot = shown(plots.ensemble_members(seeds, [lr, lr]))
    assert len(bars(plot)) == 3 and "weight 0.700" in plot.alt and "weight 0.300" in plot.alt


def test_no_ensemble(nine_runs, shown):
    assert "no ensemble" in shown(plots.ensemble_members(None, nine_runs)).alt
