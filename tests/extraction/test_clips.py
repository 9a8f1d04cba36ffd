"""One file as a run reads it: the scores of its data set, the extractor in the record, what is refused."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import dmlkit
from dmlkit.data import open_dataset
from dmlkit.data.schema import read_dataset_toml
from dmlkit.errors import DataError, UsageError
from dmlkit.extraction.clips import clip_dataset
from dmlkit.extraction.extract import extract_features
from dmlkit.extraction.extractors import Recipe

av = pytest.importorskip("av")


def make_clip(path, *, shade, seconds=3, rate=8000, pictures=True):
    """Grey pictures, each second lighter by 20, and a tone."""
    samples = (0.3 * np.sin(np.arange(seconds * rate) * 0.005 * shade)).astype(np.float32)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=4, width=64, height=36) if pictures else None
        sound = file.add_stream("flac" if path.suffix == ".flac" else "aac", rate=rate, layout="mono")
        for k in range(4 * seconds if pictures else 0):
            picture = np.full((36, 64, 3), shade + 20 * (k // 4), np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(sound.format, "mono", rate, frame_size=sound.frame_size or 1024)
        for each in (*resampler.resample(frame), *resampler.resample(None)):
            file.mux(sound.encode(each))
        file.mux(sound.encode() + (video.encode() if pictures else []))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Twelve clips, `data` of them with a PCA, two frames a second, and a run `attention` on it."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "clips").mkdir()
    rows = ["id,labels,split"]
    for k in range(12):
        make_clip(folder / "clips" / f"c{k}.mp4", shade=10 + 13 * k, seconds=3 + k % 2)
        rows.append(f"c{k},{'dark' if k < 6 else 'light'},{('train', 'tuning', 'validate')[k % 3]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    about = {"labels": folder / "labels.csv", "recipe": Recipe(fps=2), "pca": 5, "jobs": 0}
    extract_features(folder / "clips", folder / "data", **about)
    for name in ("attention", "lr"):
        out = folder / "runs" / name
        dmlkit.train(name, data=folder / "data", profile="smoke", out=out, progress="silent")
    shutil.copy(folder / "clips" / "c2.mp4", folder / "it's {id} new.mp4")
    return folder


def test_a_clip_scores_as_it_does_in_its_data_set(made, command, monkeypatch):
    """The data set of the clips, which `data extract` and the importer made, is the oracle."""
    run, clip = dmlkit.load_run(made / "runs" / "attention"), made / "it's {id} new.mp4"
    shutil.move(made / "data" / "projection.npz", made / "elsewhere.npz")  # the run has its own
    expected = run.predictions.scores[run.predictions.ids.tolist().index("c2")]
    scores = dmlkit.predict(run, clip)
    np.testing.assert_array_equal(scores, expected[None])
    both = dmlkit.predict([run, made / "runs" / "lr"], str(clip))
    parts = [dmlkit.predict(made / "runs" / name, clip) for name in ("attention", "lr")]
    weights = [dmlkit.load_run(made / "runs" / name).tuning_gap for name in ("attention", "lr")]
    np.testing.assert_allclose(both, np.average(parts, axis=0, weights=weights), atol=1e-3)

    best = int(scores.argmax())
    code, printed, error = command("predict", run.path, clip, "--top-k", 1)
    assert (code, error) == (0, "") and printed == f"{scores[0, best]:.4f}  {('dark', 'light')[best]}\n"
    code, printed, _ = command("predict", run.path, made / "runs" / "lr", clip, "--json")
    found = {each["name"]: each["score"] for each in json.loads(printed)["classes"]}
    assert code == 0 and found == dict(zip(("dark", "light"), both[0].tolist(), strict=True))
    monkeypatch.setattr("dmlkit.extraction.clips.Extractor", None)  # it is extracted once
    assert clip_dataset(run, clip).num_videos("test") == 1
    shutil.move(made / "elsewhere.npz", made / "data" / "projection.npz")


def test_the_explorer_shows_the_clip_at_its_times(made):
    clip = made / "it's {id} new.mp4"
    view = dmlkit.explore(made / "runs" / "attention", str(clip))
    data = view._repr_mimebundle_()
    shown = data["application/vnd.dmlkit.attention+json"]["videos"][0]
    assert view.source.data == clip.name and view.source.note is None and shown["media"]["problems"] == []
    np.testing.assert_allclose(view.evidence[0].times, (np.arange(view.evidence[0].frames) + 0.5) / 2)
    assert shown["media"]["player"] == {"kind": "video", "path": str(clip)}
    tiles = shown["media"]["thumbnails"]
    assert (tiles["first"], tiles["every"], tiles["count"]) == (0.25, 0.5, view.evidence[0].frames)
    content = base64.b64decode(tiles["src"].partition(",")[2])
    sprite = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    lighter = [int(sprite[24, tiles["width"] * k + 30]) for k in range(view.evidence[0].frames)]
    assert np.abs(np.array(lighter) - [36 + 20 * (k // 2) for k in range(len(lighter))]).max() < 6


def test_features_of_another_extractor_are_refused(made, command, tmp_path):
    """Also of another PCA; not where files moved. What is not known is a note."""
    data, run = tmp_path / "data", made / "runs" / "attention"
    shutil.copytree(made / "data", data)
    toml = (data / "dataset.toml").read_text()
    digest = read_dataset_toml(str(data)).extractor["projection_digest"]
    for before, after, what in (
        ("fps = 2.0", "fps = 4.0", "fps 4.0, and those it was trained on with fps 2.0"),
        (digest, "0" * 64, "projection_digest 000"),
        (
            'pictures = "classic"',
            'pictures = "/a/m.onnx"',
            "pictures m.onnx, and those it was trained on with pic",
        ),
    ):
        assert before in toml
        (data / "dataset.toml").write_text(toml.replace(before, after))
        code, _, error = command("evaluate", run, "--data", data)
        assert code == 2 and what in error and error.count("\n") == 1
        with pytest.raises(UsageError, match="data extract --like RUN"):
            dmlkit.explore(run, data)
    (data / "dataset.toml").write_text(toml.replace('projection = "projection.npz"', 'projection = "p.npz"'))
    assert command("evaluate", run, "--data", data)[::2] == (0, "")
    (data / "dataset.toml").write_text(toml.partition("[extractor]")[0])
    code, _, error = command("evaluate", run, "--data", data)
    assert code == 0 and "does not state how its features were extracted" in error
    batch = next(iter(open_dataset(made / "data").batches("validate", batch_size=2)))
    assert dmlkit.predict(run, batch).shape == (2, 2)
    (data / "dataset.toml").write_text(toml.replace('"projection.npz"', '"../projection.npz"'))
    with pytest.raises(DataError, match=r"extractor.projection names a file beside this one"):
        open_dataset(data)


def test_what_is_no_clip_for_a_run_is_refused(made, smoke_runs, command, tmp_path):
    run = made / "runs" / "attention"
    make_clip(tmp_path / "a.flac", shade=90, pictures=False)
    (tmp_path / "b.webm").write_bytes(b"<html>")
    for arguments, ended, message in (
        ((run, tmp_path / "a.flac"), 3, "a.flac has no pictures"),
        ((run, tmp_path / "b.webm"), 3, "b.webm"),
        ((run, tmp_path / "c.mp4"), 3, "c.mp4"),
        ((smoke_runs["attention"].path, tmp_path / "a.flac"), 2, "its record names no extractor"),
        ((run, tmp_path / "a.flac", "--split", "test"), 2, "with no other options"),
        ((run, tmp_path / "a.flac", tmp_path / "b.webm"), 2, "one video or audio file"),
        ((tmp_path / "a.flac",), 2, "or runs and one video"),
        ((run, "--json"), 2, "(without --json)"),
    ):
        code, printed, error = command("predict", *arguments)
        assert (code, printed) == (ended, "") and message in error and error.count("\n") == 1, arguments
