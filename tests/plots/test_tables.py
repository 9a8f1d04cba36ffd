"""Tables: numbers a reader can use, reasons where there are none, text that cannot break a page."""

import numpy as np
import pandas as pd

import dmlkit
from dmlkit import plots
from dmlkit.plots.style import PAPER_GAP


def test_metrics_intervals_and_cost(rows, data):
    table, first = plots.table(rows, data, title="The ladder"), rows[0]
    interval = f"{first['gap_low']:.3f} to {first['gap_high']:.3f}"
    expected = [f"{first['gap']:.4f}", interval, "0.5000", "0.6000", "0.7000", "1,234,567", "61.2", "0.70727"]
    assert table.data.loc["lr"].tolist() == expected and table.data.columns[-1] == PAPER_GAP
    assert "rnn: not applicable: it reads frames." in table.heading and "sota: not trained." in table.heading
    few = plots.table([rows[0] | {"videos": 50}]).heading
    assert (
        "95 % CI over videos, for this seed." in few
        and "test (50 < 100)." in few
        and "few" not in table.heading
    )
    assert "nan" not in table.to_html() and "None" not in table.to_html()


def test_all_results_are_ranked_and_say_where_videos_differ(rows, make):
    trick = make.row(
        make.run("attention-mixup", title="Bi-GRU, attention, mixup", quality=0.9, trick="mixup"), part="trick",
        videos=77, seconds_an_epoch=2.0,
    )  # fmt: skip
    table = plots.all_results(pd.DataFrame([*rows, trick]).set_index("title"))
    assert table.data["GAP@20"].is_monotonic_decreasing
    assert table.data.loc["mixup (Bi-GRU, attention)"][["group", "seconds per epoch", "videos"]].tolist() == [
        "trick", "2.0", "77"
    ]  # fmt: skip
    assert "Not trained: rnn; sota." in table.heading and "validation videos differ" in table.heading


def test_any_table_with_its_digits_and_dashes():
    frame = pd.DataFrame({"a": [0.123456, np.nan], "b": [1234, 5], "c": ["x", "nan"]}, index=["one", "two"])
    table = plots.numbers(frame, title="Numbers", digits=2)
    assert table.data.to_numpy().tolist() == [["0.12", "1,234", "x"], ["–", "5", "nan"]]
    assert repr(table) == "Numbers\n| a | b | c\none | 0.12 | 1,234 | x\ntwo | – | 5 | nan"


def test_text_is_escaped_cut_and_stable(make):
    row = make.row(make.run("lr"), title="<script>x</script>", status="missing", reason="<img src=x>")
    page = plots.table([row, row], title="<b>&").to_html()
    assert not any(tag in page for tag in ("<script>", "<img", "<b>")) and "(2)" in page
    other = plots.numbers(pd.DataFrame({"<i>": ["<u>" * 40]}, index=["<s>"]), title="t").to_html()
    assert not any(tag in other for tag in ("<i>", "<u>", "<s>")) and "…" in other
    assert page == plots.table([row, row], title="<b>&").to_html()


def test_the_data_summary_says_what_is_generated_and_what_is_used(data, make):
    profile = dmlkit.PROFILES["demo"]
    table = plots.data_summary(data, profile)
    assert "GENERATED DATA" in table.heading and "Every fifth shard validates." in table.heading
    used = "30,000 (20,000, of a sample of shards, used by profile demo)"
    assert table.data.loc["videos, train"].item() == used
    assert table.data.loc["modality rgb"].item() == "6 values per frame" and "test" not in repr(table)
    assert "GENERATED" not in repr(plots.data_summary(make.data(generated=False, level="video")))
