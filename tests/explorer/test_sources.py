"""Evidence of models is the models' own, that of plain arrays is computed; what cannot be shown is explained."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

import dmlkit
from dmlkit.data import dequantize, limit_shards, open_dataset
from dmlkit.data.records import scan_headers
from dmlkit.data.schema import ThumbnailSettings
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import explore_arrays
from dmlkit.explorer.evidence import MAX_CLASSES, class_scores, reweight
from dmlkit.explorer.media import media_of
from dmlkit.explorer.sources import ModelSource
from dmlkit.models import attention_weights, build
from dmlkit.profiles import PROFILES

WEIGHTS = np.array([0.1, 0.2, 0.7])
CONTRIBUTIONS = np.array([[1.0, -1.0], [0.0, 2.0], [3.0, 0.0]])


def model_for(dataset, **parts):
    features = {each.name: (each.size, each.coding) for each in dataset.features.values()}
    settings = {"encoder": "bi_gru", "units": 4, "layers": 1, "pooling": "attention"} | parts
    model = build(features=features, level="frame", num_classes=dataset.num_classes, **settings)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        values = rng.normal(scale=0.5, size=weight.shape)
        weight.assign(np.abs(values) if "variance" in weight.name else values)
    return model


def scores_of(model, batch):
    return model.predict_on_batch({name: batch[name] for name in model.input})


@pytest.fixture(scope="module")
def model(dataset):
    return model_for(dataset)


@pytest.fixture(scope="module")
def source(model, dataset):
    return ModelSource(model, dataset)


@pytest.fixture(scope="module")
def batch(dataset):
    return next(iter(dataset.batches("validate", batch_size=6)))


def test_weights_and_scores_are_the_models(source, model, batch, dataset):
    weights, scores = attention_weights(model, batch), scores_of(model, batch)
    truth = dataset.truth("validate")
    for row, (name, frames) in enumerate(zip(batch["id"].tolist(), batch["num_frames"], strict=True)):
        (found,) = source.evidence(name)
        np.testing.assert_allclose(found.mean_weights, weights[row, :frames], atol=1e-6)
        np.testing.assert_allclose(found.scores, scores[row, list(found.classes)], atol=1e-6)
        np.testing.assert_allclose(class_scores(found, reweight(found)), found.scores, atol=1e-6)
        shares = np.exp(found.logits - found.logits.max())
        np.testing.assert_allclose(shares / shares.sum(), found.weights, atol=1e-5)
        assert found.times.tolist() == list(range(frames)) and len(found.classes) == MAX_CLASSES
        assert set(found.true) == set(np.flatnonzero(batch["labels"][row])) <= set(found.classes)
        made = {label: np.flatnonzero(row).tolist() for label, row in found.ground_truth.items()}
        assert made == {label: frames.tolist() for label, frames in truth[name].items()}
        assert found.names == tuple(dataset.class_names[label] for label in found.classes)
    values = dequantize(batch["rgb"][row, :frames])
    np.testing.assert_allclose(found.energy["rgb"][3], np.linalg.norm(values[3]), rtol=1e-5)
    np.testing.assert_allclose(found.change["rgb"][3], np.linalg.norm(values[3] - values[2]), rtol=1e-5)
    assert found.change["rgb"][0] == 0


def test_a_mixture_of_experts_has_occlusion(dataset, batch):
    source = ModelSource(model_for(dataset, classifier="mixture_of_experts", encoder="none"), dataset)
    (found,), (after,) = source.evidence(batch["id"][0]), source.evidence(batch["id"][0], removed=[5])
    assert found.contributions is None and found.biases is None
    # Without an encoder frames do not depend on each other, and masking one is removing it.
    np.testing.assert_allclose(found.terms[5, 0], found.scores - after.scores, atol=1e-5)


KINDS = {
    "heads": {"pooling": "multi_head_attention", "heads": 2, "encoder": "none"},
    "by_class": {"classifier": "class_attention", "pooling": "last"},
    "by_feature": {"pooling": "feature_attention"},
    "mean": {"pooling": "mean"},
    "clusters": {"pooling": "netvlad", "clusters": 4},
    "none": {"pooling": "last", "encoder": "bi_lstm"},
    "copies": {"copies": 2},
    "transformer": {"encoder": "transformer", "units": 8},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_level_model_is_explained(dataset, batch, kind):
    model = model_for(dataset, **KINDS[kind])
    source, video, frames = ModelSource(model, dataset), batch["id"][0], int(batch["num_frames"][0])
    (found,), expected = source.evidence(video), scores_of(model, batch)[0]
    chosen, masked = list(found.classes), [0, 3, 4]
    np.testing.assert_allclose(found.scores, expected[chosen], atol=1e-6)
    assert found.kind == {"copies": "attention", "transformer": "attention"}.get(kind, kind)
    json.dumps(found.to_json(), allow_nan=False)
    assert found.groups == {"heads": ("head 1", "head 2"), "copies": ("copy 1", "copy 2")}.get(kind, ("",))
    assert (found.weights is None) == ("weighs no frames" in found.title) == (kind in ("clusters", "none"))
    assert (found.assignment is None) == (kind != "clusters") and (found.rollout is None) == (
        kind != "transformer"
    )
    logit = np.log(found.scores) - np.log1p(-found.scores)
    if found.contributions is not None:
        np.testing.assert_allclose(class_scores(found, reweight(found)), found.scores, atol=1e-5)
    elif found.exact:
        np.testing.assert_allclose(found.terms.sum(axis=(0, 1)) + found.biases, logit, atol=1e-5)
    else:
        assert found.terms.shape[2] == len(chosen) and ("approximation" in found.terms_title) == (
            kind != "copies"
        )
    # Masked by the arrays or by the model, against the pooling of the states that are left.
    (after,) = source.evidence(video, masked=masked)
    states, kept = source.open_video(video)[1][0].states, np.setdiff1d(np.arange(frames), masked)
    if kind == "none":
        assert not after.maskable and np.array_equal(after.scores, found.scores)
    else:
        oracle = source.models[0]._probe.pooled_scores(states[None, kept], np.array([len(kept)]))[0, chosen]
        scores = class_scores(after, reweight(after, masked=masked)) if after.reweightable else after.scores
        np.testing.assert_allclose(scores, oracle, atol=1e-5)
        assert np.abs(scores - found.scores).max() > 1e-4
    if found.reweightable:  # terms of another explanation do not give the scores without masked frames
        (other,) = source.evidence(video, masked=masked, explanation="gradient_input")
        assert not other.reweightable and np.allclose(other.scores, oracle, atol=1e-5)
    # All classes, in an order of their own, as those of a small vocabulary are.
    (clip,), (part,), _ = source.open_video(video)
    order, every = np.roll(range(dataset.num_classes), 1).tolist(), np.ones(frames, bool)
    arrays = source.models[0].arrays(clip, part, order, kept=every)
    if arrays.get("logits") is not None:
        np.testing.assert_allclose(softmax(arrays["logits"], axis=0), arrays["weights"], atol=1e-5)
    if kind == "by_feature":  # beside one frame all others' weights are 0 in single precision
        logits = 1e4 * part.logits
        peaked = replace(part, logits=logits, weights=softmax(logits, axis=0))
        kept = np.arange(frames) != logits[:, 0, 0].argmax()
        weights = source.models[0].arrays(clip, peaked, order, kept=kept)["weights"]
        np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-5)
    # Each modality's part: exactly where its frames are apart in the states, else with its gap.
    (split,) = source.evidence(video, by_modality=True, drawn=[2])
    if kind == "heads":
        assert split.parts == ((0, "audio"), (0, "rgb"), (1, "audio"), (1, "rgb"))
        np.testing.assert_allclose(class_scores(split, reweight(split)), split.scores, atol=1e-5)
    else:
        assert split.term_modalities == ("audio", "rgb") and split.gap is not None
        assert split.term_classes == (found.classes if kind == "none" or kind == "clusters" else (2,))


def test_muted_frames_hold_the_value_of_a_missing_modality(source, model, batch):
    video, frames = batch["id"][1], int(batch["num_frames"][1])
    (found,) = source.evidence(video, muted={"audio": range(5, 9)}, removed=[0], masked=[1])
    silent = {name: batch[name][1:2, 1:frames].copy() for name in ("rgb", "audio")}
    silent["audio"][:, 4:8] = 127
    silent["num_frames"] = np.array([frames - 1], np.int32)
    np.testing.assert_allclose(found.scores, scores_of(model, silent)[0, list(found.classes)], atol=1e-6)
    # The model normalizes each frame, which makes any constant the same.
    assert found.energy["audio"][4:8].max() < 1e-3 < found.energy["audio"][3]
    (terms,) = source.evidence(video, muted={"audio": range(5, 9)}, explanation="occlusion", drawn=[7, 3])
    assert terms.term_classes == (7, 3) and terms.terms.shape == (frames, 2, 2) and terms.gap is None
    silent, heard = np.abs(terms.terms[5:9]).max(axis=(0, 2))
    assert silent < 1e-6 < 1e-4 < heard  # they are muted already
    cases = [
        ({"muted": {"smell": [1]}}, "Unknown modality 'smell'"),
        ({"explanation": "own2"}, "Did you mean"),
    ]
    for settings, message in [*cases, ({"muted": {"rgb": [frames]}}, f"frames 0 to {frames - 1}")]:
        with pytest.raises(UsageError, match=message):
            source.evidence(video, **settings)


def test_similar_frames_of_a_video_and_of_the_split(source, model, dataset, batch):
    video, states = batch["id"][0], source.open_video(batch["id"][0])[1][0].states
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    found = source.similarity(video)
    values = np.frombuffer(base64.b64decode(found["values"]["u8"]), np.uint8).reshape(found["cells"], -1)
    np.testing.assert_allclose(values / 127.5 - 1, unit @ unit.T, atol=0.005)
    coarse = source.similarity(video, of="audio", cells=4)
    assert coarse["step"] == -(-len(states) // 4) and coarse["cells"] <= 4 and coarse["frames"] == len(states)
    rows, note = source.similar(video, [4, 5], limit=300)
    every = {name: source.open_video(name)[1][0].states for name in source.videos}
    cosines = {}
    for name, each in every.items():
        near = (each / np.linalg.norm(each, axis=1, keepdims=True)) @ unit[[4, 5]].T
        cosines |= {(name, frame): value for frame, value in enumerate(near.max(axis=1))}
    allowed = {key: value for key, value in cosines.items() if key[0] != video or not 2 <= key[1] <= 7}
    assert max(allowed.values()) == pytest.approx(rows[0]["similarity"], abs=2e-3)
    for row in rows:
        assert cosines[row["video"], row["frame"]] == pytest.approx(row["similarity"], abs=2e-3)
        assert row["seconds"] == row["frame"] and (row["video"], row["frame"]) in allowed
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert "100 videos" in note
    with pytest.raises(UsageError, match="Choose one frame"):
        source.similar(video, [])
    with pytest.raises(UsageError, match="Choices of vectors of frames: states, rgb, audio"):
        source.similarity(video, of="smell")


def test_videos_and_classes_by_name_and_number(source, dataset, batch):
    first, label = batch["id"][0], int(np.flatnonzero(batch["labels"][0])[0])
    assert list(source.videos)[:6] == batch["id"].tolist() and len(source.videos) == 100
    assert first in source.videos_of(label) == source.videos_of(dataset.class_names[label])
    rare = next(k for k in range(dataset.num_classes) if k not in source.evidence(first)[0].classes)
    assert source.evidence(first, classes=[rare, label])[0].classes[MAX_CLASSES:] == (rare,)
    for wrong, message in (([f"{dataset.class_names[1]}x"], "Did you mean"), ([99], "no class 99")):
        with pytest.raises(UsageError, match=message):
            source.evidence(first, classes=wrong)


def test_runs_side_by_side_include_the_same_classes(model, dataset, smoke_runs):
    source = ModelSource([smoke_runs["attention"], model, model], dataset)
    found = source.evidence(next(iter(source.videos)))
    assert [each.run for each in found] == source.runs == ["Bi-GRU, attention", "dmlkit", "dmlkit (3)"]
    assert len({each.classes for each in found}) == 1
    assert found[0].frames == 10 < found[1].frames  # the smoke profile reads ten frames
    first, second, _ = source.evidence(next(iter(source.videos)), removed=[9])
    assert 9 not in first.times and 9 not in second.times


def test_removed_frames_are_encoded_without_and_texts_stay(with_texts):
    dataset = open_dataset(with_texts)
    model = model_for(dataset, text_units=4)
    source, batch = ModelSource(model, dataset), next(iter(dataset.batches("validate", batch_size=20)))
    row = int(np.flatnonzero(batch["text"].any(axis=1))[0])
    video, frames = batch["id"][row], int(batch["num_frames"][row])
    kept = np.setdiff1d(np.arange(frames), [0, 2])
    shorter = {name: batch[name][row : row + 1, kept] for name in ("rgb", "audio")}
    shorter |= {"text": batch["text"][row : row + 1], "num_frames": np.array([len(kept)], np.int32)}
    (before,), (after,) = source.evidence(video), source.evidence(video, removed=[0, 2])
    np.testing.assert_allclose(after.mean_weights, attention_weights(model, shorter)[0], atol=1e-6)
    np.testing.assert_allclose(after.scores, scores_of(model, shorter)[0, list(after.classes)], atol=1e-6)
    assert after.classes == before.classes and after.times.tolist() == kept.tolist()
    assert list(after.energy) == ["rgb", "audio"]
    # Masking is another operation: the other frames' states were computed with the masked ones.
    assert np.abs(class_scores(before, reweight(before, masked=[0, 2])) - after.scores).max() > 1e-4
    for removed, message in ((range(frames), "No frame of"), ([frames], f"frames 0 to {frames - 1}")):
        with pytest.raises(UsageError, match=message):
            source.evidence(video, removed=removed)


def test_models_and_data_that_cannot_be_shown(smoke_runs, model, dataset, generated, tmp_path):
    run, data = smoke_runs["attention"], shutil.copytree(generated, tmp_path / "copy")
    source = ModelSource(run, data)
    for shard in source.dataset.splits["validate"]:
        shutil.os.remove(shard)
    diverged = model_for(dataset)
    weight = diverged.get_layer("attention").context
    weight.assign(np.full(weight.shape, np.nan))
    unlabelled = ModelSource(diverged, dataset, split="test")
    wide = build(features={"rgb": (7, "byte")}, level="frame", num_classes=3, pooling="attention", units=2)
    cases = [
        (DataError, "tfrecord", lambda: source.evidence(list(source.videos)[60])),
        (DataError, "not finite.*diverged", lambda: unlabelled.evidence(next(iter(unlabelled.videos)))),
        (UsageError, "'test' split .* no labels", unlabelled.worst),
        (UsageError, r"it reads the modalities rgb \(7 .*audio", lambda: ModelSource(wide, dataset)),
        (UsageError, "expected a run.*Received", lambda: ModelSource({"a": 1}, dataset)),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
    other = dmlkit.synthesize(tmp_path / "other", train=20, validate=10, test=0, seed=5)
    assert "other data than these: Bi-GRU, attention" in ModelSource(run, other).note
    few = ModelSource(model, dataset, max_videos=7)
    assert "Videos to choose from: 7 of 100 videos (set by max_videos=7)" in few.note
    for video in few.videos:
        assert few.evidence(video)[0].true == tuple(np.flatnonzero(few.labels[few._position[video]]))


def test_videos_that_a_run_scored_are_those_that_are_shown(generated, tmp_path):
    """A cap takes some shards, and of skipped records nothing was stored."""
    data = open_dataset(shutil.copytree(generated, tmp_path / "data"))
    profile = replace(PROFILES["smoke"], max_train_videos=30, epochs=1, max_validate_videos=33)
    shard, _ = limit_shards(data.splits["validate"], 33, root=data.path)[0]
    offset, _, _ = list(scan_headers(shard))[2]
    with open(shard, "r+b") as file:
        file.seek(offset + 40)
        file.write(b"damage")
    settings = {"profile": profile, "on_fault": "skip 1", "progress": "silent"}
    run = dmlkit.train("attention", data=data, out=tmp_path / "run", **settings)
    stored, source = run.predictions, ModelSource(run, data)
    assert list(source.videos) == stored.ids.tolist() and len(stored.ids) == 32
    for row in (0, 1, 2, 9, 31):
        (found,) = source.evidence(str(stored.ids[row]))
        np.testing.assert_allclose(found.scores, stored.scores[row, list(found.classes)], atol=1e-3)
        assert sorted(found.true) == np.flatnonzero(stored.labels[row]).tolist()
    assert "32 of 100 videos (those that were scored)" in source.note
    assert {row["video"] for row in source.similar(next(iter(source.videos)), [0], limit=500)[0]} == {
        *source.videos
    }


SPRITE = ThumbnailSettings(path="thumbnails/{id}.webp", width=64, height=36, columns=5)
PICTURES = ThumbnailSettings(path="frames/{id}/*.jpg")


def test_pictures_of_the_frames_are_tiles_of_one(dataset, tmp_path, leave_media):
    data, video = replace(dataset, path=str(tmp_path)), "é'v [1]"
    leave_media(tmp_path, video, frames=12)
    leave_media(tmp_path, "long", frames=602)
    for settings, name, frames in ((SPRITE, video, 12), (PICTURES, video, 12), (SPRITE, "long", 602)):
        media = media_of(replace(data, thumbnails=settings), name, frames=frames)
        found, every = media["thumbnails"], 1 if frames == 12 else 3
        assert media["problems"] == [] and found["every"] == every and found["count"] == -(-frames // every)
        kind, content = found["src"].split(";base64,")
        picture = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
        assert kind == "data:image/webp" and len(content) < 400_000
        for tile in range(found["count"]):
            row, column = divmod(tile, found["columns"])
            middle = ((column + 0.5) * found["width"], (row + 0.5) * found["height"])
            expected = (20 * tile * every % 256, 255 - 10 * tile * every % 256, 120)
            np.testing.assert_allclose(picture.getpixel(tuple(map(int, middle))), expected, atol=12)


def test_what_is_missing_broken_or_elsewhere_is_one_line(dataset, tmp_path, leave_media, monkeypatch):
    folder = tmp_path / "data"
    leave_media(folder, "v", frames=12)
    for name, content in {"empty.mp4": "", "v.b.mp4": "another video's", "v.json": "{}"}.items():
        (folder / "videos" / name).write_text(content)
    (folder / "videos" / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "secret.mp4").write_text("x")
    (folder / "thumbnails" / "fake.webp").write_text("no picture")
    for name, frames, settings, problem in [
        ("v", 13, {"thumbnails": PICTURES}, r"frames/\{id\}/\*.jpg of v are 12 pictures, .* has 13 frames"),
        (
            "v",
            10,
            {"thumbnails": SPRITE},
            "v.webp has 320 × 108 pixels, but 10 frames take 5 × 2 tiles of 64",
        ),
        ("w", 12, {"thumbnails": SPRITE}, r"There are no thumbnails thumbnails/\{id\}.webp of w"),
        ("fake", 12, {"thumbnails": SPRITE}, "thumbnails/fake.webp is no picture, or a damaged one"),
        ("w", 12, {"media": ("videos/{id}.*",)}, "There is no video or audio file videos"),
        ("empty", 12, {"media": ("videos/{id}.mp4",)}, "empty.mp4 is empty"),
        (
            "out",
            12,
            {"media": ("videos/{id}.mp4",)},
            "out.mp4 is outside the data folder .* It is not opened",
        ),
        ("secret", 12, {"media": ("../{id}.mp4",)}, "is outside the data folder"),
        ("secret", 12, {"media": (f"{tmp_path}/{{id}}.mp4",)}, "is outside the data folder"),
        ("../../secret", 12, {"media": ("videos/{id}.mp4",)}, "The id '../../secret' cannot be a part"),
        ("a\x00b", 12, {"media": ("videos/{id}.mp4",)}, "cannot be a part of the path"),
        ("v", 12, {"link": "https://www.youtube.com/watch?v={id}"}, "'v' is none of YouTube's"),
    ]:
        media = media_of(replace(dataset, path=str(folder), **settings), name, frames=frames)
        assert media.keys() == {"offset", "problems"} and re.search(problem, *media["problems"]), name
    (folder / "frames" / "v" / "3.jpg").write_bytes((folder / "frames" / "v" / "4.jpg").read_bytes()[:300])
    data = replace(dataset, path=str(folder), thumbnails=PICTURES, media=("videos/{id}.*",))
    data = replace(data, link="https://a.example/?v={id}#{second}")
    media = media_of(data, "v", frames=12, start=30.0)
    assert media["thumbnails"]["count"] == 12 and "v/3.jpg is no picture" in media["problems"][0]
    assert media["player"] == {"kind": "audio", "path": f"{folder.resolve()}/videos/v.wav"}
    assert media["link"] == "https://a.example/?v=v#{second}" and media["offset"] == 30
    assert media_of(data, 'a"&{b}é', frames=1)["link"] == "https://a.example/?v=a%22%26%7Bb%7D%C3%A9#{second}"
    servers = [{"pid": 1, "root_dir": str(folder / "frames"), "base_url": "/"}]
    servers += [{"pid": pid, "root_dir": str(tmp_path), "base_url": f"/user/{pid}/"} for pid in (2, 3)]
    monkeypatch.setattr("jupyter_server.serverapp.list_running_servers", lambda: iter(servers))
    for parent, found in ((None, "/user/2/"), (3, "/user/3/"), (1, None)):
        monkeypatch.setenv("JPY_PARENT_PID", str(parent))
        media = media_of(data, "v", frames=12, live=True)
        assert media.get("player", {}).get("src") == (found and f"{found}files/data/videos/v.wav")
    assert "v.wav is not played: no JupyterLab serves" in media["problems"][0]


def test_a_scene_has_the_media_of_its_videos(model, dataset, source, tmp_path, leave_media):
    name = next(iter(source.videos))
    settings = {"path": str(tmp_path), "thumbnails": SPRITE, "link": "https://a.example/{id}#{second}"}
    declared = ModelSource(model, dataset)
    declared.dataset = replace(dataset, **settings)
    leave_media(tmp_path, name, frames=declared.evidence(name)[0].frames)
    media = declared.media(name, live=False)
    assert source.media(name, live=False) is None and media["problems"] == []
    scene = dmlkit.explorer.AttentionExplorer(declared).scene
    assert scene["videos"][0]["media"]["thumbnails"] == media["thumbnails"]
    assert scene["videos"][0]["media"]["link"] == f"https://a.example/{name}#{{second}}"


def test_scores_of_arrays_are_the_weighted_sum():
    settings = {
        "biases": [0.5, -0.5],
        "class_names": ["a", "a"],
        "true": ["a (2)"],
        "logits": [1, 1, -np.inf],
    }
    (found,) = explore_arrays([0.5, 0.5, 0], contributions=CONTRIBUTIONS, **settings).evidence
    expected = 1 / (1 + np.exp(-([0.5, 0.5, 0] @ CONTRIBUTIONS + [0.5, -0.5])))
    np.testing.assert_allclose(dict(zip(found.classes, found.scores, strict=True))[0], expected[0], atol=1e-6)
    assert set(found.names) == {"a", "a (2)"} and found.true == (1,)
    assert found.logits is None and found.mean_weights[2] == 0  # log α_t says the same
    (found,) = explore_arrays([1, 3], normalize=True).evidence
    assert found.mean_weights.tolist() == [0.25, 0.75] and found.classes == () and found.true is None
    occlusion = CONTRIBUTIONS / 10
    view = explore_arrays(WEIGHTS, scores=[0.9, 0.2], occlusion=occlusion, ground_truth={0: [0, 0, 1]})
    np.testing.assert_allclose(view.evidence[0].terms[:, 0], occlusion, atol=1e-6)
    assert view.evidence[0].ground_truth[0].tolist() == [False, False, True]
    view.masked = [0]
    assert view.scores is None and view.weights[0] == 0


def test_arrays_of_several_groups_and_of_states():
    weights = np.stack([WEIGHTS, WEIGHTS[::-1]], axis=1)
    contributions, states = np.stack([CONTRIBUTIONS, 2 * CONTRIBUTIONS], axis=1), np.eye(3)
    settings = {"groups": ["first", "second"], "contributions": contributions, "states": states}
    view = explore_arrays(weights, logits=np.log(weights) + 3, **settings)
    (found,) = view.source.evidence("video")
    expected = WEIGHTS @ CONTRIBUTIONS + 2 * WEIGHTS[::-1] @ CONTRIBUTIONS
    np.testing.assert_allclose(found.scores, (1 / (1 + np.exp(-expected)))[list(found.classes)], atol=1e-6)
    assert found.groups == ("first", "second") and found.parts == ((0, None), (1, None))
    assert view.source.similar("video", [0], limit=5)[0] == []  # all are near it
    with pytest.raises(
        DataError, match=r"states: expected 3 rows .* Received: an array of the shape \(2, 3\)"
    ):
        explore_arrays(WEIGHTS, states=states[:2])


def test_arrays_of_several_videos_of_any_length():
    lists = {"contributions": [CONTRIBUTIONS, [[4.0, 5.0]]], "times": [[3, 4, 5], None]}
    view = explore_arrays([WEIGHTS, [1.0]], **lists)
    assert list(view.source.videos) == ["video 0", "video 1"] and view.evidence[0].times.tolist() == [3, 4, 5]
    view.video = "video 1"
    assert view.evidence[0].contributions.tolist() == [[[5.0, 4.0]]]  # the higher score first
    view = explore_arrays({"x": WEIGHTS, "y": [1.0]}, contributions={"x": CONTRIBUTIONS}, classes=[1])
    view.video = "y"  # of which less is known
    assert view.source.class_names == ["class 0", "class 1"] and view.scores == {} and view.classes == (1,)
    view = explore_arrays({"x": WEIGHTS, "y": [1.0]}, energy={"x": [1, 2, 3]})
    assert view.evidence[0].energy["features"].tolist() == [1, 2, 3]
    assert len(explore_arrays(np.full((4, 2), 0.5), scores=np.full((4, 3), 0.5)).source.videos) == 4


@pytest.mark.parametrize(
    ("error", "message", "weights", "settings"),
    [
        (DataError, "sum to 1. Received: a sum of 2.*normalize=True", [1, 1], {}),
        (UsageError, "biases need contributions", WEIGHTS, {"biases": [1]}),
        (
            DataError,
            "contributions: expected an array of num",
            WEIGHTS,
            {"contributions": [[1, 2], [3], [4]]},
        ),
        (DataError, "times: expected an array of numbers", WEIGHTS, {"times": {0: 1}}),
        (UsageError, "times: expected a list", [[1.0], [1.0]], {"times": 5}),
        (UsageError, "neither scores nor contributions are given of 3", WEIGHTS, {"classes": [3]}),
        (UsageError, "softmax of the logits differ", WEIGHTS, {"logits": [0, 0, 0]}),
        (UsageError, "times: expected one for each of 2", [[1.0], [1.0]], {"times": [1, 2, 3]}),
        (DataError, "expected an array of numbers", [0.5, "x"], {}),
        (UsageError, r"one column. Give weights\[:, 0\] .* 3 videos of one frame", WEIGHTS[:, None], {}),
        (UsageError, r"weights must be an array \(frames\).*groups=", {"a": np.ones((2, 2))}, {}),
        (UsageError, "expected a dict by class", WEIGHTS, {"ground_truth": [True, False, True]}),
        (DataError, "expected booleans", WEIGHTS, {"ground_truth": {0: [0, 2, 1]}}),
    ],
)
def test_arrays_that_do_not_fit_together(error, message, weights, settings):
    with pytest.raises(error, match=message):
        explore_arrays(weights, **settings)
