"""Runs on other data than they were trained on: codings converted, classes matched by name, all else refused."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import dequantize, import_features, match, open_dataset
from dmlkit.metrics import global_average_precision
from dmlkit.profiles import as_profile

CLASSES = ("car", "cat", "dog")
VIDEOS, FRAMES, SIZE = 200, 6, 8
SPLITS = np.repeat(["train", "tuning", "validate"], [80, 20, 100])
IDS = [f"v{number:03}" for number in range(VIDEOS)]
SETTINGS = {"profile": replace(as_profile("smoke"), epochs=1), "progress": "silent"}


@pytest.fixture(scope="module")
def clips():
    """The bytes (videos, frames, size) of clips, and which of `CLASSES` each shows."""
    rng = np.random.default_rng(3)
    labels = rng.random((VIDEOS, 3)) < 0.45
    signal = (labels @ rng.normal(size=(3, SIZE)))[:, None] * 25
    return np.clip(128 + signal + rng.normal(size=(VIDEOS, FRAMES, SIZE)) * 20, 0, 255).astype(
        np.uint8
    ), labels


@pytest.fixture(scope="module")
def make(clips, tmp_path_factory):
    """A function that imports the clips, once under each name: in a coding, with classes of these names in order."""
    root, (stored, labels) = tmp_path_factory.mktemp("clips"), clips

    def make(name, classes=CLASSES, *, coding="byte", renamed=None, values=stored):
        if (folder := root / name).exists():
            return folder
        shown = [(renamed or {}).get(each, each) for each in CLASSES]
        cells = [
            ";".join(n for n, true in zip(shown, row, strict=True) if true and n in classes) for row in labels
        ]
        with (root / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "labels", "split"), *zip(IDS, cells, SPLITS, strict=True)])
        (root / "classes.txt").write_text("\n".join(classes))
        np.savez(root / "clips.npz", ids=IDS, rgb=values, num_frames=np.full(VIDEOS, FRAMES))
        settings = {"labels": root / "labels.csv", "classes": root / "classes.txt", "coding": coding}
        import_features(root / "clips.npz", folder, records_per_shard=40, **settings)
        return folder

    return make


@pytest.fixture(scope="module")
def runs(make, tmp_path_factory):
    """Coding → a run with attention, trained on the clips in it."""
    root = tmp_path_factory.mktemp("runs")
    return {
        coding: dmlkit.train("attention", data=make(coding, coding=coding), out=root / coding, **SETTINGS)
        for coding in ("byte", "float")
    }


@pytest.fixture
def with_names(runs, tmp_path):
    """A function that leaves a copy of the run on bytes, trained on the same records under other class names."""

    def leave(*names):
        folder = shutil.copytree(runs["byte"].path, tmp_path / "-".join(names))
        record = runs["byte"].record
        changed = {"data": record["data"] | {"class_names": list(names)}, "seed": 1}
        (folder / "run.json").write_text(json.dumps(record | changed))
        return folder

    return leave


@pytest.fixture
def unlabelled(make, tmp_path):
    """The shards of the validation split without labels, dataset.toml and vocabulary."""
    source = open_dataset(make("byte"))
    (tmp_path / "unlabelled").mkdir()
    batch = next(iter(source.batches("validate", batch_size=100)))
    pairs = zip(batch["id"].tolist(), batch["rgb"], strict=True)
    records = [
        dmlkit.data.serialize_frames(video_id=name, labels=None, frames={"rgb": rgb}) for name, rgb in pairs
    ]
    dmlkit.data.write_shard(str(tmp_path / "unlabelled" / "test.tfrecord"), records)
    return tmp_path / "unlabelled"


def refused(ended, code, *parts):
    """An error in one paragraph, below the notes there may be; nothing on standard output."""
    *notes, message = ended[2].splitlines()
    assert ended[:2] == (code, "") and all(" is held as " in note for note in notes), ended
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(("trained", "other"), [("byte", "float"), ("float", "byte")])
def test_a_run_scores_the_same_clips_alike_in_either_coding(runs, make, command, trained, other):
    run, data = runs[trained], make(other)
    own, note = dmlkit.predict(run, data=make(trained)), f"rgb is held as {other} and read as {trained}"
    with pytest.warns(UserWarning, match=note):
        found = dmlkit.predict(run, data=data)
    # Bytes become the very floats that were imported, and those the very bytes.
    np.testing.assert_array_equal(found.scores, own.scores)
    assert len(np.unique(own.scores)) > 100 and 0.3 < run.gap < 1
    code, out, err = command("evaluate", run.path, "--data", data)
    assert code == 0 and f"GAP@20  {run.gap:.4f}" in out and err.startswith(f"dmlkit: {note}")
    # Together with a run in the data's own coding: each reads its own.
    with pytest.warns(UserWarning, match=note):
        both = dmlkit.predict([run, runs[other]], data=data)
    weights = dmlkit.gap_weights([run.tuning_gap, runs[other].tuning_gap])
    scores = [own.scores, dmlkit.predict(runs[other], data=data).scores]
    np.testing.assert_allclose(both.scores, dmlkit.weighted_average(scores, weights), atol=1e-3)
    view, expected = (dmlkit.explore(run, each) for each in (data, make(trained)))
    assert note in view.source.note and expected.source.note is None
    batch = next(iter(open_dataset(data).batches("validate", batch_size=2)))
    with pytest.raises(dmlkit.UsageError, match="Convert it by"):
        dmlkit.attention_weights(run.model, batch)
    with pytest.raises(dmlkit.UsageError, match="Convert it by"):
        dmlkit.training.score_split(run.model, open_dataset(data), "validate")
    bare = dmlkit.explore(run.model, data)
    for shown in (view, bare):
        np.testing.assert_array_equal(shown.weights, expected.weights)
        assert shown.scores == expected.scores
    np.testing.assert_allclose(view.evidence[0].energy["rgb"], expected.evidence[0].energy["rgb"])


def test_values_that_no_byte_codes_are_counted_and_too_many_refused(runs, make, clips, command):
    run, values = runs["byte"].path, dequantize(clips[0])
    values[[100, 199], 0, :2] = [[5.0, -2.1], [2.5, 1.9]]  # of the 100 videos that validate
    code, _, err = command("evaluate", run, "--data", make("few", coding="float", values=values))
    assert code == 0 and "rgb: 3 of 4,800 values (0.062%) were clipped to [-2, 2]" in err
    values[190:, 0] = 3.0
    ended = command("evaluate", run, "--data", make("some", coding="float", values=values))
    refused(ended, 3, "rgb: 82 of 4,800 values (1.708%)", "import them as uint8")
    data = make("whole-numbers", coding="float", values=clips[0].astype(np.float32))
    refused(command("evaluate", run, "--data", data), 3, "bytes from 0 to 255 held as floats", "uint8")
    out = ("--split", "validate", "--out", data / "out.csv")
    refused(command("predict", run, "--data", data, *out), 3, "bytes from 0 to 255 held as floats")
    assert not (data / "out.csv").exists()
    view = dmlkit.explore(run, data)
    with pytest.raises(dmlkit.DataError, match="0 to 255"):
        view.video = "v101"
    assert view.evidence == ()


def test_values_of_another_scale_are_named(runs, make, clips, command):
    for name, values in {"wide": dequantize(clips[0]) * 10, "far": dequantize(clips[0]) + 3}.items():
        data = make(name, coding="float", values=values)
        code, _, err = command("evaluate", runs["float"].path, "--data", data)
        found = re.search(rf"{name}, rgb: values (\S+) ± (\S+) \(mean", err).groups()
        assert code == 0 and float(found[0]) == pytest.approx(values[100:].mean(), rel=0.1)
        assert float(found[1]) == pytest.approx(values[100:].std(), rel=0.1)
        view = dmlkit.explore(runs["float"], data)
        with pytest.warns(UserWarning, match="scaled or normalized"):
            view.video = "v101"


def test_an_ensemble_ranks_among_its_own_classes(runs, make, with_names, tmp_path):
    run = dmlkit.ensemble([runs["byte"], with_names(*CLASSES)], out=tmp_path / "both", by="rank_mean")
    with pytest.warns(UserWarning, match="matched by name"):
        part = dmlkit.predict(run, data=make("part", ("dog", "cat")))
    np.testing.assert_array_equal(part.scores, run.predictions.scores[:, [2, 1]])


def test_classes_in_another_order_or_fewer_of_them_are_matched_by_name(runs, make, command, tmp_path):
    run, order = runs["byte"], ("dog", "car", "cat")
    columns, own = [CLASSES.index(name) for name in order], dmlkit.evaluate(runs["byte"], data=make("byte"))
    stored = run.predictions
    with pytest.warns(UserWarning, match="matched by name: 3 of the 3 .*, in another order"):
        found = dmlkit.predict(run, data=make("permuted", order))
    np.testing.assert_array_equal(found.scores, dmlkit.predict(run, data=make("byte")).scores[:, columns])
    np.testing.assert_array_equal(found.labels, stored.labels[:, columns])
    code, out, err = command("evaluate", run.path, "--data", make("permuted", order))
    assert code == 0 and f"GAP@20  {own['gap']:.4f}" in out and f"mAP     {own['map']:.4f}" in out
    assert err.count("dmlkit: ") == 1
    with pytest.warns(UserWarning, match="matched by name: 2 of the 3"):
        part = dmlkit.evaluate(run, data=make("part", ("dog", "cat")))
    scores, labels = (each[:, [2, 1]] for each in (stored.scores, stored.labels))
    assert part["num_classes"] == 2 and part["gap"] == pytest.approx(
        global_average_precision(scores, labels), abs=1e-3
    )
    # A submission is in the numbers of the data, and measures as the run does.
    csv_file = tmp_path / "s.csv"
    permuted = ("--data", make("permuted", order), "--split", "validate")
    assert command("predict", run.path, *permuted, "--out", csv_file)[0] == 0
    assert out.startswith(command("evaluate", "--submission", csv_file, *permuted)[1].rstrip("\n"))
    # The explorer: the same weights, and each class under its name what it is on the run's own data.
    views = [dmlkit.explore(run, make(name), video="v103") for name in ("byte", "permuted")]
    assert views[0].scores == pytest.approx(views[1].scores) and views[1].source.class_names == order
    parts = [
        dict(zip(view.evidence[0].names, view.evidence[0].contributions.T, strict=True)) for view in views
    ]
    for name in CLASSES:
        np.testing.assert_allclose(parts[0][name], parts[1][name])
    true = [{view.source.class_names[label] for label in view.evidence[0].true} for view in views]
    assert true[0] == true[1] and len(true[0]) < 3
    for view in views:
        view.masked = [0]
    assert views[0].scores == pytest.approx(views[1].scores)
    assert list(views[0].source.worst(limit=5)) == list(views[1].source.worst(limit=5))


def test_runs_that_number_their_classes_otherwise_score_together_by_name(
    runs, make, clips, with_names, unlabelled
):
    run, other = runs["byte"], with_names("cat", "dog", "car")
    data = make("backwards", values=clips[0][:, ::-1])
    scores = dmlkit.predict(run, data=data).scores
    expected = (scores + scores[:, [2, 0, 1]].astype(np.float32)) / 2  # its car is the third
    with pytest.warns(UserWarning, match="in another order"):
        both = dmlkit.predict([run, other], data=data)
    np.testing.assert_allclose(both.scores, expected, atol=1e-3)
    # Without labels and names, the data take those of the first.
    scores = dmlkit.predict(run, data=make("byte")).scores
    with pytest.warns(UserWarning, match="in another order"), pytest.warns(match=f"those of {other}"):
        both = dmlkit.predict([other, run], data=unlabelled, split="test")
    np.testing.assert_allclose(both.scores, (scores + scores[:, [1, 2, 0]].astype(np.float32)) / 2, atol=1e-3)


def test_unlabelled_data_take_the_names_of_the_run(runs, make, unlabelled, command):
    run = runs["byte"].path
    code, out, err = command("predict", run, "--data", unlabelled, "--names", "--out", "-")
    assert code == 0 and f"they are those of {run}" in err and "100 videos of 'test' written" in err
    assert (
        out
        == command("predict", run, "--data", make("byte"), "--split", "validate", "--names", "--out", "-")[1]
    )
    assert {line.split()[2] for line in out.splitlines() if line.startswith("  ")} == set(CLASSES)
    view = dmlkit.explore(run, unlabelled, split="test")
    assert view.source.class_names == CLASSES and "they are those of" in view.source.note
    (unlabelled / "vocabulary.csv").write_text("Index,Name\n0,car\n1,cat\n")
    found = command("predict", run, "--data", unlabelled, "--names", "--out", "-")
    assert "2 of the 3" in found[2] and " dog" not in found[1]


def test_modalities_are_left_aside_or_missed(smoke_runs, with_texts, make, command, tmp_path):
    for run in smoke_runs.values():
        with pytest.warns(UserWarning, match="text: left aside"):
            found = dmlkit.predict(run, data=with_texts)
        np.testing.assert_allclose(found.scores, run.predictions.scores, atol=1e-3)
    assert "text: left aside" in dmlkit.explore(smoke_runs["attention"], with_texts).source.note
    ended = command("evaluate", smoke_runs["lr"].path, "--data", make("byte"))
    refused(ended, 2, "rgb (64 values, byte), audio (16 values, byte)", "rgb (8 values, byte)")


def test_classes_that_the_run_does_not_know_are_refused_wherever_it_is_opened(
    runs, make, clips, with_names, command, tmp_path
):
    run, bus, out = runs["byte"].path, ("bus", "cat", "dog"), tmp_path / "out"
    names = {"classes": bus, "renamed": {"car": "bus"}}
    other, same = make("bus", values=clips[0][:, ::-1], **names), make("renamed", **names)
    for data, parts in (
        (other, ("'bus' (class 0)", "--classes RUN")),
        (same, ("the same records, class 0 was 'car' and is 'bus'",)),
    ):
        refused(command("evaluate", run, "--data", data), 2, *parts)
        refused(command("predict", run, "--data", data, "--split", "validate", "--out", out), 2, *parts)
        with pytest.raises(dmlkit.UsageError, match="other classes than"):
            dmlkit.explore(run, data)
    renamed = with_names(*bus)
    refused(
        command("ensemble", run, renamed, "--out", out), 2, str(renamed), "class 0 was 'car' and is 'bus'"
    )
    refused(command("compare", run, renamed), 2, str(renamed), "class 0 was 'car' and is 'bus'")
    refused(command("compare", run, run, "--data", same), 2, str(same), "class 0 was 'car' and is 'bus'")
    with pytest.raises(dmlkit.UsageError, match="class 0 was 'car' and is 'bus'"):
        dmlkit.train("lr", data=same, teachers=[run], out=out, **SETTINGS)
    with pytest.raises(dmlkit.UsageError, match="other names of its classes"):
        dmlkit.train("attention", data=same, out=run, **SETTINGS)
    assert not out.exists()
    found = json.loads(command("compare", run, with_names(*CLASSES), "--json")[1])
    assert [each["name"] for each in sorted(found["classes"], key=lambda each: each["number"])] == list(
        CLASSES
    )


def test_names_that_say_nothing_must_stand_where_the_run_has_them(runs, make):
    dataset, trained_on = open_dataset(make("byte")), runs["byte"].record["data"] | {"fingerprint": ""}

    def columns(names, known):
        data = replace(dataset, class_names=tuple(names), num_classes=len(names))
        expected = trained_on | {"class_names": list(known), "num_classes": len(known)}
        return match(data, expected, model="run").columns

    assert columns("dcba", "abcd") == [3, 2, 1, 0] and columns("bd", "abcd") == [1, 3]
    assert columns("caab"[:3], "caab") == [0, 1, 2] and columns("baac", "caab") == [3, 1, 2, 0]
    assert columns(["e\u0301", "a"], ["a", "\xe9"]) == [1, 0]  # é, composed or not
    assert columns(["b", "class 1", "a"], ["a", "class 1", "b"]) == [2, 1, 0]
    for names, known in (("aabc", "caab"), (["class 1", "a"], ["a", "class 1"]), (["class 0", "b"], "ab")):
        with pytest.raises(dmlkit.UsageError, match="does not know"):
            columns(names, known)
    assert (
        match(replace(dataset, named=False), trained_on, model="run").notes[0].startswith("Classes are taken")
    )
