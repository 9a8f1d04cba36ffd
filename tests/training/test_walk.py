"""The study: rungs that apply, rungs that do not, and the ladder so far."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest

import dmlkit
from dmlkit.data import serialize_frames, write_shard
from dmlkit.experiments import LADDER, VIDEO_LADDER
from dmlkit.training import Study


def walk_on(data, tmp_path):
    return Study(data, profile="smoke", runs=tmp_path / "runs", progress="silent")


def folders(tmp_path):
    return [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]


@pytest.fixture(scope="module")
def sound_only(tmp_path_factory):
    """A frame-level folder of bare shards with one modality, as AudioSet's."""
    folder = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    for shard in range(6):
        records = [
            serialize_frames(
                video_id=f"{shard}-{i}",
                labels=[int(rng.integers(5))],
                frames={"audio_embedding": rng.integers(0, 256, (7, 128), np.uint8)},
                id_key="video_id",
            )
            for i in range(4)
        ]
        write_shard(folder / f"train{shard:04}.tfrecord", records)
    return folder


def test_the_papers_nine_rows_in_its_order(generated, tmp_path):
    assert list(LADDER) == [
        "lr",
        "lstm",
        "bi-lstm",
        "bi-gru-concat",
        "bi-gru-shared-space",
        "bi-gru-projection",
        "attention",
        "ensemble-lr-lstm",
        "netvlad-gated",
    ]
    paper = [0.70727, 0.79903, 0.80597, 0.84022, 0.01106, 0.01684, 0.81415, 0.81891, 0.84967]
    assert [rung.paper_gap for rung in LADDER.values()] == paper
    assert [row["name"] for row in walk_on(generated, tmp_path).results()] == list(LADDER)


def test_an_ensemble_trains_its_members_first_and_is_read_the_second_time(generated, tmp_path, capsys):
    runs = walk_on(generated, tmp_path).train("ensemble-lr-lstm")
    assert {path.name.rsplit("-", 1)[0] for path in folders(tmp_path)} == {"lr", "lstm", "ensemble-lr-lstm"}
    capsys.readouterr()
    again = walk_on(generated, tmp_path).train("ensemble-lr-lstm", "lr")
    assert again["ensemble-lr-lstm"].record == runs["ensemble-lr-lstm"].record
    assert capsys.readouterr().out.count("already trained") == 2


def test_the_ladder_says_what_is_trained_and_why_the_rest_is_not(generated, tmp_path):
    study = walk_on(generated, tmp_path)
    run = study.train("lr")["lr"]
    rows = {row["name"]: row for row in study.results()}
    assert rows["lr"]["status"] == "trained" and rows["lr"]["gap"] == run.gap
    assert rows["lstm"]["status"] == "not trained" and rows["lstm"]["gap"] is None
    seconds = run.record["seconds"]
    assert rows["lr"]["seconds_an_epoch"] == pytest.approx(seconds["training"] / 2, abs=1e-3)
    assert rows["lr"]["videos_per_second"] == pytest.approx(100 / seconds["scoring"], abs=1e-3)
    assert rows["lstm"]["videos_per_second"] is None
    json.dumps(rows, allow_nan=False)
    table = study.ladder()
    assert table.index[0] == "Logistic regression" and table.loc["Logistic regression", "gap"] == run.gap


def test_a_notebook_sees_the_chapters_it_names_and_no_others(smoke_runs, generated):
    study = Study(generated, profile="smoke", runs=smoke_runs["lr"].path.parent, progress="silent")
    assert list(study.finished("baselines", "fusion")) == ["lr"]
    assert list(study.finished("attention")) == ["attention"] and list(study.finished()) == [
        "lr",
        "attention",
    ]
    assert list(study.ladder("baselines", "bi-lstm")["name"]) == ["lr", "lstm", "bi-lstm"]
    assert list(study.ladder()["name"]) == list(LADDER)
    assert study.beside("baselines").empty
    for look in (study.finished, study.ladder, study.beside):
        with pytest.raises(dmlkit.UsageError, match="Did you mean 'baselines'"):
            look("baseline")
    video = Study(generated / "video", profile="smoke", runs=study.runs)
    assert video.ladder("bi-gru").empty and "gap" in video.ladder("bi-gru")


def test_looking_at_a_chapter_reads_no_run_of_another(smoke_runs, generated, tmp_path, monkeypatch):
    study = Study(generated, profile="smoke", runs=smoke_runs["lr"].path.parent)
    monkeypatch.setenv("DMLKIT_RUNS_LOOKED_AT", str(tmp_path / "looked-at"))
    study.ladder("baselines"), study.finished("bi-lstm"), study.beside("attention")
    seen = {line.rsplit("/", 1)[1].rsplit("-", 1)[0] for line in (tmp_path / "looked-at").read_text().split()}
    assert seen == {"lr", "lstm", "bi-lstm", "attention-no-norm", "attention-bi-lstm"}


def test_where_no_folder_of_runs_is_named_it_is_that_of_the_report(generated, tmp_path, monkeypatch):
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path))
    monkeypatch.chdir("/")
    assert Study(generated / "video", profile="smoke").runs == tmp_path / "reports" / "video-smoke" / "runs"


def test_a_run_that_another_process_trains_is_waited_for(generated, tmp_path, capsys):
    study = walk_on(generated, tmp_path)
    rung = LADDER["lr"]
    made = Study(generated, profile="smoke", runs=tmp_path / "elsewhere", progress="silent").train("lr")["lr"]
    folder = study.runs / made.path.name
    folder.parent.mkdir()
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(folder.with_name(f".{folder.name}.lock")),
            str(made.path),
            str(folder),
        ],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        found = []
        waiting = threading.Thread(target=lambda: found.append(study.train(rung)["lr"]))
        waiting.start()
        waiting.join(1.5)
        assert waiting.is_alive() and not found
        other.stdin.write("done\n")
        other.stdin.flush()
        waiting.join(60)
    assert found[0].record == made.record, "it was trained twice"
    said = capsys.readouterr().out
    assert f"being trained by process {other.pid} on" in said and "already trained" in said


# Stands for a notebook elsewhere: it holds the run's lock, and puts the finished run in its place before it lets go.
HOLD = """
import shutil, sys
from pathlib import Path
from dmlkit.files import file_lock
lock, made, folder = map(Path, sys.argv[1:])
with file_lock(lock, taken=print):
    print("held", flush=True)
    sys.stdin.readline()
    shutil.copytree(made, folder)
"""


def test_the_lock_of_a_process_that_was_killed_stops_nobody(generated, tmp_path, capsys):
    study = walk_on(generated, tmp_path)
    folder = study._folder(LADDER["lr"], study._mark(LADDER["lr"], 0))
    folder.parent.mkdir()
    arguments = [str(folder.with_name(f".{folder.name}.lock")), "nothing", "nothing"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *arguments], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        other.kill()
        other.wait()
    assert study.train("lr")["lr"].gap > 0
    assert "waiting" not in capsys.readouterr().out


def test_a_folder_of_runs_that_cannot_be_made_is_told(generated, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(dmlkit.UsageError, match="runs cannot be written"):
        walk_on(generated, tmp_path).train("lr")


def test_other_conditions_are_other_runs(generated, tmp_path):
    walk_on(generated, tmp_path).train("lr")
    other = Study(generated, profile="smoke", runs=tmp_path / "runs", seed=1, progress="silent")
    assert other.find("lr") is None
    assert len(folders(tmp_path)) == 1


def test_video_level_data_climb_a_ladder_of_their_own(generated, tmp_path):
    study = walk_on(generated / "video", tmp_path)
    runs = study.train("ensemble-video")
    assert [row["name"] for row in study.results()] == list(VIDEO_LADDER)
    assert all(row["status"] == "trained" for row in study.results())
    assert len(runs["ensemble-video"].record["members"]) == 5


def test_what_reads_frames_is_not_applicable_to_vectors(generated, tmp_path, capsys):
    study = walk_on(generated / "video", tmp_path)
    assert study.train("lstm", "attention") == {}
    assert capsys.readouterr().out.count("one vector a video") == 2
    assert study.train_chapter("bi-gru") == {}


def test_fusion_is_not_applicable_to_one_modality_and_the_rest_is(sound_only, tmp_path, capsys):
    study = walk_on(sound_only, tmp_path)
    assert study.dataset.num_classes == 527
    assert study.train_chapter("fusion") == {}
    assert "one only (audio)" in capsys.readouterr().out
    assert set(study.train("bi-gru-concat", "attention")) == {"bi-gru-concat", "attention"}
    rows = {row["name"]: row["status"] for row in study.results()}
    assert rows["bi-gru-shared-space"] == "not applicable" and rows["attention"] == "trained"


def test_what_stands_beside_the_ladder_is_listed_once_it_is_trained(generated, tmp_path):
    study = walk_on(generated, tmp_path)
    assert study.beside().empty
    study.train("lr-no-norm")
    assert list(study.beside().index) == ["Logistic regression, without input normalization"]
    assert dmlkit.load_runs(tmp_path / "runs").loc[0, "name"] == "lr-no-norm"
