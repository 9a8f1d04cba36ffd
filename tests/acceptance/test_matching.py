"""Runs on other data than they were trained on: codings converted, classes matched by name, all else refused."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit.data import dequantize, match, open_dataset, serialize_frames, write_shard
from dmlkit.metrics import global_average_precision


@pytest.fixture(scope="module")
def run(smoke_runs):
    """A run on bytes; `twin` is the same model, as if it had been trained on floats."""
    return smoke_runs["attention"]


@pytest.fixture(scope="module")
def twin(run, generated, tmp_path_factory):
    folder = shutil.copytree(run.path, tmp_path_factory.mktemp("twin") / "float")
    dataset, data = open_dataset(generated), run.record["data"]
    floats = {name: replace(each, coding="float") for name, each in dataset.features.items()}
    model = dmlkit.build_model(run.experiment, replace(dataset, features=floats), profile="smoke")
    model.set_weights(run.model.get_weights())
    model.save(folder / "model.keras")
    features = {name: each | {"coding": "float"} for name, each in data["features"].items()}
    record = run.record | {"data": data | {"features": features, "fingerprint": "of floats"}}
    (folder / "run.json").write_text(json.dumps(record))
    return dmlkit.load_run(folder)


@pytest.fixture(scope="module")
def videos(generated):
    """Id → classes, and modality → bytes, of the videos that validate."""
    batch = next(iter(open_dataset(generated).batches("validate", batch_size=100)))
    rows = zip(*(batch[name] for name in ("id", "labels", "num_frames", "rgb", "audio")), strict=True)
    return {
        str(name): (np.flatnonzero(row), {"rgb": rgb[:length], "audio": audio[:length]})
        for name, row, length, rgb, audio in rows
    }


@pytest.fixture
def make(videos, run, tmp_path):
    """A function that leaves the videos as shards, with a vocabulary of these names, the frames changed by another."""

    def make(
        folder, names=run.class_names, *, split="validate", labelled=True, change=lambda frames, _: frames
    ):
        records, path = [], tmp_path / folder
        for number, (name, (classes, frames)) in enumerate(videos.items()):
            own = [run.class_names[label] for label in classes]
            labels = [names.index(each) for each in own if each in names] if labelled else None
            arrays = {each: change(values, number) for each, values in frames.items()}
            records.append(serialize_frames(video_id=name, labels=labels, frames=arrays))
        path.mkdir()
        for each in ("train", "tuning", split) if split == "validate" else (split,):
            write_shard(path / f"{each}.tfrecord", records)
        if names:
            with (path / "vocabulary.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("Index", "Name"), *enumerate(names)])
        return path

    return make


@pytest.fixture
def with_names(run, tmp_path):
    """A function that leaves a copy of the run, trained on the same records under other class names."""

    def leave(folder, names):
        copy = shutil.copytree(run.path, tmp_path / folder)
        changed = {"data": run.record["data"] | {"class_names": list(names)}, "seed": 1}
        (copy / "run.json").write_text(json.dumps(run.record | changed))
        return copy

    return leave


def floats(frames, _):
    return dequantize(frames)


def refused(ended, code, *parts):
    """An error in one paragraph, below the notes there may be; nothing on standard output."""
    *notes, message = ended[2].splitlines()
    assert ended[:2] == (code, "") and all(" is held as " in note for note in notes), ended
    assert all(part in message for part in parts), message


def test_a_run_scores_the_same_videos_alike_in_either_coding(run, twin, make, generated, command):
    data = make("floats", change=floats)
    for one, other, held, read in ((run, data, "float", "byte"), (twin, generated, "byte", "float")):
        note = f"rgb is held as {held} and read as {read}"
        with pytest.warns(UserWarning, match=note):
            found = dmlkit.predict(one, data=other)
        # Bytes become the very floats that they stand for, and those the very bytes.
        np.testing.assert_allclose(found.scores, run.predictions.scores, atol=1e-3)
        code, out, err = command("evaluate", one.path, "--data", other)
        assert code == 0 and f"GAP@20  {run.gap:.4f}" in out and err.startswith(f"dmlkit: {note}")
        view, expected = dmlkit.explore(one, other), dmlkit.explore(run, generated)
        assert note in view.source.note and expected.source.note is None
        batch = next(iter(open_dataset(other).batches("validate", batch_size=2)))
        with pytest.raises(dmlkit.UsageError, match="Convert it by"):
            dmlkit.attention_weights(one.model, batch)
        with pytest.raises(dmlkit.UsageError, match="Convert it by"):
            dmlkit.training.score_split(one.model, open_dataset(other), "validate")
        bare = dmlkit.explore(one.model, other), dmlkit.explore(run.model, generated)
        for shown, right in ((view, expected), bare):
            np.testing.assert_allclose(shown.weights, right.weights, atol=1e-6)
            assert shown.scores == pytest.approx(right.scores, abs=1e-5)
        np.testing.assert_allclose(view.evidence[0].energy["rgb"], expected.evidence[0].energy["rgb"])
    with pytest.warns(UserWarning, match=note):  # each reads its own
        both = dmlkit.predict([run, twin], data=generated)
    np.testing.assert_allclose(both.scores, run.predictions.scores, atol=1e-3)


def test_a_batch_scores_as_the_data_it_is_of(smoke_runs, run, twin, generated):
    """Also without ids and labels, in floats, as an ensemble, and of videos longer than the run reads."""
    assert run.record["profile"]["max_frames"] == 10
    dataset, members = open_dataset(generated), list(smoke_runs.values())
    batch = next(iter(dataset.batches("validate", batch_size=30)))
    arrays = {name: batch[name] for name in ("num_frames", "rgb", "audio")}
    assert arrays["num_frames"].max() > 10
    decoded = arrays | {name: dequantize(arrays[name]).astype(np.float64) for name in ("rgb", "audio")}
    for runs, given in ((run, batch), (run, arrays), (members, batch), (twin, decoded)):
        expected = dmlkit.predict(members if runs is members else run, data=generated).scores[:30]
        np.testing.assert_allclose(dmlkit.predict(runs, given), expected, atol=1e-3)
    with pytest.warns(UserWarning, match="rgb is held as float and read as byte"):
        np.testing.assert_allclose(dmlkit.predict(run, decoded), run.predictions.scores[:30], atol=1e-3)
    wrong = {
        "'rgb' must be": {"rgb": batch["rgb"][:3]}, "uint8 or finite": {"rgb": batch["rgb"].astype(int)},
        "1 to T": {"num_frames": batch["num_frames"] + 300}, "audio .3 values": {"audio": batch["audio"][..., :3]},
        "finite": {"rgb": np.full(batch["rgb"].shape, np.nan)}, r"shape \(\)": {"rgb": 3},
    }  # fmt: skip
    for message, changes in wrong.items():
        with pytest.raises(dmlkit.UsageError, match=message):
            dmlkit.predict(run, arrays | changes)
    for message, given in {
        "dict of arrays": generated,
        "frame-level records": {"rgb": batch["rgb"][:, 0]},
    }.items():
        with pytest.raises(dmlkit.UsageError, match=message):
            dmlkit.predict(run, given)
    with pytest.raises(dmlkit.UsageError, match="one of the two"):
        dmlkit.predict(run, batch, data=generated)
    text = f"{dataset!r}{dataset.batches('validate', batch_size=3)!r}{run!r}"
    assert " at 0x" not in text and "shuffle" not in text and "\n" not in text
    assert "frame-level, generated; 24 classes; rgb (64, byte), audio (16, byte); train 18 shards" in text


def test_values_that_no_byte_codes_are_counted_and_too_many_refused(run, videos, make, command):
    def few(frames, number):
        values = dequantize(frames)
        values[0, :2] = [[5.0, -2.1], [2.5, 1.9]][number] if number < 2 else values[0, :2]
        return values

    def some(frames, number):
        return np.where(number % 40 == 0, 3.0, dequantize(frames)).astype(np.float32)

    most = run.record["profile"]["max_frames"]
    sizes = [frames["rgb"][:most].size for _, frames in videos.values()]
    count, clipped = sum(sizes), sum(sizes[::40])
    code, _, err = command("evaluate", run.path, "--data", make("few", change=few))
    assert code == 0 and f"rgb: 3 of {count:,} values ({3 / count:.3%}) were clipped to [-2, 2]" in err
    ended = command("evaluate", run.path, "--data", make("some", change=some))
    refused(ended, 3, f"rgb: {clipped:,} of {count:,} values", "import them as uint8")
    data = make("whole-numbers", change=lambda frames, _: frames.astype(np.float32))
    refused(command("evaluate", run.path, "--data", data), 3, "bytes from 0 to 255 held as floats", "uint8")
    ended = command("predict", run.path, "--data", data, "--split", "validate", "--out", data / "out.csv")
    refused(ended, 3, "bytes from 0 to 255 held as floats")
    assert not (data / "out.csv").exists()
    with pytest.raises(dmlkit.DataError, match="0 to 255"):
        dmlkit.explore(run, data).video = list(videos)[1]


def test_values_of_another_scale_are_named(twin, videos, make, command):
    stored = np.concatenate([dequantize(frames["rgb"]) for _, frames in videos.values()])
    for name, factor, added in (("wide", 10, 0), ("far", 1, 3)):
        data = make(name, change=lambda frames, _: dequantize(frames) * factor + added)  # noqa: B023
        code, _, err = command("evaluate", twin.path, "--data", data)
        mean, deviation = re.search(rf"{name}, rgb: values (\S+) ± (\S+) \(mean", err).groups()
        assert code == 0 and float(deviation) == pytest.approx(stored.std() * factor, rel=0.1)
        assert float(mean) == pytest.approx(stored.mean() * factor + added, abs=0.1 * factor)
        with pytest.warns(UserWarning, match="scaled or normalized"):
            dmlkit.explore(twin, data)


def test_classes_in_another_order_or_fewer_of_them_are_matched_by_name(run, make, command, tmp_path):
    stored, order = run.predictions, np.random.default_rng(0).permutation(len(run.class_names))
    data = make("permuted", [run.class_names[label] for label in order])
    code, out, err = command("evaluate", run.path, "--data", data)
    assert code == 0 and err.count("\n") == 1 and "24 of the 24 of the training, in another order" in err
    assert f"GAP@20  {run.gap:.4f}" in out and f"mAP     {run.metrics['map']:.4f}" in out
    part, both = order[:5], dmlkit.ensemble([run, run], out=tmp_path / "both", by="rank_mean")
    fewer = make("part", [run.class_names[label] for label in part])
    for scored in (run, both):  # an ensemble ranks among all of its classes
        for path, columns in ((data, order), (fewer, part)):
            with pytest.warns(UserWarning, match=f"matched by name: {len(columns)} of the 24"):
                found = dmlkit.predict(scored, data=path).in_order_of(stored.ids)
            expected = scored.predictions.scores[:, columns].astype(np.float32)
            np.testing.assert_allclose(found.scores, expected, atol=0.05 if scored is both else 1e-3)
            np.testing.assert_array_equal(found.labels, stored.labels[:, columns])
    measured = dmlkit.evaluate(run, data=fewer)
    gap = global_average_precision(stored.scores[:, part], stored.labels[:, part])
    assert measured["num_classes"] == 5 and measured["gap"] == pytest.approx(gap, abs=1e-3)
    # A submission is in the numbers of the data, and measures as the run does.
    where = ("--data", data, "--split", "validate")
    assert command("predict", run.path, *where, "--out", tmp_path / "s.csv")[0] == 0
    assert out.startswith(command("evaluate", "--submission", tmp_path / "s.csv", *where)[1].rstrip("\n"))


def test_the_explorer_shows_each_class_under_its_name(run, generated, make):
    data, video = make("backwards", run.class_names[::-1]), str(run.predictions.ids[3])
    views = [dmlkit.explore(run, path, video=video) for path in (generated, data)]
    assert views[1].source.class_names == tuple(run.class_names[::-1])
    parts = []
    for view in views:
        shown = view.evidence[0]
        parts.append(dict(zip(shown.names, shown.contributions[:, 0].T, strict=True)))
        view.masked = [0]
    assert parts[0].keys() == parts[1].keys()
    for name, values in parts[0].items():
        np.testing.assert_allclose(values, parts[1][name])
    assert views[0].scores == pytest.approx(views[1].scores)
    assert list(views[0].source.worst(limit=5)) == list(views[1].source.worst(limit=5))
    true = [{view.source.class_names[label] for label in view.evidence[0].true} for view in views]
    assert true[0] == true[1] != set()


def test_runs_that_number_their_classes_otherwise_score_together_by_name(run, make, with_names):
    other, scores = with_names("other", run.class_names[::-1]), run.predictions.scores.astype(np.float32)
    expected = (scores + scores[:, ::-1]) / 2
    for names in (run.class_names, None):  # without labels and names, the data take those of the first
        data = make(f"data-{names is None}", names, labelled=names is not None, split="test")
        with pytest.warns(UserWarning, match="in another order") as warned:
            found = dmlkit.predict([run, other], data=data, split="test").in_order_of(run.predictions.ids)
        np.testing.assert_allclose(found.scores, expected, atol=1e-3)
        assert any(f"those of {run.path}" in str(each.message) for each in warned) == (names is None)


def test_unlabelled_data_take_the_names_of_the_run(run, make, generated, command):
    data = make("unlabelled", None, labelled=False, split="test")
    people = ("--names", "--out", "-")
    code, out, err = command("predict", run.path, "--data", data, *people)
    assert code == 0 and f"they are those of {run.path}" in err and "100 videos of 'test' written" in err
    assert out == command("predict", run.path, "--data", generated, "--split", "validate", *people)[1]
    source = dmlkit.explore(run, data, split="test").source
    assert source.class_names == tuple(run.class_names) and "they are those of" in source.note


def test_modalities_are_left_aside_or_missed(smoke_runs, with_texts, make, command):
    for run in smoke_runs.values():
        with pytest.warns(UserWarning, match="text: left aside"):
            found = dmlkit.predict(run, data=with_texts)
        np.testing.assert_allclose(found.scores, run.predictions.scores, atol=1e-3)
    assert "text: left aside" in dmlkit.explore(smoke_runs["attention"], with_texts).source.note
    ended = command("evaluate", run.path, "--data", make("narrow", change=lambda frames, _: frames[:, :8]))
    refused(ended, 2, "rgb (64 values, byte), audio (16 values, byte)", "rgb (8 values, byte)")


def test_classes_that_the_run_does_not_know_are_refused_wherever_it_is_opened(
    run, generated, make, with_names, command, tmp_path
):
    first, *others = run.class_names
    names, out, difference = ["bus", *others], tmp_path / "out", f"class 0 was '{first}' and is 'bus'"
    same = shutil.copytree(generated, tmp_path / "same")
    vocabulary = same / "vocabulary.csv"
    vocabulary.write_text(vocabulary.read_text().replace(f"0,{first}", "0,bus", 1))
    for data, parts in (
        (make("bus", names), ("'bus' (class 0)", "--classes RUN")),
        (same, (f"the same records, {difference}",)),
    ):
        refused(command("evaluate", run.path, "--data", data), 2, *parts)
        predict = ("predict", run.path, "--data", data, "--split", "validate", "--out", out)
        refused(command(*predict), 2, *parts)
        with pytest.raises(dmlkit.UsageError, match="other classes than"):
            dmlkit.explore(run, data)
    renamed = with_names("renamed", names)
    refused(command("ensemble", run.path, renamed, "--out", out), 2, str(renamed), difference)
    refused(command("compare", run.path, renamed), 2, str(renamed), difference)
    refused(command("compare", run.path, run.path, "--data", same), 2, str(same), difference)
    with pytest.raises(dmlkit.UsageError, match=difference):
        dmlkit.train("lr", data=same, teachers=[run], out=out, profile="smoke")
    with pytest.raises(dmlkit.UsageError, match="other class names"):
        dmlkit.train("attention", data=same, out=run.path, profile="smoke")
    assert not out.exists()


def test_names_that_tell_no_class_from_the_others_are_refused(run, generated):
    dataset, trained_on = open_dataset(generated), run.record["data"] | {"fingerprint": ""}

    def columns(names, known):
        data = replace(dataset, class_names=tuple(names), num_classes=len(names))
        expected = trained_on | {"class_names": list(known), "num_classes": len(known)}
        return match(data, expected, model="run").columns

    assert columns("dcba", "abcd") == [3, 2, 1, 0] and columns("bd", "abcd") == [1, 3]
    assert columns(["e\u0301", "a"], ["a", "\xe9"]) == [1, 0]  # é, composed or not
    assert columns("caab", "caab") is None and columns("cb", "caab") == [0, 3]
    for names, known in (("aabc", "caab"), (["class 1", "a"], ["a", "class 1"]), ("ba", "baac")):
        with pytest.raises(dmlkit.UsageError, match="its classes include none or several named"):
            columns(names, known)
    unnamed = match(replace(dataset, named=False), trained_on, model="run")
    assert unnamed.notes[0].startswith("Classes are taken")
