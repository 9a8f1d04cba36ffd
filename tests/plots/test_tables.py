import numpy as np
import pandas as pd

from dmlkit import plots
from dmlkit.plots.tables import PAPER


def test_numbers_can_be_read(rows, data):
    page = plots.table(rows, data, title="The ladder").to_html()
    first = rows[0]
    assert f"{first['gap']:.4f}" in page
    assert f"{first['gap_low']:.3f} to {first['gap_high']:.3f}" in page
    assert "1,234,567" in page and "61.2 s" in page and "0.70727" in page
    assert "generated data" in page


def test_the_papers_column_says_whose_it_is(rows):
    assert PAPER == "paper's GAP@20 (its own data)"
    assert "paper&#x27;s" in (page := plots.table(rows).to_html()) or "paper&#39;s" in page
    assert "its own data" in page


def test_why_there_is_no_number(rows):
    page = plots.table(rows).to_html()
    assert "not applicable: it reads frames" in page
    assert "missing: not built" in page
    assert "nan" not in page and "None" not in page


def test_what_is_not_trained_is_told_above_the_table_and_nothing_where_all_is(rows):
    caption = plots.table(rows).to_html().split("<caption>")[1].split("</caption>")[0]
    assert "not applicable" in caption and caption.count("<span>") == 2
    everything = [row for row in rows if row["status"] == "trained"]
    assert "<span>" not in plots.table(everything).to_html()


def test_text_is_escaped(make_run, make_row):
    row = make_row(make_run("lr"), title="<script>x</script>", status="missing", reason="<img src=x>")
    page = plots.table([row], title="<b>&").to_html()
    assert "<script>" not in page and "<img" not in page and "<b>" not in page
    other = plots.numbers(pd.DataFrame({"<i>": ["<u>"]}, index=["<s>"]), title="t").to_html()
    assert not any(tag in other for tag in ("<i>", "<u>", "<s>"))


def test_the_same_rows_make_the_same_page(rows):
    assert plots.table(rows).to_html() == plots.table(rows).to_html()


def test_no_rows_and_titles_that_come_twice(make_run, make_row):
    assert "The ladder" in plots.table([]).to_html()
    row = make_row(make_run("lr"))
    assert "lr (2)" in plots.table([row, row]).to_html()


def test_numbers_of_any_table():
    frame = pd.DataFrame({"a": [0.123456, np.nan], "b": [1234, 5], "c": ["x", "y"]}, index=["one", "two"])
    page = plots.numbers(frame, title="Numbers", digits=2).to_html()
    assert "0.12" in page and "1,234" in page and "–" in page
    empty = plots.numbers(pd.DataFrame(columns=["from", "to"]), title="Empty").to_html()
    assert "Empty" in empty and "nothing to show" in empty and "nothing to show" not in page
    assert "Empty" in plots.numbers(pd.DataFrame(), title="Empty").to_html()
