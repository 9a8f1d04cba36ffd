"""What every notebook keeps: no outputs, no code that belongs to the library, parameters that are their own help."""

import ast
import re
import statistics
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from dmlkit.errors import UsageError
from dmlkit.experiments import LADDER, VIDEO_LADDER
from dmlkit.profiles import PROFILES
from dmlkit.report.planning.notebooks import NEEDS, notebooks_folder, read_notebook
from dmlkit.report.planning.rungs import check_trains

FOLDER = notebooks_folder()
PATHS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in PATHS]
CORE = {
    "data": "str | None",
    "profile": "str",
    "runs": "str | None",
    "seed": "int",
    "deterministic": "bool",
}
# Those that train rungs may log them; they, and the chapters whose rungs a reader has met by then.
TRAINING = ("01-baselines", "02-bi-lstm", "03-bi-gru", "04-fusion", "05-attention", "08-beyond")
SO_FAR = ("02-bi-lstm", "03-bi-gru", "05-attention", "06-ensemble")
# The results show the ladder's last row too, which is trained beyond.
LATER = ("07-results", "08-beyond")
MOST_PARAMETERS, MOST_LINES, MEDIAN_LINES, MOST_FIGURES = 12, 15, 5, 6
FIGURES = [
    "added",
    "agreement",
    "attention",
    "by_kind",
    "cost",
    "data_survey",
    "faithfulness",
    "ensemble_members",
    "frames",
    "frontier",
    "fusions",
    "ladder",
    "learning_curves",
    "steps",
    "video",
    "ways",
]

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def test_the_walk_is_whole():
    assert NAMES == [
        "00-data", "01-baselines", "02-bi-lstm", "03-bi-gru", "04-fusion", "05-attention", "06-ensemble",
        "07-results", "08-beyond", "explore-attention", "explore-results",
    ]  # fmt: skip


def test_every_rung_has_its_chapter():
    chapters = {path.stem[3:] for path in PATHS}
    assert {rung.chapter for rung in (*LADDER.values(), *VIDEO_LADDER.values())} <= chapters


@every_notebook
def test_nothing_of_an_execution_is_stored(path):
    for cell in read(path).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.id
        assert not set(cell.metadata) - {"tags"}, cell.id
        assert not set(cell.metadata.get("tags", [])) - {"parameters", "times"}, cell.id


@every_notebook
def test_ids_are_words_and_their_own(path):
    ids = [cell.id for cell in read(path).cells]
    assert not [each for each, times in Counter(ids).items() if times > 1]
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", each) for each in ids)
    assert ids[:2] == ["ask", "parameters"]


@every_notebook
def test_any_python_may_run_it(path):
    metadata = read(path).metadata
    assert metadata.kernelspec.name == "python3"
    assert set(metadata) == {"dmlkit", "kernelspec", "language_info"}
    assert set(metadata.language_info) == {"name"}


@every_notebook
def test_it_says_what_it_needs(path):
    about = read(path).metadata.dmlkit
    assert set(about) == {"title", "needs", "after", "trains"}
    assert about.title and set(about.needs) <= set(NEEDS)
    assert f"# {about.title}\n" in prose(path)
    assert "?" in read_notebook(path).question


@every_notebook
def test_it_waits_for_earlier_ones_only_and_says_what_it_trains(path):
    notebook = read_notebook(path)
    for other in notebook.after:
        assert other in NAMES and (other < notebook.name or (notebook.name, other) == LATER), other
    check_trains(notebook.trains, notebook.parameters, where=notebook.name)
    trains = any(f"study.train{rest}(" in source for source in code(path) for rest in ("", "_chapter"))
    assert trains == bool(notebook.trains)


@every_notebook
def test_parameters_are_typed_literals_that_explain_themselves(path):
    parameters = read_notebook(path).parameters
    assert len(parameters) <= MOST_PARAMETERS
    assert all(len(parameter.help) > 8 for parameter in parameters)
    assert {parameter.name: parameter.type for parameter in parameters if parameter.name in CORE} == CORE


@every_notebook
def test_numbers_have_a_range_and_the_profile_its_choices(path):
    parameters = {parameter.name: parameter for parameter in read_notebook(path).parameters}
    for parameter in parameters.values():
        number = parameter.type.removesuffix(" | None") in ("int", "float")
        assert bool(parameter.allowed) == (number or parameter.name == "profile"), parameter.name
    for profile in PROFILES:
        assert parameters["profile"].convert(profile) == profile
    for name, wrong in (("profile", "smok"), ("seed", "-1"), ("seed", str(2**32))):
        with pytest.raises(UsageError):
            parameters[name].convert(wrong)
    assert parameters["seed"].convert(str(2**32 - 1)) == 2**32 - 1


@every_notebook
def test_those_that_train_the_ladder_can_log_it(path):
    parameters = {parameter.name: parameter for parameter in read_notebook(path).parameters}
    assert ("tensorboard" in parameters) == (path.stem in TRAINING)
    assert path.stem not in TRAINING or parameters["tensorboard"].default is None


@every_notebook
def test_the_core_is_the_same_in_each(path):
    first = {parameter.name: parameter for parameter in read_notebook(PATHS[0]).parameters}
    for parameter in read_notebook(path).parameters:
        assert parameter.name not in CORE or parameter == first[parameter.name]


@every_notebook
def test_what_belongs_to_the_library_is_there(path):
    for source in code(path):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(
                node, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.While | ast.For | ast.Try
            )


@every_notebook
def test_cells_are_short(path):
    lines = [len(source.splitlines()) for source in code(path)]
    assert max(lines) <= MOST_LINES
    assert statistics.median(lines) <= MEDIAN_LINES


@every_notebook
def test_figures_are_few(path):
    calls = Counter(re.findall(r"plots\.(\w+)\(", "\n".join(code(path))))
    assert 1 <= sum(calls[name] for name in FIGURES) <= MOST_FIGURES


@every_notebook
def test_it_opens_offline(path):
    text = prose(path)
    assert "$" not in text, "a report has no MathJax: equations are text"
    assert "<img" not in text and "![" not in text and "http" not in text


@every_notebook
def test_the_data_are_named_before_anything_is_shown(path):
    sources = code(path)
    noted = next(place for place, source in enumerate(sources) if "plots.data_note(dataset" in source)
    assert not any(f"plots.{name}(" in source for source in sources[:noted] for name in FIGURES)


@every_notebook
def test_no_number_is_stated_where_it_would_be_measured(path):
    # GAPs in prose are the paper's, and their paragraph says so.
    for paragraph in prose(path).split("\n\n"):
        assert not re.search(r"\b0\.\d{3,}", paragraph) or "paper" in paragraph.lower(), paragraph


@pytest.mark.parametrize("name", SO_FAR)
def test_the_ladder_so_far_ends_the_chapter(name):
    source = code(FOLDER / f"{name}.ipynb")[-1]
    assert "study.ladder(" in source and 'dataset, title="The ladder so far"' in source


@every_notebook
def test_the_names_it_uses_are_public(path):
    import dmlkit
    from dmlkit import plots

    text = "\n".join(code(path))
    assert not set(re.findall(r"\bdmlkit\.(\w+)", text)) - {*dmlkit.__all__}
    assert not set(re.findall(r"\bplots\.(\w+)", text)) - {*plots.__all__}
