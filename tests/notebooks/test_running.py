"""Every notebook runs from top to bottom wherever one stands, by the same code as the command, and looks at no run
but those it says."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from dmlkit import paths
from dmlkit.experiments import EXPERIMENTS, GROUPS, LADDER, Experiment, beyond_for
from dmlkit.report.kernels.execution import execute
from dmlkit.report.planning.notebooks import notebooks_folder, read_notebook
from dmlkit.training import Study, best_ensemble_members

NOTEBOOKS = {path.stem: read_notebook(path) for path in sorted(notebooks_folder().glob("*.ipynb"))}
# What stands beside the ladder takes time, and has tests of its own.
LEAN = {"beside": False, "riddle": False, "frames": False}


@pytest.fixture(scope="module")
def home(generated, tmp_path_factory):
    """A home with nothing but a small data set in the generated one's place."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "data").mkdir()
    (folder / "data" / "generated").symlink_to(generated)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(paths.SETTING, str(folder))
        yield folder


def run(name, folder, **more):
    """Execute a notebook in a folder that is neither the repository nor the notebooks'; gives what went wrong."""
    notebook = NOTEBOOKS[name]
    values = {each.name: LEAN[each.name] for each in notebook.parameters if each.name in LEAN}
    folder.mkdir(parents=True)
    failure = execute(
        notebook.path,
        folder / f"{name}.ipynb",
        {"profile": "smoke"} | values | more,
        looked_at=folder / "looked-at",
    )
    return failure and f"{name}, cell {failure.cell}: {failure.message}"


def looked_at(folder):
    """The names of the rungs whose runs a notebook looked at."""
    file = folder / "looked-at"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {line.rsplit("/", 1)[1].rsplit("-", 1)[0] for line in lines}


def all_before(name):
    """A notebook and all that it waits for, and all that those wait for."""
    return {name}.union(*(all_before(other) for other in NOTEBOOKS[name].after))


def declared(rung, name):
    """Whether a notebook says, by what it trains or waits for, that it looks at a rung."""
    before = all_before(name)
    chapter = EXPERIMENTS[rung].chapter if rung in EXPERIMENTS else "ensemble"
    named = {each for entry in NOTEBOOKS[name].trains for each in entry.get("rungs", ())}
    return any(other[3:] == chapter for other in before) or rung in named or "07-results" in before


def printed(path):
    """The lines that an executed notebook printed."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    texts = [output.get("text", "") for cell in cells for output in cell.outputs]
    return [line for text in texts for line in text.splitlines()]


def test_the_first_chapter_runs_where_nothing_is_named_and_writes_nothing_beside(home, tmp_path):
    assert run("00-data", tmp_path / "elsewhere") is None
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} <= {"00-data.ipynb", "looked-at"}
    executed = nbformat.read(tmp_path / "elsewhere" / "00-data.ipynb", as_version=4)
    assert "GENERATED DATA" in str(executed)
    assert not (home / "reports").exists(), "it trains nothing"


def test_what_is_beyond_is_only_looked_for_unless_it_is_asked_for(home, tmp_path):
    assert run("08-beyond", tmp_path / "elsewhere") is None
    assert {"netvlad", "attention-mixup", "lr"} < looked_at(tmp_path / "elsewhere")
    assert "with --beyond trains those that do" in (tmp_path / "elsewhere" / "08-beyond.ipynb").read_text()
    assert not (home / "reports").exists(), "it trains nothing"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("level", ["frame", "video"])
def test_all_that_is_beyond_is_trained_once_and_shown(generated, tmp_path, level):
    data = str(generated / "video" if level == "video" else generated)
    runs = str(tmp_path / "runs")
    assert run("08-beyond", tmp_path / "first", beyond=True, data=data, runs=runs) is None
    study = Study(data, profile="smoke", runs=runs)
    groups = [group for group in GROUPS if group != "recipes"]
    served = {
        name for name, rung in beyond_for(level, *groups).items() if study.not_applicable_reason(rung) is None
    }
    rows = {row["name"]: row for row in study.results(beyond_for(level))}
    assert {name for name, row in rows.items() if row["status"] == "trained"} == served
    assert all(rows[name]["videos_per_second"] > 0 for name in served)
    assert study.find(best_ensemble_members(study)).record["by"] == "optimized"
    before = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert run("08-beyond", tmp_path / "again", data=data, runs=runs) is None
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == before
    executed = (tmp_path / "again" / "08-beyond.ipynb").read_text()
    assert "None of these rungs is here," in executed  # the recipe
    assert "against" in executed and "Mixture of experts, gated" in executed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_run_side_by_side_from_any_folder_and_look_at_no_run_but_those_they_say(home, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        failures = list(pool.map(lambda name: run(name, tmp_path / name), NOTEBOOKS))
    assert [failure for failure in failures if failure] == []
    for name in NOTEBOOKS:
        undeclared = {rung for rung in looked_at(tmp_path / name) if not declared(rung, name)}
        assert undeclared == set(), name
    assert {path.name for path in (home / "reports").iterdir()} == {"smoke"}
    trained = Counter(line for name in NOTEBOOKS for line in printed(tmp_path / name / f"{name}.ipynb"))
    rungs = [rung for rung in LADDER.values() if isinstance(rung, Experiment) and rung.chapter != "beyond"]
    assert {trained[f"{rung.title}:"] for rung in rungs} == {1}
    assert {path.name for path in tmp_path.iterdir()} == set(NOTEBOOKS)
