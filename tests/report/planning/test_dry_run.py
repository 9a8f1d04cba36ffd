"""The plan as a terminal shows it: true of what would happen, and nothing happens."""

import json
import os
import shutil

import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.report import build_report
from dmlkit.report.planning.dry_run import describe_plan

OWN = "\nvideos: int = 3  # how many [1 to 20]\nbeside: bool = True  # also what stands beside\n"
LOOKS = """\
from pathlib import Path
from dmlkit.runs import read_record
read_record(Path(runs) / "lr-0123abcd")
"""


def everything_below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def paragraphs(told):
    """Notebook → what is said of it, on one line."""
    parts = [" ".join(part.split()) for part in told.split("\n\n")]
    return {part.split()[0]: part.partition(" ")[2] for part in parts[1:-1]}, parts[-1]


def alter(path, **about):
    content = json.loads(path.read_text())
    content["metadata"]["dmlkit"] |= about
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def two(write_notebook, tmp_path):
    """Two notebooks; the second looks at a run of `lr`, which the first says it trains."""
    first = write_notebook("01-first", "print(videos)")
    content = json.loads(first.read_text())
    cell = next(cell for cell in content["cells"] if cell["metadata"].get("tags") == ["parameters"])
    cell["source"] = "".join(cell["source"]) + OWN
    first.write_text(json.dumps(content))
    alter(first, trains=[{"experiments": ["lr"]}, {"ablations_for": "baselines", "if": "beside"}])
    alter(write_notebook("02-second", LOOKS), after=["01-first"])
    return tmp_path


def test_what_would_be_executed_and_why(two, generated):
    def look(**more):
        named = {
            "data": generated,
            "profile": "smoke",
            "out": two / "out",
            "folder": two / "notebooks",
        }
        before = everything_below(two)
        told, total = paragraphs(describe_plan(**(named | more)))
        assert everything_below(two) == before
        return told, total

    told, total = look()
    assert told["01-first"] == (
        "would be executed: new parameters: videos=3, beside=true trains: lr, lr-no-norm"
    )
    assert told["02-second"] == "would be executed: new"
    assert total.startswith("Notebooks: 2 would be executed. Rungs: 2 would be trained, 0 trained already.")
    assert not (two / "out").exists()

    def build():
        report = build_report(
            data=generated, profile="smoke", out=two / "out", folder=two / "notebooks", echo=lambda line: None
        )
        assert report.exit_code == 0
        return {chapter.name: chapter.status for chapter in report.chapters}

    build()
    told, total = look(notebooks=["02"])
    assert told == {"02-second": "unchanged, would be left as it is"}
    told, total = look()
    assert told["01-first"] == "unchanged, would be left as it is parameters: videos=3, beside=true"
    assert told["02-second"] == "unchanged, would be left as it is"
    assert total.startswith("Notebooks: 2 unchanged. Rungs: 0 would be trained")
    told, _ = look(parameters={"videos": "5"})
    assert "the parameter videos changed (its default → 5)" in told["01-first"]
    assert "videos=5 (default 3)" in told["01-first"]
    assert told["02-second"] == "would be executed: the run of lr, which it reads, would be trained"
    told, _ = look(seed=1)
    assert told["02-second"].startswith("would be executed: the parameter seed changed (0 → 1)")
    told, _ = look(force=True, notebooks=["02"])
    assert told["02-second"] == "would be executed: forced"
    told, _ = look(data=generated / "video")
    assert "the data changed" in told["02-second"] and "the parameter data changed" in told["02-second"]

    (two / "out" / "runs" / "lr-0123abcd").mkdir(parents=True)
    record = two / "out" / "runs" / "lr-0123abcd" / "run.json"
    record.write_text("{}")
    told, _ = look()
    assert told["02-second"] == "would be executed: the run lr-0123abcd is there now"
    record.unlink()

    second = two / "notebooks" / "02-second.ipynb"
    source = second.read_text()
    alter(second, title="Another")
    told, total = look()
    assert told["02-second"] == "would be executed: its source changed"
    assert total.startswith("Notebooks: 1 would be executed, 1 unchanged.")
    second.write_text(source)
    assert build() == {"01-first": "unchanged", "02-second": "unchanged"}

    executed = two / "out" / "notebooks" / "02-second.ipynb"
    executed.write_text(executed.read_text()[:-20])
    told, _ = look()
    assert told["02-second"] == "would be executed: it was not finished, or was altered since"


def test_rungs_that_are_there_are_told_apart(write_notebook, generated, smoke_runs, tmp_path):
    runs = smoke_runs["lr"].path.parent
    (tmp_path / "out").mkdir()
    os.symlink(runs, tmp_path / "out" / "runs")
    alter(write_notebook("01-first"), trains=[{"chapter": "baselines"}])
    alter(write_notebook("02-second"), trains=[{"chapter": "ensemble"}, {"ensemble_of_all": True}])
    told, total = paragraphs(
        describe_plan(data=generated, profile="smoke", out=tmp_path / "out", folder=tmp_path / "notebooks")
    )
    assert told["01-first"] == "would be executed: new trains: lstm already trained: lr"
    assert told["02-second"] == (
        "would be executed: new trains: ensemble-lr-lstm, ensemble-of-all already trained: lr "
        "trained before it: lstm (by 01-first)"
    )
    assert total.startswith("Notebooks: 2 would be executed. Rungs: 3 would be trained, 1 trained already.")


def test_a_damaged_run_is_part_of_the_plan(write_notebook, generated, smoke_runs, tmp_path):
    runs = tmp_path / "out" / "runs"
    shutil.copytree(smoke_runs["lr"].path, runs / smoke_runs["lr"].path.name)
    record = runs / smoke_runs["lr"].path.name / "run.json"
    record.write_text(record.read_text()[:100])
    alter(write_notebook("01-first"), trains=[{"chapter": "baselines"}])
    told, total = paragraphs(
        describe_plan(data=generated, profile="smoke", out=tmp_path / "out", folder=tmp_path / "notebooks")
    )
    assert "trains: lstm the run of lr is damaged: " in told["01-first"]
    assert "Delete the folder" in told["01-first"]
    assert "1 would be trained, 0 trained already" in total


def test_data_that_would_be_generated_are_not(write_notebook, tmp_path):
    alter(write_notebook("01-first", needs=["frames", "two modalities"]), trains=[{"chapter": "fusion"}])
    told = describe_plan(data=tmp_path / "generated", out=tmp_path / "out", folder=tmp_path / "notebooks")
    assert "it would be generated" in told
    assert "trains: bi-gru-shared-space, bi-gru-projection" in told
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks"}


def test_what_does_not_apply_says_why(write_notebook, generated, tmp_path):
    alter(write_notebook("01-first", needs=["frames"]), trains=[{"chapter": "bi-gru"}])
    told, total = paragraphs(
        describe_plan(data=generated / "video", out=tmp_path / "out", folder=tmp_path / "notebooks")
    )
    assert told["01-first"] == ("not applicable: it reads frames, and this data set holds one vector a video")
    assert total.startswith("Notebooks: 1 not applicable. Rungs: 0 would be trained")


def test_it_refuses_what_the_report_would_refuse(write_notebook, tmp_path):
    write_notebook("01-first")
    asked = {"out": tmp_path / "out", "folder": tmp_path / "notebooks", "data": tmp_path / "nowhere"}
    for more in (
        {"profile": "dmo"},
        {"parameters": {"videos": "3"}},
        {"notebooks": ["09"]},
        {"jobs": 0},
        {"time_limit": "12"},
    ):
        with pytest.raises(UsageError):
            describe_plan(**(asked | more))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a file stands there"):
        describe_plan(**(asked | {"out": tmp_path / "file"}))
    with pytest.raises(UsageError, match="a file stands there") as error:
        describe_plan(**(asked | {"out": tmp_path / "file" / "baseline_of" / "out"}))
    assert str(tmp_path / "file" / "baseline_of") in str(error.value)
    (tmp_path / "file").unlink()
    (tmp_path / "closed").mkdir(mode=0o500)
    if not os.access(tmp_path / "closed", os.W_OK):  # root may write everywhere
        with pytest.raises(UsageError, match="may not be written to"):
            describe_plan(**(asked | {"out": tmp_path / "closed" / "out"}))
    (tmp_path / "closed").rmdir()
    with pytest.raises(DataError, match="nowhere"):
        describe_plan(**asked)
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks"}


def test_the_lines_fit_a_terminal(generated, tmp_path):
    told = describe_plan(data=generated, profile="full", out=tmp_path / "out")
    lines = told.splitlines()
    # A path is not broken.
    assert all(len(line) <= 80 for line in lines[2:])
    assert [line.split()[0] for line in lines if line[:2].isdigit()] == [
        "00-data", "01-baselines", "02-bi-lstm", "03-bi-gru",
        "04-fusion", "05-attention", "06-ensemble", "07-results", "08-beyond",
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()
