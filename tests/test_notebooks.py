"""What every notebook keeps, in one pass over the files: sections, wording and metadata."""

import json
import re
from itertools import pairwise
from pathlib import Path

import dmlkit
from dmlkit.data import KINDS

NOTEBOOKS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
}
TAGS = {
    "parameters",
    "times",
    "optional",
}  # optional: a section that a report shows only with a figure or table in it
# Words of an earlier vocabulary.
BANNED = (
    "rung", "walk", "riddle", "side question", "closeness", "what came out", "what we saw", "by hand", "planted",
)  # fmt: skip


def texts(name, kind):
    cells = NOTEBOOKS[name]["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == kind}


def test_sections_and_cells():
    for name, notebook in NOTEBOOKS.items():
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z]+(-[a-z]+)*", each) for each in ids), (
            name
        )
        assert ids[:4] == ["question", "parameters", "imports", "data"], name
        assert all(set(cell["metadata"].get("tags", ())) <= TAGS for cell in notebook["cells"]), name
        question, *prose = texts(name, "markdown").values()
        assert re.match(r"# .+\n\n\*\*[^*]+\?\*\*\n", question), name
        headings = re.findall(r"^## (.+)$", "\n".join(prose), re.MULTILINE)
        assert len(set(headings)) == len(headings) and (
            {"Takeaways", "Interactive explorer"} & {*headings}
        ), name
        if name[0] == "0" and name != "00-data":
            assert headings.index("Results") < headings.index("Takeaways") and "Paper: §" in question, name
        for cell, following in pairwise(notebook["cells"]):
            if "optional" in cell["metadata"].get("tags", ()):
                assert "".join(cell["source"]).startswith("## ") and following["cell_type"] == "code", name
        assert f"# {notebook['metadata']['dmlkit']['title']}\n" in question
        assert {*notebook["metadata"]} == {"dmlkit", "kernelspec", "language_info"}, name


def test_plain_technical_english_that_opens_offline():
    for name in NOTEBOOKS:
        prose = "\n".join(texts(name, "markdown").values())
        for word in BANNED:
            assert not re.search(rf"\b{word}s?\b", prose, re.IGNORECASE), (name, word)
        assert "http" not in prose and "![" not in prose and "<img" not in prose, name
        assert prose.count("$$") % 2 == 0 and prose.replace("$$", "").count("$") % 2 == 0, name
        # Numbers to four digits are the paper's, and their paragraph says so; others belong in tables and figures.
        for paragraph in prose.split("\n\n"):
            assert not re.search(r"\b0\.\d{3,}", paragraph) or "paper" in paragraph.lower(), paragraph


def test_kinds_experiments_and_notebooks_they_name_exist():
    names = {
        each
        for name in NOTEBOOKS
        for each in re.findall(r'kind="(.+?)"', json.dumps(NOTEBOOKS[name]).replace("\\", ""))
    }
    assert names and names <= {*KINDS}
    for name, notebook in NOTEBOOKS.items():
        about = notebook["metadata"]["dmlkit"]
        assert {*about} == {"title", "needs", "after", "trains"} and {*about["after"]} <= {*NOTEBOOKS}, name
        for entry in about["trains"]:
            assert {*entry.get("experiments", ())} <= {*dmlkit.EXPERIMENTS}, name
        trains = any(
            f"study.train{rest}(" in text
            for text in texts(name, "code").values()
            for rest in ("", "_chapter")
        )
        assert trains == bool(about["trains"]), name
        for link in re.findall(
            r"`(\d\d-[a-z-]+|explore-[a-z]+)(?:\.ipynb)?`", "\n".join(texts(name, "markdown").values())
        ):
            assert link in NOTEBOOKS, (name, link)
    assert {each.chapter for each in dmlkit.LADDER.values()} <= {name[3:] for name in NOTEBOOKS}
