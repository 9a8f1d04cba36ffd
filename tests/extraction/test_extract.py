"""Video and audio files into a data set: what goes in comes out, whatever happens meanwhile."""

import os
import resource
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from dmlkit.data import dequantize, open_dataset
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer.media import media_of
from dmlkit.extraction.descriptors import picture_descriptor, sound_descriptor
from dmlkit.extraction.extract import extract_features, fit_projection
from dmlkit.extraction.extractors import COLUMNS, MOST_TILES, TILE_HEIGHT, Extractor, Recipe

av = pytest.importorskip("av")
RATE = 16_000
NAMES = [
    "a b",
    'quo"ted',
    "it's, 50%",
    unicodedata.normalize("NFD", "Zürich"),
    "日本",
    *(f"v{k}" for k in range(5)),
]


def make_clip(path, *, seconds=3, pictures=True, sound=True, seed=0, size=(64, 48)):
    """A lossless clip of one colour a second, and a tone; the colours (seconds, 3) and the samples."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (seconds, 3)).astype(np.uint8)
    samples = 0.5 * np.sin(np.arange(seconds * RATE) * (0.1 + 0.01 * seed)).astype(np.float32)
    with av.open(str(path), "w", format="matroska") as container:
        if pictures:
            video = container.add_stream("ffv1", rate=4, options={"strict": "-2"})
            video.width, video.height, video.pix_fmt = *size, "bgr0"
        if sound:
            audio = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        for number in range(4 * seconds if pictures else 0):
            picture = np.broadcast_to(colours[number // 4], (size[1], size[0], 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        for each in (video,) if pictures else ():
            container.mux(each.encode())
        if sound:
            frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux([*audio.encode(frame), *audio.encode()])
    return colours, samples


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of clips of 2 to 4 seconds with a table of labels beside it; id → colours and samples."""
    folder, made = tmp_path_factory.mktemp("clips"), {}
    (folder / "clips").mkdir()
    for number, name in enumerate(NAMES):
        found = make_clip(folder / "clips" / f"{name}.mkv", seconds=2 + number % 3, seed=number)
        made[unicodedata.normalize("NFC", name)] = found
    splits = ["train"] * 6 + ["tuning"] * 2 + ["validate"] * 2
    rows = [
        f'"{name.replace(chr(34), chr(34) * 2)}",{len(name) % 2},{s}'
        for name, s in zip(made, splits, strict=True)
    ]
    (folder / "labels.csv").write_text("\n".join(["id,labels,split", *rows]), encoding="utf-8")
    return folder, made


def contents(folder: Path) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(folder) -> dict:
    """id → a batch of one."""
    dataset = open_dataset(folder)
    return {
        str(batch["id"][0]): batch
        for split in dataset.splits
        for batch in dataset.batches(split, batch_size=1)
    }


def test_clips_become_a_data_set_of_the_same_bytes_with_one_process_or_two(clips, command, tmp_path):
    folder, made = clips
    outs = [tmp_path / "1" / "out", tmp_path / "2" / "out"]
    for jobs, out in enumerate(outs, start=1):
        out.parent.mkdir()
        given = ["--labels", folder / "labels.csv", "--out", out, "--jobs", jobs]
        code, printed, error = command("data", "extract", folder / "clips", *given)
        assert code == 0 and "10 videos (train 6, tuning 2, validate 2)" in printed, error
        assert not out.with_name("out.partial").exists()
    assert contents(outs[0]) == contents(outs[1])
    dataset, back = open_dataset(out), read(out)
    assert dataset.extractor == Recipe().table() and back.keys() == made.keys()
    for name, (colours, samples) in made.items():
        count, batch = len(colours), back[name]
        pictures = np.broadcast_to(colours[:, None, None], (count, 48, 64, 3))
        expected = {"rgb": picture_descriptor(pictures)}
        expected["audio"] = sound_descriptor(samples.reshape(count, RATE), rate=RATE)
        for modality, values in expected.items():
            assert batch["num_frames"] == count
            np.testing.assert_allclose(dequantize(batch[modality][0]), values, atol=0.02)
        shown = media_of(dataset, name, frames=count)
        assert not shown["problems"] and shown["player"]["path"] == str(out / "videos" / f"{name}.mkv")
        assert Path(shown["player"]["path"]).read_bytes() and os.stat(shown["player"]["path"]).st_nlink >= 2
        with Image.open(out / "thumbnails" / f"{name}.webp") as sheet:
            centres = [sheet.convert("RGB").getpixel((80 * k + 40, 22)) for k in range(count)]
        assert np.abs(np.array(centres) - colours.astype(int)).max() < 40  # WEBP is lossy


def test_killed_or_interrupted_it_continues_and_ends_with_the_same_bytes(clips, command, tmp_path):
    folder, _ = clips
    given = ["--labels", folder / "labels.csv", "--name", "clips", "--jobs", "2", folder / "clips"]
    assert command("data", "extract", *given, "--out", tmp_path / "whole")[0] == 0
    out, work = tmp_path / "out", tmp_path / "out.partial"
    slow = (
        "import time, dmlkit.extraction.extractors as e; whole = e.Extractor.measure\n"
        "e.Extractor.measure = lambda *given, **more: (time.sleep(0.3), whole(*given, **more))[1]\n"
    )
    (tmp_path / "sitecustomize.py").write_text(slow)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])])
    for number, sent in enumerate((signal.SIGKILL, signal.SIGINT)):
        arguments = [
            sys.executable,
            "-m",
            "dmlkit.cli",
            "data",
            "extract",
            *map(str, given),
            "--out",
            str(out),
        ]
        process = subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE)
        while len(list(work.glob("[!.]*.npz"))) < 2 * (number + 1):
            assert process.poll() is None and not out.exists()
            time.sleep(0.02)
        process.send_signal(sent)
        _, error = process.communicate(timeout=60)
        assert process.returncode == (-sent if sent == signal.SIGKILL else 130)
    assert "the same command continues" in error.decode() and not out.exists()
    (work / ".1.half.npz").write_bytes(b"half")
    whole = sorted(work.glob("[!.]*.npz"))
    code, printed, error = command("data", "extract", *given, "--out", out)
    assert code == 0 and f"Extracted before: {len(whole)} clip" in printed, error
    assert contents(out) == contents(tmp_path / "whole") and not work.exists()


def test_a_full_disk_leaves_what_is_finished(clips, command, tmp_path):
    folder, _ = clips
    given = ["--labels", folder / "labels.csv", "--out", tmp_path / "out", "--jobs", 1, folder / "clips"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # the processes that extract have it, too
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
        code, _, error = command("data", "extract", *given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2 and "File too large" in error and "same command continues" in error
    assert error.count("dmlkit:") == 1 and not (tmp_path / "out").exists()
    assert 0 < len(list((tmp_path / "out.partial").glob("*.npz"))) < 10  # the longer clips are larger
    code, printed, _ = command("data", "extract", *given)
    assert code == 0 and "Extracted before: " in printed and not (tmp_path / "out.partial").exists()


def test_problems_are_named_and_refused_or_skipped(clips, tmp_path):
    made = tmp_path / "clips"
    made.mkdir()
    for number in range(4):
        make_clip(made / f"good{number}.mkv", seed=number)
    make_clip(made / "silent.mkv", sound=False)
    make_clip(made / "blind.mkv", pictures=False)
    make_clip(made / "1x1.mkv", size=(1, 1))
    (made / "text.mp4").write_text("no video")
    (made / "empty.mp4").touch()
    whole = (made / "good0.mkv").read_bytes()
    (made / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (made / "notes.txt").touch()
    ids = sorted(path.stem for path in made.glob("*.m*"))
    (tmp_path / "labels.csv").write_text(
        "\n".join(["id,labels,split", *(f"{i},0;1,train" for i in ids), "gone,1,train"])
    )
    given = {"labels": tmp_path / "labels.csv", "num_classes": 2, "jobs": 0}
    with pytest.raises(DataError, match="3 of 10 files cannot be extracted"):
        extract_features(made, tmp_path / "out", **given, missing="silence")
    with pytest.raises(DataError, match="5 of 10 files cannot be extracted") as error:
        extract_features(made, tmp_path / "out", **given)
    assert all(f"{name}.m" in str(error.value) for name in ("silent", "blind", "text", "empty", "cut"))
    os.utime(made / "good1.mkv")
    done = extract_features(made, tmp_path / "out", **given, on_problem="skip", missing="silence")
    notes = " ".join(done.notes)
    assert done.videos == {"train": 7} and "Skipped, 3 of 10 files:" in notes and "gone" in notes
    assert "Extracted before: 6 clips" in notes and "neither" not in notes and "name: 1 file" in notes
    batch = read(tmp_path / "out")["silent"]
    assert batch["num_frames"] == 3 and (batch["audio"] == 127).all()
    for extra, message in (
        (
            lambda: (made / "good1.mp4").write_bytes(b"x"),
            "good1.mkv and .*good1.mp4|good1.mp4 and .*good1.mkv",
        ),
        (lambda: (made / "good1.mp4").rename(made / "more.mp4"), "more.mp4.*no labels"),
    ):
        extra()
        with pytest.raises(DataError, match=message):
            extract_features(made, tmp_path / "another", **given)
    assert not (tmp_path / "another.partial").exists()  # refused before the first clip is read


def test_a_projection_is_fitted_to_the_training_clips_alone(clips, command, tmp_path):
    folder, made = clips
    given = {"labels": folder / "labels.csv", "pca": 6, "jobs": 0, "recipe": Recipe(coding="float")}
    extract_features(folder / "clips", tmp_path / "out", **given)
    dataset = open_dataset(tmp_path / "out")
    recipe = Recipe.of(dataset.extractor)
    plain = Extractor(Recipe(coding="float"))
    path = {unicodedata.normalize("NFC", each.stem): each for each in (folder / "clips").iterdir()}
    raw = {name: plain.measure(path[name]).features for name in made}
    training = [str(i) for batch in dataset.batches("train", batch_size=6) for i in batch["id"]]
    for modality in ("rgb", "audio"):
        oracle = PCA(6).fit(np.concatenate([raw[name][modality] for name in training]).astype(np.float64))
        spread = np.sqrt(oracle.explained_variance_ * (oracle.n_samples_ - 1) / oracle.n_samples_)
        for name, batch in read(tmp_path / "out").items():
            expected = oracle.transform(raw[name][modality]) / 2 / np.sqrt(spread**2 + 1e-4 * spread[0] ** 2)
            found = batch[modality][0]
            np.testing.assert_allclose(abs(found), abs(expected), atol=1e-3)
            again = Extractor(recipe, tmp_path / "out").extract(path[name]).features[modality]
            np.testing.assert_allclose(again, found, atol=1e-6)
    given = ["--like", tmp_path / "out", "--num-classes", 2, "--jobs", 1, "--out", tmp_path / "new"]
    code, _, error = command("data", "extract", path["v1"], *given)
    assert code == 0 and open_dataset(tmp_path / "new").extractor == dataset.extractor, error
    np.testing.assert_array_equal(read(tmp_path / "new")["v1"]["rgb"], read(tmp_path / "out")["v1"]["rgb"])
    assert command("data", "extract", path["v1"], *given[:-1], tmp_path / "3", "--fps", 2)[0] == 2
    with pytest.raises(DataError, match="SHA-256 differs"):
        (tmp_path / "out" / recipe.projection).write_bytes(b"another")
        Extractor(recipe, tmp_path / "out")
    with pytest.raises(DataError, match="more training frames than"):
        fit_projection([{"rgb": np.eye(3)}], 3)


def test_model_files_get_their_pixels_as_declared(clips, tmp_path, monkeypatch):
    import keras
    import onnx
    from onnx import TensorProto, helper

    folder, made = clips
    clip, (colours, _) = folder / "clips" / "v0.mkv", made["v0"]
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    model.save(tmp_path / "mean.keras")
    model.export(tmp_path / "saved", verbose=False)
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["y"]), helper.make_node("Flatten", ["y"], ["z"])]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])]
    graph = helper.make_graph(
        nodes, "g", values, [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3])]
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "mean.onnx")
    imagenet = (colours / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    for file, scale, size, expected in (
        ("mean.keras", "0..1", None, colours / 255),
        ("mean.onnx", "-1..1", None, colours / 127.5 - 1),
        ("saved", "imagenet", 16, imagenet),
        ("mean.keras", "0..255", None, colours),
    ):
        recipe = Recipe(pictures=str(tmp_path / file), scale=scale, size=size, sound=None, coding="float")
        found = Extractor(recipe).extract(clip).features["rgb"]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(UsageError, match=r"scale of the model.*-1\.\.1"):
        Extractor(Recipe(pictures=str(tmp_path / "mean.onnx")))
    recorded = recipe.resolved()
    (tmp_path / "mean.keras").write_bytes(b"another")
    with pytest.raises(DataError, match="SHA-256 differs"):
        Extractor(recorded)
    with pytest.raises(DataError, match="cannot be opened as a model"):
        Extractor(recipe)
    # A class of keras.applications: the same weights out of a file, and those that cannot be fetched.
    options = {"sound": None, "coding": "float", "size": 32, "pictures": "mobilenet-V2"}
    found = Extractor(Recipe(weights="none", **options)).extract(clip).features["rgb"]
    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), include_top=False, weights=None, pooling="avg"
    )
    pixels = np.broadcast_to(colours[:, None, None], (len(colours), 32, 32, 3)) / 127.5 - 1
    np.testing.assert_allclose(found, backbone(pixels), atol=1e-5)
    backbone.set_weights([each * 1.1 for each in backbone.get_weights()])
    backbone.save_weights(tmp_path / "mine.weights.h5")
    own = Extractor(Recipe(weights=str(tmp_path / "mine.weights.h5"), **options))
    np.testing.assert_allclose(own.extract(clip).features["rgb"], backbone(pixels), atol=1e-5)

    with pytest.raises(UsageError, match="Save it whole"):
        Recipe(pictures="EfficientNetB0", weights=str(tmp_path / "mine.weights.h5")).resolved()

    def fail(*given, **more):
        raise OSError("no network")

    monkeypatch.setattr(sys.modules["keras.src.applications.mobilenet_v2"].file_utils, "get_file", fail)
    with pytest.raises(DataError, match=r"no network.*save_weights.*--weights FILE\.weights\.h5"):
        Extractor(Recipe(**options))
    with pytest.raises(UsageError, match=r"mobilnet.*Did you mean 'mobilenet'"):
        Extractor(Recipe(pictures="mobilnet"))


def test_two_hours_have_a_sheet_of_thumbnails_that_webp_can_hold():
    assert MOST_TILES >= 7_200 and MOST_TILES // COLUMNS * TILE_HEIGHT <= 16_383
