"""The notebooks as a reader meets them: clean files, plain prose, typed parameters, executed by papermill."""

import ast
import re
import statistics
from itertools import pairwise
from pathlib import Path

import nbformat
import papermill
import pytest

import dmlkit
from dmlkit import plots
from dmlkit.data import KINDS
from dmlkit.report.pages import equations

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
NOTEBOOKS = {name: nbformat.read(path, as_version=4) for name, path in PATHS.items()}
CORE = {
    "data": ("str | None", "None"),
    "profile": ("str", "'demo'"),
    "runs": ("str | None", "None"),
    "seed": ("int", "0"),
    "seeds": ("int", "1"),
    "deterministic": ("bool", "False"),
}
SWITCHES = {"ablations", "fusion_ablations", "fewer_frames"}  # off: quicker
# Of a section tagged `optional`, a report shows what has a figure or table in it.
TAGS = {"parameters", "times", "optional"}
# Words of an earlier vocabulary.
BANNED = (
    "rung", "walk", "riddle", "side question", "closeness", "what came out", "what we saw", "by hand", "planted",
)  # fmt: skip


def tags(cell) -> set[str]:
    return {*cell.metadata.get("tags", ())}


def sources(name, kind="code") -> list[str]:
    return [cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == kind]


def test_ten_chapters_and_two_explorers():
    assert list(NOTEBOOKS) == [
        "00-data", "01-baselines", "02-bi-lstm", "03-bi-gru", "04-fusion", "05-attention", "06-ensemble",
        "07-results", "08-beyond", "09-segments", "explore-attention", "explore-results",
    ]  # fmt: skip


def test_files_hold_no_outputs_and_no_definitions_and_short_cells():
    for name, notebook in NOTEBOOKS.items():
        nbformat.validate(notebook)
        ids = [cell.id for cell in notebook.cells]
        assert len(set(ids)) == len(ids) and ids[:3] == ["question", "parameters", "data"], name
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), name
        assert all(tags(cell) <= TAGS for cell in notebook.cells), name
        lines = [len(source.splitlines()) for source in sources(name)]
        assert statistics.median(lines) <= 5 and max(lines) <= 15, name
        for node in (node for source in sources(name) for node in ast.walk(ast.parse(source))):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try), name


def test_sections():
    for name, notebook in NOTEBOOKS.items():
        question, *prose = sources(name, "markdown")
        title = re.escape(notebook.metadata.dmlkit.title)
        assert re.match(rf"# {title}\n\n\*\*[^*]+\?\*\*\n", question), name
        headings = re.findall(r"^## (.+)$", "\n".join(prose), re.MULTILINE)
        assert {"Takeaways", "Interactive explorer"} & {*headings}, name
        if name[0] == "0" and name != "00-data":
            assert headings.index("Results") < headings.index("Takeaways") and "Paper: §" in question, name
        for cell, following in pairwise(notebook.cells):
            if "optional" in tags(cell):
                assert cell.source.startswith("## ") and following.cell_type == "code", name


def test_plain_technical_english_that_opens_offline():
    for name in NOTEBOOKS:
        prose = "\n".join(sources(name, "markdown"))
        for word in BANNED:
            assert not re.search(rf"\b{word}s?\b", prose, re.IGNORECASE), (name, word)
        assert "http" not in prose and "![" not in prose and "<img" not in prose, name
        assert prose.count("$$") % 2 == 0 and prose.replace("$$", "").count("$") % 2 == 0, name
        # Not converted, or a command that the library does not know.
        assert not re.search(r"\$|<mi>\\", equations(re.sub("`.*?`", "", prose))), name
        # Numbers to four digits are the paper's, and their paragraph says so; others belong in tables and figures.
        for paragraph in prose.split("\n\n"):
            assert not re.search(r"\b0\.\d{3,}", paragraph) or "paper" in paragraph.lower(), paragraph
        links = re.findall(r"`(\d\d-[a-z-]+|explore-[a-z]+)(?:\.ipynb)?`", prose)
        assert {*links} <= {*NOTEBOOKS}, name


def test_names_used_are_public_and_metadata_match_the_code():
    for name, notebook in NOTEBOOKS.items():
        source = "\n".join(sources(name))
        assert set(re.findall(r"\bdmlkit\.(\w+)", source)) <= {*dir(dmlkit), "training"}, name
        assert set(re.findall(r"\bplots\.(\w+)", source)) <= {*vars(plots)}, name
        assert set(re.findall(r'kind="(.+?)"', source)) <= {*KINDS}, name
        about = notebook.metadata.dmlkit
        assert {*about} == {"title", "needs", "after", "trains"} and {*about.after} <= {*NOTEBOOKS}, name
        for entry in about.trains:
            assert {*entry.get("experiments", ())} <= {*dmlkit.EXPERIMENTS}, name
        trains = re.search(r"study\.train(_chapter)?\(", source)
        assert bool(trains) == bool(about.trains), name
    assert {each.chapter for each in dmlkit.LADDER.values()} <= {name[3:] for name in NOTEBOOKS}


def parameters_of(name) -> dict[str, tuple[str, str]]:
    """Parameter → type and default, as written in the parameters cell; every line is commented."""
    (cell,) = (cell for cell in NOTEBOOKS[name].cells if "parameters" in tags(cell))
    assert all(len(line.partition("  # ")[2]) > 8 for line in cell.source.splitlines()), name
    nodes = ast.parse(cell.source).body
    return {node.target.id: (ast.unparse(node.annotation), ast.unparse(node.value)) for node in nodes}


def test_parameters_are_typed_and_commented_and_the_same_in_all():
    lines = {}
    for name, notebook in NOTEBOOKS.items():
        parameters = parameters_of(name)
        for line in notebook.cells[1].source.splitlines():
            assert lines.setdefault(line.partition(":")[0], line) == line, name
        assert 6 <= len(parameters) <= 12, name
        assert {key: parameters[key] for key in CORE} == CORE, name


def execute(name, folder, **parameters):
    """Run a notebook under the profile smoke; gives the executed one."""
    parameters |= dict.fromkeys(SWITCHES & parameters_of(name).keys(), False)
    return papermill.execute_notebook(
        PATHS[name], folder / f"{name}.ipynb", {"profile": "smoke", **parameters}, cwd=folder,
        progress_bar=False, log_output=False,
    )  # fmt: skip


def pictures(notebook) -> list[dict]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output for output in outputs if "image/png" in output.get("data", {})]


def test_the_data_notebook_says_that_data_are_generated_and_trains_nothing(generated, tmp_path):
    executed = execute("00-data", tmp_path, data=str(generated), runs=str(tmp_path / "runs"))
    assert "generated data" in str(executed).lower()
    assert len(pictures(executed)) == 2
    assert all(len(each["metadata"]["image/png"]["alt"]) > 20 for each in pictures(executed))
    assert not (tmp_path / "runs").exists()


def test_a_chapter_trains_its_experiments_and_reads_them_the_second_time(generated, tmp_path):
    values = {"data": str(generated), "runs": str(tmp_path / "runs")}
    assert pictures(execute("01-baselines", tmp_path, **values))
    before = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert {name.rsplit("-", 1)[0] for name in before if name[0] != "."} == {"lr", "lstm"}
    executed = execute("01-baselines", tmp_path, **values)
    assert "already trained" in str(executed)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == before


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_notebooks_run_in_order_at_smoke_size(tmp_path):
    generated = tmp_path / "data"
    dmlkit.synthesize(generated, train=300, validate=60, test=20, segments=True)
    for name in NOTEBOOKS:
        executed = execute(name, tmp_path, data=str(generated), runs=str(tmp_path / "runs"))
        assert pictures(executed) or name == "08-beyond", name


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("level", ["frame", "video"])
def test_all_beyond_the_ladder_is_trained_on_request(generated, tmp_path, level):
    data = str(generated / "video" if level == "video" else generated)
    executed = execute("08-beyond", tmp_path, data=data, runs=str(tmp_path / "runs"), beyond=True)
    assert pictures(executed)
    assert dmlkit.load_runs(tmp_path / "runs")["name"].nunique() >= 10
