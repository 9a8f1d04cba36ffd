"""Make the example that the README shows out of the demo report (`make report`, then `make example`).

The ladder's picture, and one rendered notebook without its links to the other pages. Nothing is trained.
"""

from __future__ import annotations

import re
from pathlib import Path

import dmlkit
from dmlkit import paths, plots

HERE = Path(__file__).resolve().parent
REPORT = paths.reports() / "demo"

study = dmlkit.Study(paths.generated_data(), profile="demo", runs=REPORT / "runs")
plots.ladder(study.ladder(), study.dataset).save(HERE / "ladder.svg")
page = (REPORT / "05-attention.html").read_text(encoding="utf-8")
(HERE / "05-attention.html").write_text(
    re.sub(r"<nav.*?</nav>\n?", "", page, flags=re.DOTALL), encoding="utf-8"
)
