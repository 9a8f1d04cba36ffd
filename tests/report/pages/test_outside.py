import pytest

from dmlkit.report import outside_references


@pytest.mark.parametrize(
    ("html", "optimized"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', ["//cdn.example/x.css"]),
        ('<img src="plot.png">', ["plot.png"]),
        ('<iframe src="http://example.org/"></iframe>', ["http://example.org/"]),
        ("<style>@import 'https://a.example/x.css'; p { background: url(https://a.example/x.png) }</style>",
         ["https://a.example/x.css", "https://a.example/x.png"]),
        ('<p style="background: url(\'https://a.example/x.png\')">x</p>', ["https://a.example/x.png"]),
        ("<script>fetch('https://a.example')</script>", ["fetch('https://a.example')"]),
        ("<svg><use href='https://a.example/x.svg#a'/></svg>", ["https://a.example/x.svg#a"]),
    ],
)  # fmt: skip
def test_what_a_page_fetches_is_found(html, found):
    assert outside_references(html) == found


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org">a paper</a>',
        '<img src="data:image/png;base64,AAAA">',
        "<svg><use href='#mark'/></svg>",
        "<pre>https://example.org/x.js</pre>",
        "<style>p { background: url(data:image/png;base64,AA) }</style>",
    ],
)
def test_what_is_held_within_or_waits_to_be_clicked_is_not(html):
    assert outside_references(html) == []
