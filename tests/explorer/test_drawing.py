import re
from html.parser import HTMLParser

import pytest

from dmlkit.explorer.drawing import LINES, Scale, curves, element, escape, page

EVIL = '<script>alert("x")</script>&'


class Balance(HTMLParser):
    """Which elements are open; every one must be closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(html: str) -> Balance:
    balance = Balance()
    balance.feed(html)
    assert balance.open == []
    return balance


def test_attributes_and_text_are_escaped():
    drawn = element("p", {"title": EVIL}, escape(EVIL))
    assert parsed(drawn).seen == ["p"]
    assert "<script" not in drawn
    assert drawn.count("&lt;script&gt;") == 2


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (1, 12, [5, 10]),
        (0, 40, [0, 10, 20, 30, 40]),
        (0.11, 0.13, [0.11, 0.115, 0.12, 0.125, 0.13]),
    ],
)
def test_ticks_are_round_and_few(low, high, ticks):
    assert Scale(low, high).ticks() == pytest.approx(ticks)


def test_a_scale_of_one_value_has_its_middle():
    assert Scale(3, 3)(3) == 0.5
    assert Scale(3, 3).ticks() == [3]


def test_curves_are_told_apart_without_colour():
    assert len({dashes for _, dashes, _ in LINES}) == len({marker for _, _, marker in LINES}) == len(LINES)


def test_every_point_is_drawn_and_every_line_named():
    drawn = page(
        curves({"one": ([1, 2, 3], [0.1, 0.3, 0.2]), EVIL: ([1, 2], [0.2, 0.5])}, caption="GAP", unit="epoch")
    )
    parsed(drawn)
    assert "<script" not in drawn
    lines = re.findall(r'<polyline points="([^"]*)"', drawn)
    assert [len(line.split()) for line in lines] == [3, 2]
    assert drawn.count("<path") == 5 + 2  # a marker a point, and one a line in the legend
    assert "one from 0.1 to 0.2" in drawn


def test_points_that_are_no_numbers_are_left_out():
    drawn = curves({"one": ([1, 2, 3], [0.1, float("nan"), 0.2])}, caption="GAP", unit="epoch")
    assert "nan" not in drawn
    assert drawn.count("<polyline") == 1


def test_nothing_to_draw_is_said():
    assert "nothing to draw" in curves({}, caption="GAP", unit="epoch")
