"""`dmlkit report`: strict parameters, plans, resuming, honest failures, offline pages, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from bs4 import BeautifulSoup

VIDEOS = "videos: int = 3  # how many are shown\n"
HOSTILE = "<script>alert(1)</script><img src='https://elsewhere.invalid/x.png' onerror='alert(2)'>"
LOOKS_AT_A_RUN = """\
from pathlib import Path
import dmlkit
try:
    print(dmlkit.load_run(Path(runs) / "lr-12345678").gap)
except dmlkit.DataError:
    print("there is none")
"""


def statuses(report) -> dict[str, str]:
    return {chapter.name: chapter.status for chapter in report.chapters}


def page(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_a_wrong_call_ends_with_2_before_anything_starts(command, tmp_path):
    out = tmp_path / "out"
    file = tmp_path / "parameters.yaml"
    file.write_text("videos: 1000\n")
    for arguments, message in (
        (["--profile", "smok"], "Did you mean 'smoke'"),
        (["-p", "vidoes", "3"], "Did you mean 'videos'"),
        (["-p", "videos", "21"], "20"),
        (["--params", file], "parameters.yaml"),
        (["-p", "seed", "1"], "--seed"),
        (["--seeds", "21"], "1 to 20"),
        (["-p", "videos", "3", "-p", "videos", "4"], "twice"),
        (["--jobs", "0"], "at least 1"),
    ):
        code, _, said = command("report", "--out", out, *arguments)
        assert (code, message in said, out.exists()) == (2, True, False), (arguments, said)
    assert command("report", "--out", out, "--data", tmp_path / "nowhere")[0] == 3 and not out.exists()


def test_parameters_are_listed_with_type_default_range_and_help(command):
    code, out, _ = command("report", "--help-parameters")
    parts = {part.split(":")[0]: part for part in out.split("\n\n")}
    assert code == 0 and all(word in parts["videos"] for word in ("1 to 20", "default 3", "05-attention"))
    assert "smoke" in parts["profile"] and "--profile" in parts["profile"]
    assert "default none" in parts["tensorboard"]
    assert "videos:" not in command("report", "--help-parameters", "--notebook", "01")[1]


def test_a_report_is_executed_notebooks_pages_and_results(write_notebook, build, tmp_path):
    write_notebook("01-first", "print(profile, seed, videos)", f"print({HOSTILE!r})", parameters=VIDEOS)
    shows = f"from IPython.display import HTML, Markdown\ndisplay(HTML({HOSTILE!r}), Markdown({HOSTILE!r}))"
    write_notebook("02-second", shows, f"# {HOSTILE}", after=["01-first"])
    report, _ = build(seed=4, parameters={"videos": "7"})
    assert statuses(report) == {"01-first": "executed", "02-second": "executed"} and report.exit_code == 0
    executed = nbformat.read(tmp_path / "out" / "notebooks" / "01-first.ipynb", as_version=4)
    assert executed.cells[-2].outputs[0].text == "smoke 4 7\n"
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["status"] for row in results["ladder"]] == ["not trained"] * 9
    assert (results["profile"]["name"], results["seed"], results["generated"]) == ("smoke", 4, True)
    assert {"versions", "hardware", "chapters", "data"} < set(results)
    for path in (tmp_path / "out").glob("*.html"):
        html = path.read_text(encoding="utf-8")
        policy = page(path).find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        assert "default-src 'none'" in policy and "url(" not in html
        assert all(each["src"].startswith("data:") for each in page(path).find_all(src=True))
        assert not page(path).find("script") and not page(path).find(onerror=True)
    assert HOSTILE in page(tmp_path / "out" / "01-first.html").get_text()


def test_only_what_changed_is_executed_again(write_notebook, build, tmp_path, leave_run):
    write_notebook("01-first", "print(videos)", parameters=VIDEOS)
    write_notebook("02-looks", LOOKS_AT_A_RUN)
    done = {"01-first": "executed", "02-looks": "executed"}
    same = dict.fromkeys(done, "unchanged")
    for options, expected in (
        ({}, done),
        ({}, same),
        ({"force": True, "notebooks": ["01"]}, done | {"02-looks": "unchanged"}),
        ({"parameters": {"videos": 5}}, done | {"02-looks": "unchanged"}),
    ):
        assert statuses(build(**options)[0]) == expected
    write_notebook("01-first", "print(videos + 1)", parameters=VIDEOS)
    assert statuses(build()[0]) == done | {"02-looks": "unchanged"}
    leave_run(tmp_path / "out" / "runs" / "lr-12345678")
    assert statuses(build(notebooks=["02"])[0]) == {"01-first": "unchanged", "02-looks": "executed"}
    assert statuses(build()[0]) == same


def test_a_failed_notebook_is_kept_and_marked_and_the_others_run(write_notebook, build, tmp_path):
    write_notebook("01-fails", "print('got this far')", "int('ten')", "print('never')")
    write_notebook("02-data", "import dmlkit", "raise dmlkit.DataError('record 3 is cut off')")
    write_notebook("03-dies", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    write_notebook("04-works", "print('on')")
    report, _ = build(jobs=2)
    failed = dict.fromkeys(["01-fails", "02-data", "03-dies"], "failed")
    assert statuses(report) == failed | {"04-works": "executed"} and report.exit_code == 5
    assert build(notebooks=["02"])[0].exit_code == 3
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {chapter["name"]: chapter["status"] for chapter in results["chapters"]}["02-data"] == "failed"
    shown = page(tmp_path / "out" / "01-fails.html").get_text()
    assert "got this far" in shown and "This notebook stopped" in shown
    assert "SIGKILL" in page(tmp_path / "out" / "03-dies.html").get_text()


def test_the_command_passes_its_options_on_and_ends_with_the_exit_code_of_the_report(
    command, write_notebook, generated, tmp_path, monkeypatch
):
    write_notebook("01-fails", "print('deterministic', deterministic, seed)", "1 / 0")
    monkeypatch.setattr("dmlkit.report.plan.notebooks_folder", lambda: tmp_path / "notebooks")
    options = ["--data", generated, "--profile", "smoke", "--seed", 4, "--deterministic"]
    options += ["--out", tmp_path / "out"]
    assert command("report", *options, "--dry-run")[0] == 0 and not (tmp_path / "out").exists()
    code, out, _ = command("report", *options)
    assert code == 4 and "ZeroDivisionError" in out
    assert "deterministic True 4" in (tmp_path / "out" / "01-fails.html").read_text()
    assert json.loads((tmp_path / "out" / "results.json").read_text())["deterministic"] is True


def test_a_time_limit_ends_a_notebook(write_notebook, build):
    write_notebook("01-slow", "import time; time.sleep(60)")
    report, _ = build(time_limit="5s")
    assert (statuses(report), report.exit_code) == ({"01-slow": "failed"}, 6)
    assert "time limit of 5 s" in page(report.index).get_text()


def test_what_the_data_cannot_serve_is_not_applicable(write_notebook, build, generated):
    write_notebook("01-any", "print(1)")
    write_notebook("02-frames", "1 / 0", needs=["frames"])
    report, _ = build(data=generated / "video")
    assert statuses(report) == {"01-any": "executed", "02-frames": "not applicable"}
    assert report.exit_code == 0 and "Not applicable here" in page(report.index).get_text()


COMMAND = """\
import sys
from dmlkit.errors import DmlkitError
from dmlkit.report import build_report
try:
    made = build_report(data=sys.argv[1], profile="smoke", out=sys.argv[2], folder=sys.argv[3])
except DmlkitError as error:
    print(error)
    sys.exit(error.exit_code)
sys.exit(made.exit_code)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_one_report_at_a_time_interrupted_by_signals_and_resumed(write_notebook, tmp_path, generated):
    def start():
        arguments = [str(generated), str(tmp_path / "out"), str(tmp_path / "notebooks")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], start_new_session=True, **pipes)

    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    waits = f"import time, pathlib\npathlib.Path({str(begun)!r}).touch()\n"
    write_notebook("01-waits", waits + f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.05)")
    write_notebook("02-next", "print(2)", after=["01-waits"])
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        begun.unlink(missing_ok=True)
        first = start()
        while not begun.exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.05)
        if number == signal.SIGINT:
            second = start()
            said, _ = second.communicate()
            assert second.returncode == 2 and f"process {first.pid}" in said
        first.send_signal(number)
        said, _ = first.communicate()
        assert first.returncode == code and "Traceback" not in said, said
        chapters = json.loads((tmp_path / "out" / "results.json").read_text())["chapters"]
        assert [chapter["status"] for chapter in chapters] == ["interrupted", "not run"]
    go_on.touch()
    last = start()
    assert "2 executed" in last.communicate()[0] and last.returncode == 0


def test_nothing_heavy_is_loaded_where_nothing_is_to_do(write_notebook, build, tmp_path, generated):
    write_notebook("01-first", "print(1)")
    build()
    heavy = "print('HEAVY', {'tensorflow', 'keras', 'nbconvert', 'pandas'} & set(sys.modules))"
    code = COMMAND.replace("sys.exit(made.exit_code)", heavy)
    line = [sys.executable, "-c", code, generated, tmp_path / "out", tmp_path / "notebooks"]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True)
    assert done.stdout.endswith("HEAVY set()\n"), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_ladder_twice_gives_the_same_results(command, generated, tmp_path, read_in_browser):
    """Two fresh `dmlkit report --deterministic` are equal but for times, readable, and leave nothing to do."""
    from dmlkit.report import strip_timestamps

    times = {"started", "executed", "seconds", "seconds_an_epoch", "seconds_an_epoch_ratio"}
    results, notebooks = [], []
    for name in ("one", "two"):
        options = ["--data", generated, "--profile", "smoke", "--deterministic", "--out", tmp_path / name]
        assert command("report", *options)[0] == 0
        hook = {"object_hook": lambda each: {key: value for key, value in each.items() if key not in times}}
        results.append(json.loads((tmp_path / name / "results.json").read_text(), **hook))
        paths = sorted((tmp_path / name / "notebooks").glob("*.ipynb"))
        notebooks.append({path.name: strip_timestamps(nbformat.read(path, as_version=4)) for path in paths})
        assert "8 unchanged" in command("report", *options)[1]
    assert results[0] == results[1] and len(notebooks[0]) == 8
    assert notebooks[0] == notebooks[1]
    assert {row["status"] for row in results[0]["ladder"]} == {"trained", "not trained"}
    pages = sorted((tmp_path / "one").glob("*.html"))
    assert len(pages) == 9 and len(list(read_in_browser(pages))) == 2
