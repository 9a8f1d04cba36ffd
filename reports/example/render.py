"""Make the picture of the README, its numbers, and the example page out of the demo report (`make example`).

Nothing is trained: run `make report` first.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import dmlkit
from dmlkit import paths, plots

ROOT = Path(__file__).resolve().parents[2]
REPORT = paths.reports() / "demo"

results = json.loads((REPORT / "results.json").read_text(encoding="utf-8"))
rows = [row for row in results["ladder"] if row["status"] == "trained"]
picture = plots.ladder(rows, dmlkit.open_dataset(paths.generated_data()), title="The ladder")
picture.save(ROOT / "docs" / "images" / "ladder.svg")
picture.narrow.save(ROOT / "docs" / "images" / "ladder-narrow.svg")
table = {
    "data": results["data"]["name"],
    "fingerprint": results["data"]["fingerprint"],
    "profile": results["profile"],
    "seed": results["seed"],
    "versions": results["versions"],
    "videos": rows[0]["videos"],
    "rows": [{name: row[name] for name in ("name", "title", "gap", "gap_low", "gap_high")} for row in rows],
    "steps": [
        {name: step[name] for name in ("experiment", "against", "difference", "low", "high")}
        for step in results["steps"]
    ],
}
(ROOT / "docs" / "images" / "ladder.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
page = (REPORT / "05-attention.html").read_text(encoding="utf-8")
(ROOT / "reports" / "example" / "05-attention.html").write_text(
    re.sub(r"<nav.*?</nav>\n?", "", page, flags=re.DOTALL), encoding="utf-8"
)
