import dataclasses
import json
import shutil

import nbformat
import pytest
from bs4 import BeautifulSoup

from dmlkit.data import open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.report import outside_references, pages
from dmlkit.report.chapters import Chapter
from dmlkit.report.pages.index import render_index
from dmlkit.report.pages.summary import summarize
from dmlkit.report.pages.wording import date, duration
from dmlkit.report.resuming.standing import check_same_data
from dmlkit.training import Study

HOSTILE = '<script>alert("x")</script>'
STARTED = "2026-03-08T14:05:00+00:00"
ROW = {
    "name", "title", "status", "reason", "gap", "gap_low", "gap_high", "map", "map_classes", "hit_at_one", "perr",
    "parameters", "training_seconds", "epochs", "seconds_an_epoch", "videos_per_second", "videos", "paper_gap",
    "experiment", "run",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(generated, smoke_runs, tmp_path_factory):
    """A folder of runs in which `lr` and `attention` stand, as a report leaves it."""
    folder = tmp_path_factory.mktemp("trained") / "runs"
    shutil.copytree(smoke_runs["lr"].path.parent, folder)
    return folder


def page(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_a_report_is_executed_notebooks_pages_an_index_and_results(
    write_notebook, build, generated, trained, tmp_path
):
    (tmp_path / "out").mkdir()
    shutil.copytree(trained, tmp_path / "out" / "runs")
    write_notebook(
        "01-first", "print(data, profile, runs, seed, deterministic, videos)", parameters=PARAMETERS
    )
    write_notebook("02-second", "print(seed + 1)")
    write_notebook("explore-by-hand", "1 / 0")
    report, said = build(seed=0, parameters={"videos": "7"})

    assert report.exit_code == 0
    assert [chapter.status for chapter in report.chapters] == ["executed", "executed"]
    assert [line.split(",")[0] for line in said[:2]] == ["01-first   executed", "02-second  executed"]
    assert said[-1] == f"The report is in {report.index}: 2 executed."
    out = tmp_path / "out"
    files = {path.name for path in out.iterdir()}
    shown = {"01-first.html", "02-second.html", "index.html", "results.json", "notebooks", "runs"}
    assert files == shown | {".lock", ".report.json"}
    printed = (
        nbformat.read(out / "notebooks" / "01-first.ipynb", as_version=4).cells[-1].outputs[0].text.split()
    )
    data, profile, runs, seed, deterministic, videos = printed
    assert (out / "notebooks" / data).resolve() == generated.resolve()
    assert (out / "notebooks" / runs).resolve() == (out / "runs").resolve()
    assert (profile, seed, deterministic, videos) == ("smoke", "0", "False", "7")

    results = json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    told = {"ladder", "beside", "beyond", "data", "profile", "seed", "deterministic", "versions", "hardware"}
    assert told < set(results)
    assert results["generated"] is True
    assert [row["name"] for row in results["ladder"]][:2] == ["lr", "lstm"]
    assert len(results["ladder"]) == 9
    assert all(set(row) == ROW for row in results["ladder"])
    status = {row["name"]: row["status"] for row in results["ladder"]}
    assert (status["lr"], status["lstm"], status["netvlad-gated"]) == (
        "trained",
        "not trained",
        "not trained",
    )
    lr = results["ladder"][0]
    assert lr["gap_low"] <= lr["gap"] <= lr["gap_high"]
    assert lr["videos"] == 100
    assert results["data"]["videos"] == {"train": 180, "tuning": 20, "validate": 100, "test": 20}
    assert results["data"]["read"] == {"train": 180, "tuning": 20, "validate": 100}
    assert [chapter["html"] for chapter in results["chapters"]] == ["01-first.html", "02-second.html"]

    for path in out.glob("*.html"):
        assert outside_references(path.read_text(encoding="utf-8")) == []
        assert len(page(path).find_all("h1")) == 1
        assert page(path).html["lang"] == "en"
    index = page(out / "index.html")
    assert "These data are generated." in index.get_text()
    assert "the scores below mean nothing" in index.get_text()
    assert f"{lr['gap']:.4f}" in index.find("table").get_text()
    assert "paper, on its own data" in index.find("th", class_="paper").get_text()
    assert [link["href"] for link in index.select(".chapter-list a")] == ["01-first.html", "02-second.html"]
    assert "Does it run?" in index.get_text()
    assert index.find("img")["alt"].startswith("GAP@20, rung by rung")
    first = page(out / "01-first.html")
    assert (first.find("a", rel="next")["href"], first.find("a", rel="prev")) == ("02-second.html", None)


PARAMETERS = """\
data: str = "../data/generated"  # folder of the data set
profile: str = "demo"  # smoke, demo, study or paper
runs: str = "../runs"  # folder of the runs
seed: int = 0  # of weights and order
deterministic: bool = False  # same numbers for the same seed
videos: int = 3  # to look at
"""


def test_a_failing_notebook_is_kept_and_marked_and_the_others_go_on(write_notebook, build, tmp_path):
    write_notebook("01-fails", "print('got this far')", "int('ten <b>')")
    write_notebook("02-goes-on", "print('on')")
    report, said = build()
    assert report.exit_code == 4
    assert [chapter.status for chapter in report.chapters] == ["failed", "executed"]
    text = "\n".join(said)
    assert "ValueError: invalid literal for int() with base 10: 'ten <b>'" in text
    assert str(tmp_path / "out" / "notebooks" / "01-fails.ipynb") in text
    failed = page(tmp_path / "out" / "01-fails.html")
    assert "got this far" in failed.get_text()
    assert "This notebook stopped" in failed.get_text()
    index = page(tmp_path / "out" / "index.html")
    assert "'ten <b>'" in index.find(class_="bad").get_text()
    assert "failed" in index.select_one(".chapter-list .status").get_text()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["chapters"][0]["status"] == "failed"


def test_damaged_data_and_dead_kernels_have_codes_of_their_own(write_notebook, build):
    write_notebook("01-cell", "1 / 0")
    write_notebook("02-data", "import dmlkit.errors", "raise dmlkit.errors.DataError('cut off')")
    assert build()[0].exit_code == 3
    write_notebook("03-dies", "import os; os._exit(1)")
    assert build()[0].exit_code == 5


def test_what_the_data_cannot_serve_is_not_executed_and_says_why(write_notebook, build, generated, tmp_path):
    write_notebook("01-any", "print(1)")
    write_notebook("02-frames", "1 / 0", needs=["frames"])
    write_notebook("03-any", "print(1)")
    report, said = build(data=generated / "video")
    assert report.exit_code == 0
    assert [chapter.status for chapter in report.chapters] == ["executed", "not applicable", "executed"]
    assert "one vector a video" in said[1]
    assert not (tmp_path / "out" / "02-frames.html").exists()
    assert page(tmp_path / "out" / "01-any.html").find("a", rel="next")["href"] == "03-any.html"
    index = page(tmp_path / "out" / "index.html")
    assert (
        "Not applicable here: it reads frames, and this data set holds one vector a video."
        in index.get_text()
    )
    ladder = json.loads((tmp_path / "out" / "results.json").read_text())["ladder"]
    assert [row["name"] for row in ladder][:2] == ["lr", "mixture-of-experts"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"profile": "smok"}, "Did you mean 'smoke'"),
        ({"notebooks": ["secnd"]}, "Did you mean '02-second'"),
        ({"parameters": {"video": "3"}}, "Did you mean 'videos'"),
        ({"parameters": {"videos": "many"}}, "01-first: The parameter 'videos' takes a whole number"),
        ({"parameters": {"seed": "3"}}, "--seed"),
        ({"seed": -1}, "0 to 4294967295. Received: -1"),
        ({"seed": 2**32, "data": "nowhere"}, "Received: 4294967296"),
        ({"seed": "1"}, "Received: '1'"),
        ({"parameters": {"runs": "x"}}, "the folder of the report"),
    ],
)
def test_usage_is_checked_before_anything_runs(write_notebook, build, tmp_path, more, said):
    write_notebook("01-first", "1 / 0", parameters=PARAMETERS)
    write_notebook("02-second", "1 / 0")
    with pytest.raises(UsageError) as error:
        build(**more)
    assert said in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_where_a_file_stands_is_an_error(write_notebook, build, tmp_path):
    write_notebook("01-first", "1 / 0")
    (tmp_path / "out").write_text("something else")
    with pytest.raises(UsageError, match="cannot be written"):
        build()


def test_missing_data_are_an_error(write_notebook, build, tmp_path):
    write_notebook("01-first", "1 / 0")
    with pytest.raises(DataError):
        build(data=tmp_path / "nowhere", out=tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "somebody's").touch()
    with pytest.raises(DataError):
        build(data=tmp_path / "nowhere")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"somebody's", ".lock"}


def test_a_page_that_cannot_be_made_costs_its_chapter_only(write_notebook, build, tmp_path, monkeypatch):
    def render(path, **about):
        if path.stem == "01-first":
            raise RecursionError("once\nand again")
        return rendering(path, **about)

    rendering = pages.rendering.render_notebook
    monkeypatch.setattr(pages.rendering, "render_notebook", render)
    write_notebook("01-first", "print(1)")
    write_notebook("02-second", "print(2)")
    report, _ = build()
    assert [chapter.status for chapter in report.chapters] == ["failed", "executed"]
    assert report.exit_code == 4
    assert "Its page could not be made: RecursionError: and again" in page(report.index).get_text()
    assert "01-first.html" not in (tmp_path / "out" / "02-second.html").read_text()
    monkeypatch.undo()
    report, _ = build()
    assert [chapter.status for chapter in report.chapters] == ["unchanged", "unchanged"]
    assert (tmp_path / "out" / "01-first.html").exists()


def test_a_folder_that_nobody_named_is_not_taken_from_other_data(write_notebook, build, generated, tmp_path):
    write_notebook("01-first", "print(1)", parameters=None)
    for home in ("a", "b", "c"):
        shutil.copytree(generated / "video", tmp_path / home / "yt8m")
    (tmp_path / "b" / "yt8m" / "note.txt").write_text("other data")
    build(data=tmp_path / "a" / "yt8m")
    with pytest.raises(UsageError) as error:
        check_same_data(tmp_path / "out", tmp_path / "b" / "yt8m")
    for text in (str(tmp_path / "a" / "yt8m"), str(tmp_path / "b" / "yt8m"), "--out"):
        assert text in str(error.value)
    for home in ("a", "c", "nowhere"):
        check_same_data(tmp_path / "out", tmp_path / home / "yt8m")
    check_same_data(tmp_path / "new", tmp_path / "b" / "yt8m")


@pytest.fixture(scope="module")
def summary(generated, trained):
    study = Study(generated, profile="smoke", runs=trained)
    # A name from elsewhere may hold anything.
    study.dataset = dataclasses.replace(study.dataset, name=HOSTILE, notes=(HOSTILE,), generated=False)
    return summarize(study, [], started="2026-03-08T14:05:00+00:00", seconds=61)


def test_names_are_text_on_the_index_page(summary):
    hostile = Chapter(name="01-x", title=HOSTILE, question=HOSTILE, status="not applicable", reason=HOSTILE)
    html = render_index(summary, [hostile])
    assert "<script" not in html
    assert BeautifulSoup(html, "html.parser").get_text().count(HOSTILE) >= 6


def test_generated_data_only_are_called_generated(summary):
    html = render_index(summary, [])
    assert "These data are generated" not in html
    assert "8 March 2026, 14:05 UTC" in html
    assert "last call 1 min 01 s" in html


def test_the_time_of_all_chapters_is_told_beside_that_of_the_last_call(summary):
    chapters = [
        Chapter(name=name, title="", question="", status="unchanged", executed=STARTED, seconds=seconds)
        for name, seconds in (("01-a", 200.0), ("02-b", 52.0))
    ]
    assert "the notebooks 4 min 12 s in all" in render_index(summary, chapters)


def test_a_damaged_run_does_not_cost_the_report(generated, tmp_path):
    study = Study(generated, profile="smoke", runs=tmp_path)
    damaged = study._folder(study.rungs["lr"], study._mark(study.rungs["lr"], study.seed))
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    told = summarize(study, [], started="2026-03-08T14:05:00+00:00", seconds=61)
    assert told["ladder"] == []
    assert "run.json" in BeautifulSoup(render_index(told, []), "html.parser").get_text()


def test_numbers_that_are_none_stay_out_of_the_way(generated, tmp_path, monkeypatch):
    study = Study(generated, profile="smoke", runs=tmp_path)
    monkeypatch.setattr(study, "results", lambda rungs=None: [{"gap": float("nan"), "status": "trained"}])
    told = summarize(study, [], started="2026-03-08T14:05:00+00:00", seconds=61)
    assert told["ladder"][0]["gap"] is None


def test_a_data_set_keeps_its_caps_in_the_results(generated, tmp_path):
    dataset = open_dataset(generated)
    study = Study(dataset, profile="smoke", runs=tmp_path)
    study.profile = dataclasses.replace(study.profile, max_train_videos=50)
    told = summarize(study, [], started="2026-03-08T14:05:00+00:00", seconds=61)
    assert (told["data"]["videos"]["train"], told["data"]["read"]["train"]) == (180, 50)
    assert "the profile caps them" in render_index(told, [])


def test_times_in_words():
    assert [duration(seconds) for seconds in (None, 0.04, 9.94, 48, 252, 7500)] == [
        "", "0.0 s", "9.9 s", "48 s", "4 min 12 s", "2 h 05 min",
    ]  # fmt: skip
    assert date("2026-03-08T14:05:00+00:00") == "8 March 2026, 14:05 UTC"
