"""The walk: rungs that apply, rungs that do not, and the ladder so far."""

import json

import numpy as np
import pytest

import dmlkit
from dmlkit.data import serialize_frames, write_shard
from dmlkit.experiments import LADDER, VIDEO_LADDER
from dmlkit.training import Walk


def walk_on(data, tmp_path):
    return Walk(data, profile="smoke", runs=tmp_path / "runs", progress="silent")


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
        "state-of-the-art",
    ]
    paper = [0.70727, 0.79903, 0.80597, 0.84022, 0.01106, 0.01684, 0.81415, 0.81891, 0.84967]
    assert [rung.paper_gap for rung in LADDER.values()] == paper
    assert [row["name"] for row in walk_on(generated, tmp_path).results()] == list(LADDER)


def test_an_ensemble_trains_its_members_first_and_is_read_the_second_time(generated, tmp_path, capsys):
    runs = walk_on(generated, tmp_path).train("ensemble-lr-lstm")
    assert {path.name.rsplit("-", 1)[0] for path in (tmp_path / "runs").iterdir()} == {
        "lr",
        "lstm",
        "ensemble-lr-lstm",
    }
    capsys.readouterr()
    again = walk_on(generated, tmp_path).train("ensemble-lr-lstm", "lr")
    assert again["ensemble-lr-lstm"].record == runs["ensemble-lr-lstm"].record
    assert capsys.readouterr().out.count("already trained") == 2


def test_the_ladder_says_what_is_trained_and_why_the_rest_is_not(generated, tmp_path):
    walk = walk_on(generated, tmp_path)
    run = walk.train("lr")["lr"]
    rows = {row["name"]: row for row in walk.results()}
    assert rows["lr"]["status"] == "trained" and rows["lr"]["gap"] == run.gap
    assert rows["lstm"]["status"] == "not trained" and rows["lstm"]["gap"] is None
    assert rows["state-of-the-art"]["status"] == "missing" and "NetVLAD" in rows["state-of-the-art"]["reason"]
    json.dumps(rows, allow_nan=False)
    table = walk.ladder()
    assert table.index[0] == "Logistic regression" and table.loc["Logistic regression", "gap"] == run.gap


def test_other_conditions_are_other_runs(generated, tmp_path):
    walk_on(generated, tmp_path).train("lr")
    other = Walk(generated, profile="smoke", runs=tmp_path / "runs", seed=1, progress="silent")
    assert other.find("lr") is None
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_video_level_data_climb_a_ladder_of_their_own(generated, tmp_path):
    walk = walk_on(generated / "video", tmp_path)
    runs = walk.train("ensemble-video")
    assert [row["name"] for row in walk.results()] == list(VIDEO_LADDER)
    assert all(row["status"] == "trained" for row in walk.results())
    assert len(runs["ensemble-video"].record["members"]) == 5


def test_what_reads_frames_is_not_applicable_to_vectors(generated, tmp_path, capsys):
    walk = walk_on(generated / "video", tmp_path)
    assert walk.train("lstm", "attention") == {}
    assert capsys.readouterr().out.count("one vector a video") == 2
    assert walk.train_chapter("bi-gru") == {}


def test_fusion_is_not_applicable_to_one_modality_and_the_rest_is(sound_only, tmp_path, capsys):
    walk = walk_on(sound_only, tmp_path)
    assert walk.dataset.num_classes == 527
    assert walk.train_chapter("fusion") == {}
    assert "one only (audio)" in capsys.readouterr().out
    assert set(walk.train("bi-gru-concat", "attention")) == {"bi-gru-concat", "attention"}
    rows = {row["name"]: row["status"] for row in walk.results()}
    assert rows["bi-gru-shared-space"] == "not applicable" and rows["attention"] == "trained"


def test_what_stands_beside_the_ladder_is_listed_once_it_is_trained(generated, tmp_path):
    walk = walk_on(generated, tmp_path)
    assert walk.beside().empty
    walk.train("lr-bare")
    assert list(walk.beside().index) == ["Logistic regression, bare"]
    assert dmlkit.load_runs(tmp_path / "runs").loc[0, "name"] == "lr-bare"
