"""The notebooks as a reader meets them: clean files, typed parameters, executed by papermill; and the figures."""

import ast
import re
import statistics
from pathlib import Path

import nbformat
import papermill
import pytest

import dmlkit
from dmlkit import plots

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = {path.stem: path for path in sorted(FOLDER.glob("*.ipynb"))}
CORE = {
    "data": ("str | None", "None"),
    "profile": ("str", "'demo'"),
    "runs": ("str | None", "None"),
    "seed": ("int", "0"),
    "deterministic": ("bool", "False"),
}
SWITCHES = {"ablations", "fusion_ablations", "fewer_frames"}  # off: quicker


def code(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_nine_chapters_and_two_explorers():
    assert list(NOTEBOOKS) == [
        "00-data", "01-baselines", "02-bi-lstm", "03-bi-gru", "04-fusion", "05-attention", "06-ensemble",
        "07-results", "08-beyond", "explore-attention", "explore-results",
    ]  # fmt: skip


def test_files_hold_no_outputs_and_no_definitions_and_short_cells():
    for name, path in NOTEBOOKS.items():
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3", name
        assert notebook.cells[0].source.startswith("# ") and "?" in notebook.cells[0].source, name
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells), name
        lines = [len(source.splitlines()) for source in code(notebook)]
        assert statistics.median(lines) <= 5 and max(lines) <= 15, name
        for node in (node for source in code(notebook) for node in ast.walk(ast.parse(source))):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try), name


def test_names_used_are_public():
    for name, path in NOTEBOOKS.items():
        source = "\n".join(code(nbformat.read(path, as_version=4)))
        assert set(re.findall(r"\bdmlkit\.(\w+)", source)) <= {*dir(dmlkit), "training"}, name
        assert set(re.findall(r"\bplots\.(\w+)", source)) <= {*plots.__all__}, name


def parameters_of(name) -> dict[str, tuple[str, str]]:
    """Parameter → type and default, as written in the parameters cell; every line is commented."""
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    (cell,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    assert all(len(line.partition("  # ")[2]) > 8 for line in cell.source.splitlines()), name
    nodes = ast.parse(cell.source).body
    return {node.target.id: (ast.unparse(node.annotation), ast.unparse(node.value)) for node in nodes}


def test_parameters_are_typed_and_commented_and_the_same_in_all():
    for name, path in NOTEBOOKS.items():
        parameters = parameters_of(name)
        assert 5 <= len(parameters) <= 12, name
        assert {key: parameters[key] for key in CORE} == CORE, name
        assert {"profile", "seed"} <= papermill.inspect_notebook(path).keys(), name


def execute(name, folder, **parameters):
    """Run a notebook under the profile smoke; gives the executed one."""
    parameters |= dict.fromkeys(SWITCHES & parameters_of(name).keys(), False)
    return papermill.execute_notebook(
        NOTEBOOKS[name], folder / f"{name}.ipynb", {"profile": "smoke", **parameters}, cwd=folder,
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
def test_all_notebooks_run_in_order_at_smoke_size(generated, tmp_path):
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


def test_figures_of_runs_and_data(generated, trained):
    dataset = dmlkit.open_dataset(generated)
    batch = next(iter(dataset.batches("validate", batch_size=16)))
    weights = {"attention": dmlkit.attention_weights(trained["attention"].model, batch)}
    for plot in (
        plots.learning_curves(trained),
        plots.by_kind(trained, dataset),
        plots.video(batch, dataset, split="validate"),
        plots.data_survey(plots.survey(dataset), dataset),
        plots.attention(weights, batch, dataset),
    ):
        assert plot.png().startswith(b"\x89PNG") and "generated data" in plot.alt
        assert any(axes.get_xlabel() for axes in plot.figure.axes)
