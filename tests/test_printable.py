"""Numbers and texts as people read them."""

import pytest

from dmlkit.text import counted, one_line, readable_size, shorten, without_controls


def test_numbers_of_things():
    assert [counted(number, "video") for number in (0, 1, 2, 2000)] == [
        "0 videos",
        "1 video",
        "2 videos",
        "2,000 videos",
    ]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]


def test_sizes():
    sizes = (7, 999, 1000, 7_800_000_000, 130_000_000, 1.53e12)
    assert [readable_size(size) for size in sizes] == [
        "7 bytes",
        "999 bytes",
        "1.0 kB",
        "7.8 GB",
        "130 MB",
        "1.53 TB",
    ]


@pytest.mark.parametrize("control", ["\x1b[31m", "\n", "\r", "\x07", "\u202e", "\u200b", "\x9b", "\0"])
def test_nothing_that_steers_gets_through(control):
    text = f"a  b{control}c"
    for shown in (one_line(text), shorten(text), without_controls(text)):
        assert shown.isprintable() and shown.startswith("a") and shown.endswith("c")
    # A path may hold two blanks.
    assert without_controls(text).startswith("a  b") and one_line(text).startswith("a b")
