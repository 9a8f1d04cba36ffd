"""Two sides compared: what may stand on one, what may not stand against the other, what comes out."""

import json
from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import numpy as np
import pytest

import dmlkit
from dmlkit.comparison import two_sides
from dmlkit.errors import DataError, UsageError
from dmlkit.metrics import average_precision_by_class, paired_gap_difference
from dmlkit.predictions import Predictions
from dmlkit.runs import write_record


@pytest.fixture
def three_and_one(leave_run, tmp_path):
    """A folder with three seeds of a good model, and the run of a bad one."""
    for seed in (2, 0, 1):
        leave_run(tmp_path / "good" / f"seed-{seed}", "good", seed=seed, quality=0.6)
    return tmp_path / "good", leave_run(tmp_path / "bad", "bad", quality=0.3)


def test_one_run_against_one_is_the_paired_difference(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a", "good", quality=0.6), leave_run(tmp_path / "b", "bad", quality=0.4)
    told = dmlkit.compare(a, tmp_path / "b", resamples=100)
    labels = a.predictions.labels
    expected = paired_gap_difference(a.predictions.scores, b.predictions.scores, labels, resamples=100)
    assert (told.difference, told.interval) == expected
    assert told.excludes_zero and told.a_ahead == 1.0 and told.videos == 80
    assert "The interval excludes 0" in str(told) and "those of few videos first" in str(told)
    by_class = [average_precision_by_class(run.predictions.scores, labels) for run in (a, b)]
    assert {change.number for change in told.classes} == set(np.flatnonzero(labels.sum(axis=0) >= 5))
    for change in told.classes:
        assert change.difference == by_class[0][change.number] - by_class[1][change.number]
        assert change.videos == labels[:, change.number].sum()
    assert "trained under one seed" in str(told)


def test_several_seeds_are_pooled_with_their_spread(three_and_one):
    folder, bad = three_and_one
    told = dmlkit.compare(folder, bad, resamples=50)
    gaps = [run.gap for run in dmlkit.runs.list_runs(folder)]
    assert told.a.seeds == (0, 1, 2) and sorted(told.a.gaps.values) == sorted(gaps)
    assert told.difference == pytest.approx(np.mean(gaps) - bad.gap, abs=1e-12)
    assert told.a.gaps.deviation == pytest.approx(np.std(gaps, ddof=1), abs=1e-12)
    assert f"standard deviation {np.std(gaps, ddof=1):.4f}" in str(told)
    assert f"seed 2 {told.a.gaps.values[2]:.4f}" in str(told)
    assert "B was trained under one seed" in str(told)
    as_list = dmlkit.compare([folder / "seed-1", folder / "seed-0", folder / "seed-2"], [bad], resamples=50)
    assert as_list == told


def test_several_seeds_on_both_sides_say_how_far_seeds_differ(three_and_one, leave_run, tmp_path):
    for seed in (7, 8):
        leave_run(tmp_path / "near" / str(seed), "near", seed=seed, quality=0.6)
    said = str(dmlkit.compare(three_and_one[0], tmp_path / "near", resamples=50))
    assert "than the seeds of one side do" in said and "one seed" not in said


def test_another_order_of_the_videos_changes_nothing(leave_run, tmp_path):
    a = leave_run(tmp_path / "a", "a", quality=0.6)
    b = leave_run(tmp_path / "b", "b")
    turned = leave_run(tmp_path / "turned", "b", order=np.random.default_rng(0).permutation(80))
    straight, back = (dmlkit.compare(a, other, resamples=20) for other in (b, turned))
    assert (straight.interval, straight.classes) == (back.interval, back.classes)


def test_turned_round_gains_are_losses(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a", "a", quality=0.6), leave_run(tmp_path / "b", "b", quality=0.3)
    told, back = dmlkit.compare(a, b, resamples=20), dmlkit.compare(b, a, resamples=20)
    assert [change.number for change in told.gained(3)] == [change.number for change in back.lost(3)]
    assert told.gained(3)[0].difference > told.gained(3)[2].difference > 0 > back.lost(1)[0].difference
    assert not told.gained(0) and len(told.gained(99)) + len(told.lost(99)) <= len(told.classes)


def test_a_run_against_itself_is_no_difference_and_said(leave_run, tmp_path):
    run = leave_run(tmp_path / "a")
    told = dmlkit.compare(run, run, resamples=20)
    assert (told.difference, told.interval, told.a_ahead) == (0.0, (0.0, 0.0), 0.5)
    assert not told.excludes_zero and "could have turned" in str(told) and "both sides" in str(told)
    assert not told.gained() and not told.lost()


def test_another_profile_is_said(leave_run, tmp_path):
    a = leave_run(tmp_path / "a", profile="smoke", units=8)
    b = leave_run(tmp_path / "b", profile="demo", units=64, seed=1)
    (note,) = dmlkit.compare(a, b, resamples=2).notes
    assert "name smoke and demo" in note and "units 8 and 64" in note


def test_runs_on_other_data_are_refused_with_names_and_fingerprints(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a", data="one"), leave_run(tmp_path / "b", data="two")
    with pytest.raises(
        UsageError, match=r"different data .* one \(fingerprint oneone.* two \(fingerprint twotwo"
    ):
        dmlkit.compare(a, b)


def test_runs_on_other_videos_are_refused_with_the_first(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b", videos=79)
    with pytest.raises(UsageError, match=r"on 80 videos, .* on 79\. Only the first knows 'v079'"):
        dmlkit.compare(a, b)
    with pytest.raises(UsageError, match="Only the second knows 'v079'"):
        dmlkit.compare(b, a)


def test_other_labels_and_other_classes_are_refused(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b")
    told = b.predictions
    labels = told.labels.copy()
    labels[3, 7] ^= True
    Predictions(ids=told.ids, labels=labels, scores=told.scores).save(b.path / "predictions.npz")
    with pytest.raises(UsageError, match=r"labels .* differ, first for the video 'v003', class 7"):
        dmlkit.compare(a, tmp_path / "b")
    narrow = Predictions(ids=told.ids, labels=told.labels[:, :9], scores=told.scores[:, :9])
    narrow.save(b.path / "predictions.npz")
    with pytest.raises(UsageError, match=r"10 classes, .* 9"):
        dmlkit.compare(a, tmp_path / "b")


def test_scores_that_cannot_be_measured_are_data_errors(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b")
    told = b.predictions
    Predictions(ids=told.ids, labels=None, scores=told.scores).save(b.path / "predictions.npz")
    with pytest.raises(DataError, match="no labels"):
        dmlkit.compare(a, tmp_path / "b")
    twice = np.array([*told.ids[:-1], told.ids[0]])
    Predictions(ids=twice, labels=told.labels, scores=told.scores).save(b.path / "predictions.npz")
    with pytest.raises(DataError, match="a video twice"):
        dmlkit.compare(a, tmp_path / "b")
    (b.path / "predictions.npz").unlink()
    with pytest.raises(DataError, match=r"predictions\.npz"):
        dmlkit.compare(a, tmp_path / "b")


def test_a_side_that_mixes_experiments_or_profiles_lists_them(leave_run, tmp_path):
    other = leave_run(tmp_path / "other", "other")
    leave_run(tmp_path / "mixed" / "a", "lr")
    leave_run(tmp_path / "mixed" / "b", "lstm", seed=1)
    with pytest.raises(UsageError, match=r"Side B mixes 2 experiments.* lr under .*mixed/a.*; lstm under"):
        dmlkit.compare(other, tmp_path / "mixed")
    leave_run(tmp_path / "profiles" / "a", profile="smoke")
    leave_run(tmp_path / "profiles" / "b", profile="demo", seed=1)
    with pytest.raises(
        UsageError, match=r"Side A mixes 2 .*lr under the profile smoke .*lr under the profile demo"
    ):
        dmlkit.compare(tmp_path / "profiles", other)
    leave_run(tmp_path / "settings" / "a", units=8)
    leave_run(tmp_path / "settings" / "b", units=16, seed=1)
    with pytest.raises(UsageError, match=r"with profile\.units 8 .*with profile\.units 16"):
        dmlkit.compare(tmp_path / "settings", other)


def test_one_seed_twice_is_refused(leave_run, tmp_path):
    for name in ("a", "b"):
        leave_run(tmp_path / "side" / name, seed=3)
    other = leave_run(tmp_path / "other", "other")
    with pytest.raises(UsageError, match=r"Side A holds the seed 3 twice: .*side/a and .*side/b"):
        dmlkit.compare(tmp_path / "side", other)
    with pytest.raises(UsageError, match="Side B holds the seed 0 twice"):
        dmlkit.compare(tmp_path / "side/a", [other, other.path])


def test_nothing_to_compare(leave_run, tmp_path):
    run = leave_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for nothing in ("nowhere", "file"):
        with pytest.raises(UsageError, match=rf"no run at .*{nothing}"):
            dmlkit.compare(run, tmp_path / nothing)
    with pytest.raises(UsageError, match=r"no finished run at .*empty, nor below"):
        dmlkit.compare(tmp_path / "empty", run)
    with pytest.raises(UsageError, match="Side B names no run"):
        dmlkit.compare(run, [])


def test_a_damaged_seed_is_left_out_and_said_and_one_that_was_named_is_an_error(three_and_one):
    folder, bad = three_and_one
    (folder / "seed-1" / "run.json").write_text('{"kind": "trai')
    told = dmlkit.compare(folder, bad, resamples=5)
    assert told.a.seeds == (0, 2)
    assert (
        "Left out" in told.notes[0] and "seed-1/run.json" in told.notes[0] and "Note: Left out" in str(told)
    )
    with pytest.raises(DataError, match=r"seed-1/run\.json"):
        dmlkit.compare(folder / "seed-1", bad)
    for seed in (0, 2):
        (folder / f"seed-{seed}" / "run.json").write_text("")
    with pytest.raises(UsageError, match=r"no finished run at .* cannot be read: .*run\.json"):
        dmlkit.compare(folder, bad)


def test_scores_cut_to_the_highest_are_said(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b", "b")
    told = b.predictions
    kept = np.where(told.scores >= np.sort(told.scores, axis=1)[:, -4:-3], told.scores, 0).astype(np.float16)
    Predictions(ids=told.ids, labels=told.labels, scores=kept, kept=4).save(b.path / "predictions.npz")
    (note,) = dmlkit.compare(a, tmp_path / "b", resamples=5).notes
    assert "4 highest scores" in note


def test_scores_do_not_stay_in_memory_unless_they_were(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b", "b")
    held = a.predictions
    dmlkit.compare(a, b, resamples=2)
    assert a.predictions is held and "predictions" not in vars(b)


def test_class_names_are_the_data_sets_and_only_its_own(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a", quality=0.6), leave_run(tmp_path / "b", "b", quality=0.3)
    names = [
        "evil \x1b[31m<script>alert(1)</script>",
        "a, b",
        "n" * 300,
        *(f"name {n}" for n in range(3, 10)),
    ]
    dataset = SimpleNamespace(name="made up", fingerprint="made up" * 8, class_names=names)
    told = dmlkit.compare(a, b, dataset=dataset, resamples=5)
    said, page = told.text(classes=10), told._repr_html_()
    assert "name 5" in said and "a, b" in said and "n" * 43 + "…" in said
    assert "\x1b" not in said + page + repr(told) and "<script>" not in page
    assert max(map(len, said.splitlines())) <= 110
    with pytest.raises(UsageError, match="other data"):
        dmlkit.compare(a, b, dataset=SimpleNamespace(name="else", fingerprint="e" * 64, class_names=names))


def test_a_title_cannot_break_the_page_or_the_terminal(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b", "b")
    a.record["experiment"]["title"] = "<b>bold\x1b[2J\n" + "x" * 300
    write_record(a.path, a.record)
    told = dmlkit.compare(tmp_path / "a", b, resamples=2)
    assert "\x1b" not in str(told) + told._repr_html_() and "<b>" not in told._repr_html_()
    assert "x" * 61 not in str(told)


def test_it_is_a_value(leave_run, tmp_path):
    a, b = leave_run(tmp_path / "a"), leave_run(tmp_path / "b", "b")
    told = dmlkit.compare(a, b, resamples=10)
    assert told == dmlkit.compare(tmp_path / "a", tmp_path / "b", resamples=10)
    with pytest.raises(FrozenInstanceError):
        told.difference = 0
    record = json.loads(json.dumps(told.to_record()))
    assert record["difference"] == told.difference and record["interval"] == list(told.interval)
    assert [run["path"] for run in record["a"]["runs"]] == [str(tmp_path / "a")]
    assert len(record["classes"]) == len(told.classes)
    few = dmlkit.compare(a, b, resamples=10, least=1000)
    assert few.classes == () and "No class has 1000 videos" in str(few) and few._repr_html_()


def test_more_than_two_paths_are_grouped_in_order(leave_run, tmp_path):
    paths = [
        leave_run(tmp_path / f"{name}-{seed}", name, seed=seed).path for name in "ba" for seed in range(2)
    ]
    sides = two_sides(paths)
    assert [[run.path for run in side] for side in (sides.a, sides.b)] == [paths[:2], paths[2:]]
    assert two_sides(paths[:1] + paths[-1:])[:2] == (paths[0], paths[-1])
    with pytest.raises(UsageError, match="are of 1 experiment: b under the profile smoke"):
        two_sides([*paths[:2], paths[0]])
    third = leave_run(tmp_path / "c", "c").path
    with pytest.raises(
        UsageError, match=r"5 paths are of 3 experiments: b .*\(2 runs.*; a .*\(2 runs.*; c .*\(1 run,"
    ):
        two_sides([*paths, third])
    for few in ([], paths[:1]):
        with pytest.raises(UsageError, match="two sides"):
            two_sides(few)
