"""`dmlkit runs` and `dmlkit compare`, as they are typed."""

import json

import pytest


@pytest.fixture
def folder(leave_run, tmp_path):
    """Two seeds of one experiment, one of another, and a fourth run on other data."""
    for seed in range(2):
        leave_run(tmp_path / f"good-{seed}", "good", seed=seed, quality=0.6)
    leave_run(tmp_path / "bad-0", "bad", quality=0.3, profile="demo")
    leave_run(tmp_path / "else" / "mine", "lstm", data="other data")
    return tmp_path


def test_runs_are_listed_data_set_by_data_set(dmlkit, folder):
    code, out, err = dmlkit("runs", folder)
    assert (code, err) == (0, "")
    first, second = out.split("\n\n")
    assert first.startswith("made up, 80 videos, below ") and second.startswith("other data, ")
    lines = [line.split() for line in first.splitlines()[2:]]
    assert {line[0] for line in lines} == {"good-0", "good-1", "bad-0"} and lines[2][0] == "bad-0"
    # A folder that does not say what was trained gets a column for it.
    assert second.splitlines()[1].split()[0] == "name" and second.splitlines()[2].split()[0] == "lstm"
    assert max(map(len, out.splitlines())) <= 100 + len(str(folder))


def test_a_wide_table_gives_up_columns_before_it_gives_up_the_folder(dmlkit, leave_run, tmp_path):
    names = [f"an-experiment-of-a-long-name-{number}-and-a-fingerprint-of-many-digits" for number in range(2)]
    for name in names:
        leave_run(tmp_path / f"{name}", name)
    _, out, _ = dmlkit("runs", tmp_path)
    table = out.splitlines()[1:]
    assert max(map(len, table)) <= 100 and "map" not in table[0] and "seconds" in table[0]
    assert all(any(line.startswith(name) for line in table) for name in names)


def test_runs_of_one_experiment_or_profile(dmlkit, folder):
    _, out, _ = dmlkit("runs", folder, "--experiment", "good", "--json")
    assert [row["name"] for row in json.loads(out)] == ["good", "good"]
    _, out, _ = dmlkit("runs", folder, "--profile", "demo", "--json")
    assert [row["path"] for row in json.loads(out)] == [str(folder / "bad-0")]
    code, out, err = dmlkit("runs", folder, "--experiment", "goood")
    assert code == 2 and "Did you mean 'good'" in err and len(err.splitlines()) == 1
    code, _, err = dmlkit("runs", folder, "--profile", "dmo")
    assert code == 2 and "Did you mean 'demo'" in err


def test_damaged_runs_are_a_line_each_and_no_end(dmlkit, folder):
    for number in range(9):
        broken = folder / f"broken-{number}"
        broken.mkdir()
        (broken / "run.json").write_text("{\n" * number)
    code, out, err = dmlkit("runs", folder, "--json")
    assert code == 0 and len(json.loads(out)) == 4
    lines = err.splitlines()
    assert (
        len(lines) == 6 and "broken-0/run.json" in lines[0] and lines[5] == "dmlkit: 4 more cannot be read."
    )


def test_a_record_cannot_hijack_the_terminal(dmlkit, leave_run, tmp_path):
    leave_run(tmp_path / "a", "lr\x1b[2J\nx", data="data\x1b]0;title\x07", profile="de\x1bmo")
    leave_run(tmp_path / "b", "lr", data="data\x1b]0;title\x07")
    for arguments in (["runs", tmp_path], ["compare", tmp_path / "a", tmp_path / "b", "--resamples", "2"]):
        code, out, _ = dmlkit(*arguments)
        assert code == 0 and not [each for each in out if not each.isprintable() and each != "\n"]


def test_no_runs(dmlkit, tmp_path):
    assert dmlkit("runs", tmp_path)[:2] == (0, f"There are no finished runs below {tmp_path}.\n")
    assert dmlkit("runs", tmp_path, "--json")[:2] == (0, "[]\n")
    assert dmlkit("runs", tmp_path / "nowhere")[0] == 2


def test_two_sides_are_compared(dmlkit, folder):
    code, out, err = dmlkit(
        "compare", folder / "good-0", folder / "bad-0", "--resamples", "50", "--classes", "2"
    )
    assert (code, err) == (0, "")
    assert "A  GOOD (good), profile smoke" in out and "B  BAD (bad), profile demo" in out
    assert "50 draws" in out and "The interval excludes 0" in out and "80 videos" in out
    assert "Note: A and B were trained under different conditions" in out
    assert len([line for line in out.splitlines() if line.startswith("  class ")]) <= 4
    assert max(map(len, out.splitlines())) <= 110
    _, none, _ = dmlkit("compare", folder / "good-0", folder / "bad-0", "--resamples", "5", "--classes", "0")
    assert "Average precision" not in none


def test_what_a_glob_leaves_is_grouped(dmlkit, folder):
    good = sorted(folder.glob("good-*"))
    code, out, _ = dmlkit("compare", *good, folder / "bad-0", "--resamples", "20", "--json")
    told = json.loads(out)
    assert code == 0 and [run["seed"] for run in told["a"]["runs"]] == [0, 1]
    assert told["b"]["name"] == "bad" and told["resamples"] == 20 and told["a"]["gap_deviation"] > 0


def test_a_damaged_seed_among_many_paths_is_said(dmlkit, folder, leave_run):
    leave_run(folder / "seeds" / "whole", "good", seed=5)
    (folder / "seeds" / "broken").mkdir()
    (folder / "seeds" / "broken" / "run.json").write_text("{")
    paths = [folder / "good-0", folder / "seeds", folder / "bad-0"]
    code, out, err = dmlkit("compare", *paths, "--resamples", "2")
    assert code == 0 and "broken/run.json" in err and "2 seeds" in out


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([], "two sides"),
        (["good-0"], "two sides"),
        (["good-0", "nowhere"], "nowhere"),
        (["good-0", "else/mine"], "different data"),
        (["good-0", "bad-0", "else/mine"], "are of 3 experiments: "),
        ([".", "bad-0"], "mixes 3 experiments"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(dmlkit, folder, paths, said):
    code, out, err = dmlkit("compare", *(folder / path for path in paths))
    assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1


def test_real_runs_with_the_names_of_their_data(dmlkit, smoke_runs, generated):
    lr, attention = smoke_runs["lr"].path, smoke_runs["attention"].path
    code, out, _ = dmlkit("compare", lr, attention, "--data", generated, "--resamples", "20")
    assert code == 0 and "Logistic regression (lr), profile smoke" in out and "\n  class " not in out
    code, _, err = dmlkit("compare", lr, attention, "--data", generated / "video")
    assert code == 2 and "other data" in err
