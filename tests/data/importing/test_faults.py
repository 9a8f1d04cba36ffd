"""Sources that are damaged, hostile or do not fit together: one error that names the place, and nothing is left."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from dmlkit.data import import_features
from dmlkit.errors import DataError, UsageError


@pytest.fixture
def refused(tmp_path):
    """A function that imports and gives the error's message; it looks after what must not be left."""

    def refuse(*sources, error=DataError, **settings):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error) as caught:
            import_features([tmp_path / source for source in sources], tmp_path / "out", **settings)
        assert sorted(tmp_path.rglob("*")) == before
        message = str(caught.value)
        assert "\n" not in message and message.isprintable()
        return message

    return refuse


def save(folder, **videos):
    """Archives of one video each: name → what differs from a video of 3 frames."""
    for name, differs in videos.items():
        arrays = {"rgb": np.ones((3, 4), np.float32), "audio": np.ones((3, 2), np.float32), "labels": [1]}
        np.savez(
            folder / f"{name}.npz",
            **{key: value for key, value in (arrays | differs).items() if value is not None},
        )


def test_objects_are_not_unpickled(tmp_path, refused):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for name, value in (("rgb", np.array([[Bomb()]], object)), ("labels", np.array([Bomb()], object))):
        np.savez(tmp_path / "a.npz", **({"rgb": np.ones((1, 4), np.float32)} | {name: value}))
        message = refused("a.npz")
        assert (
            f"a.npz, array {name} holds Python objects" in message
            and "np.asarray(rgb, np.float32)" in message
        )
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "x.npy", np.array([[Bomb()]], object))
    assert "x.npy holds Python objects" in refused("clips")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("differs", "parts"),
    [
        ({"rgb": np.ones((3, 5), np.float32)}, ("b.npz, b: rgb has 5 values a frame, but 4",)),
        (
            {"rgb": np.float32([[1, 2, 3, 4], [1, np.nan, 3, 4]])},
            ("b.npz, b: rgb", "NaN", "frame 1 (counted from 0)"),
        ),
        ({"rgb": np.float64([[1, 2, 3, 1e300]] * 3)}, ("b.npz, b: rgb", "infinite", "frame 0")),
        ({"rgb": np.ones((0, 4)), "audio": np.ones((0, 2))}, ("b.npz, b has no frames",)),
        ({"audio": None}, ("b.npz, b lacks the modality audio", "--missing silence")),
        ({"audio": np.ones((0, 2))}, ("b.npz, b lacks the modality audio",)),
        ({"text": np.ones((3, 2))}, ("b.npz, b has the modality text", "--modalities")),
        ({"audio": np.ones((6, 2))}, ("differ in their number of frames (rgb 3, audio 6)", "--frames-apart")),
        ({"rgb": np.ones((3, 4), np.int64)}, ("b.npz, b, rgb is int64", "uint8")),
        ({"rgb": np.ones((3, 4), complex)}, ("complex128",)),
        ({"rgb": np.ones((3, 2, 2))}, ("b.npz holds no modality", "rgb (3, 2, 2)")),
        ({"rgb": np.ones(4), "audio": np.ones(2)}, ("b.npz, b: rgb is one row of 4 values", "--level")),
        ({"labels": [-1]}, ("b.npz, b: there is no class -1",)),
        ({"labels": [0.5]}, ("b.npz: labels must be whole numbers", "float64")),
        ({"labels": ["Dog"]}, ("b.npz, b: the label 'Dog' is no number", "--classes FILE")),
        ({"id": ""}, ("b.npz: the id is empty",)),
        ({"id": 1.5}, ("b.npz: the id must be a text",)),
        ({"id": "a"}, ("b.npz, a: a video of this id came before",)),
        ({"split": "vali"}, ("b.npz, b: there is no part 'vali'. Did you mean 'validate'?",)),
        ({"num_frames": 9}, ("b.npz: num_frames is 9, but the frames are 3",)),
        (
            {"ids": ["x", "y"]},
            ("b.npz, array rgb must hold one entry for each of the 2 ids. Received: (3, 4)",),
        ),
        ({"mean_audio": np.ones((3, 2))}, ("audio and mean_audio are both the modality audio",)),
        ({"2d": np.ones((3, 2))}, ("'2d' cannot be the name of a modality",)),
    ],
)
def test_a_video_that_is_not_like_the_others(tmp_path, refused, differs, parts):
    save(tmp_path, a={}, b=differs)
    message = refused("a.npz", "b.npz")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"num_frames": [1, 3], "rgb": np.ones((5, 4))}, "5 frames, but the videos' frames add up to 4"),
        ({"num_frames": [1, 9], "rgb": np.ones((2, 5, 4))}, "video 1 is said to have more frames than the 5"),
        ({"num_frames": [-1, 5], "rgb": np.ones((4, 4))}, "video 0 has fewer than 0 frames"),
        ({"num_frames": [1.0, 4.0], "rgb": np.ones((5, 4))}, "num_frames must be whole numbers"),
        ({"num_frames": [5], "rgb": np.ones((5, 4))}, "one entry for each of the 2 ids"),
        ({"offsets": [1, 2, 5], "rgb": np.ones((5, 4))}, "offsets must be where each video begins"),
        ({"rgb": np.ones((2, 5, 4)), "labels": [1]}, "labels must hold one entry for each of the 2 ids"),
        ({"rgb": np.ones((2, 5, 4)), "labels": [[0, 2], [1, 0]]}, "must hold 0 and 1 only"),
        ({"rgb": np.ones((2, 5, 4)), "labels": [1, 2, 3], "num_labels": [1, 1]}, "adds up to 2"),
        ({"labels": [1, 2]}, "holds ids, but no modality"),
        ({"rgb": np.ones((2, 5, 4)), "times": np.ones(2)}, "Say which arrays are modalities"),
    ],
)
def test_an_archive_of_many_whose_arrays_do_not_fit(tmp_path, refused, arrays, part):
    np.savez(tmp_path / "all.npz", ids=["x", "y"], **arrays)
    message = refused("all.npz")
    assert "all.npz" in message and part in message


def header(shape, dtype="<f4", version=b"\x01\x00"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "shape", ["(1099511627776, 1024)", "(2, 9)", "(0, 4)", "(-1, 4)", "(True, 4)", "(1e3, 4)", "x"]
)
def test_a_shape_that_the_file_does_not_hold(tmp_path, refused, shape):
    content = header(shape) + np.ones((3, 4), np.float32).tobytes()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("rgb.npy", content)
    assert "x.npy" in refused("clips")
    assert "a.npz, array rgb" in refused("a.npz")


def test_little_that_unpacks_to_very_much_is_not_unpacked(tmp_path, refused):
    # 544 MB of zeros in 544 kB, and one video's modality may take 512 MB.
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("rgb.npy", "w") as file,
    ):
        file.write(header("(139264, 1024)"))
        for _ in range(136):
            file.write(bytes(4 << 20))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        assert "would take 570,425,344 bytes at once" in refused("a.npz")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_an_archive_cut_or_altered_anywhere(tmp_path, make_videos):
    """The result is an error of ours, or the data set that the whole archive gives."""
    video = make_videos(1)["v000"]
    settings = {"split": "test=1", "num_classes": 9, "name": "x"}
    np.savez_compressed(tmp_path / "a.npz", id="a", labels=[1, 2], **video)
    import_features(tmp_path / "a.npz", tmp_path / "whole", **settings)
    expected = (tmp_path / "whole" / "test00000.tfrecord").read_bytes()
    content = (tmp_path / "a.npz").read_bytes()
    random = np.random.default_rng(3)
    altered = [content[: random.integers(len(content))] for _ in range(40)]
    for place in random.integers(len(content), size=260):
        other = bytearray(content)
        other[place] ^= 1 << random.integers(8)
        altered.append(bytes(other))
    told = 0
    for number, other in enumerate(altered):
        (tmp_path / "a.npz").write_bytes(other)
        try:
            import_features(tmp_path / "a.npz", tmp_path / f"out{number}", **settings)
        except DataError as error:
            told += 1
            assert "a.npz" in str(error)
            assert not (tmp_path / f"out{number}").exists()
        else:
            assert (tmp_path / f"out{number}" / "test00000.tfrecord").read_bytes() == expected
    # What is not told of lies in what zip files say of dates and systems.
    assert told > 0.8 * len(altered)


@pytest.mark.parametrize("name", ["a.npz", "clips/a.npy", "a.parquet", "a.tfrecord", "a.pb"])
def test_a_file_that_is_something_else(tmp_path, refused, name):
    (tmp_path / "clips").mkdir()
    for content in (
        b"",
        b"\x00",
        b"<html>404 Not found</html>" * 20,
        b"PK\x03\x04" + bytes(200),
        b"PAR1" + bytes(80) + b"PAR1",
    ):
        (tmp_path / name).write_bytes(content)
        assert name in refused(name.split("/")[0])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["a.npz", "clips/a.npy", "a.parquet", "a.tfrecord"])
def test_a_file_cut_off(tmp_path, refused, name, share):
    (tmp_path / "clips").mkdir()
    frames = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    np.savez(tmp_path / "a.npz", rgb=frames)
    np.save(tmp_path / "clips" / "a.npy", frames)
    pq.write_table(pa.table({"id": ["a"], "rgb": [frames.tolist()]}), tmp_path / "a.parquet")
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(frames.tobytes())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    assert name in refused(name.split("/")[0])


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"name": ["a"], "rgb": [[1.0]]}, ("no column `id`", "name, rgb")),
        ({"id": ["a"], "labels": [[1]]}, ("no column that is a modality",)),
        ({"id": ["a", "b"], "rgb": [[[1.0, 2.0]], [[1.0, 2.0], [3.0]]]}, ("row 1", "column rgb", "[1, 2]")),
        ({"id": ["a", "b"], "rgb": [[1.0, 2.0], [1.0, None]]}, ("row 1", "a value is null")),
        ({"id": ["a"], "rgb": [[[1.0], None]]}, ("row 0", "a frame is null")),
        ({"id": ["a", "b"], "rgb": [[1.0, 2.0], None]}, ("row 1", "has no frames in any modality")),
        ({"id": ["a", None], "rgb": [[1.0], [1.0]]}, ("row 1", "the id must be a text")),
        ({"id": ["a"], "rgb": [["x"]]}, ("the column rgb is list<", "string")),
        ({"id": ["a"], "labels": [1.5], "rgb": [[1.0]]}, ("row 0", "labels must be whole numbers")),
    ],
)
def test_a_table_that_is_none_of_videos(tmp_path, refused, columns, parts):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    message = refused("a.parquet", split="test=1", num_classes=9)
    for part in ("a.parquet", *parts):
        assert part in message


def test_an_altered_value_is_told_where_the_table_has_checksums(tmp_path, refused):
    table = pa.table({"id": ["a"], "rgb": [[[0.25, 0.5, 0.75]] * 3]})
    pq.write_table(
        table, tmp_path / "a.parquet", compression="none", use_dictionary=False, write_page_checksum=True
    )
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[content.index(struct.pack("<d", 0.5)) + 3] ^= (
        1  # neither the least nor the most, which stand elsewhere too
    )
    (tmp_path / "a.parquet").write_bytes(content)
    assert "a.parquet cannot be read as parquet" in refused("a.parquet", split="test=1", num_classes=9)


def test_sources_that_are_none(tmp_path, refused):
    assert "There is no" in refused("nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds nothing that can be imported" in refused("empty") and ".npz" in refused("empty")
    (tmp_path / "film.mp4").write_bytes(b"x")
    assert "of no kind that can be imported" in refused("film.mp4")
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    assert "give the folder" in refused("a.npy")
    save(tmp_path, b={})
    assert "Give one kind at a time" in refused(".")
    pq.write_table(
        pa.table({"id": pa.array([], pa.string()), "rgb": pa.array([], pa.list_(pa.float32()))}),
        tmp_path / "e.parquet",
    )
    assert "hold no videos" in refused("e.parquet")


def test_a_folder_for_each_video_is_told_from_one_for_each_modality(tmp_path, refused):
    for number in range(40):
        (tmp_path / "videos" / f"v{number}").mkdir(parents=True)
        np.save(tmp_path / "videos" / f"v{number}" / "rgb.npy", np.ones((3, 4)))
    assert "40 folders" in refused("videos") and "<modality>/<id>.npy" in refused("videos")


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"level": "frames"}, "Did you mean 'frame'"),
        ({"coding": "bytes"}, "Did you mean 'byte'"),
        ({"missing": "skip"}, "refuse, silence"),
        ({"level": "video", "coding": "byte"}, "Video-level records hold floats"),
        ({"num_classes": 0}, "at least 1"),
        ({"records_per_shard": 0}, "at least 1"),
        ({"frames_apart": -1}, "at least 0"),
        ({"modalities": ["rgb", ""]}, "must be names"),
        ({"split": "train=0.5"}, "add up to 1"),
        ({"split": "train=0.5,validation=0.5"}, "Did you mean 'validate'"),
        ({"split": "train=nan,validate=1"}, "above 0"),
        ({"split": "train"}, "above 0"),
        ({"split": "train=0.5,train=0.5"}, "one number"),
    ],
)
def test_arguments_that_cannot_be_used(tmp_path, refused, settings, part):
    save(tmp_path, a={})
    assert part in refused("a.npz", error=UsageError, **settings)


def test_what_stands_there_is_not_overwritten(tmp_path, refused):
    save(tmp_path, a={})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("the only copy")
    assert "nothing is overwritten" in refused("a.npz", error=UsageError, split="test=1")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "the only copy"
    for source, out in ((tmp_path / "a.npz", "gs://bucket/data"), ("gs://bucket/a.npz", tmp_path / "new")):
        with pytest.raises(UsageError, match=r"local folder\. Received: gs://bucket/"):
            import_features(source, out)


def test_text_from_a_source_cannot_steer_a_terminal(tmp_path, refused):
    name = "\x1b[2Jx\u202e"
    save(tmp_path, a={"id": name}, b={"id": name, "labels": [name]})
    assert "came before" in refused("a.npz", "b.npz")
    np.savez(tmp_path / "c.npz", **{name: np.ones((3, 4))})
    assert "cannot be the name" in refused("c.npz")


def test_an_interrupted_import_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    save(tmp_path, a={})
    monkeypatch.setattr("dmlkit.data.schema.write_dataset_toml", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_features(tmp_path / "a.npz", tmp_path / "out", split="test=1")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_full_disk_is_told(tmp_path, refused):
    import resource

    save(tmp_path, a={"rgb": np.ones((3000, 4), np.float32), "audio": None})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        message = refused("a.npz", error=UsageError, split="test=1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written: File too large" in message


def test_json_is_no_import(tmp_path, refused):
    (tmp_path / "a.npz").write_text(json.dumps({"rgb": [[1, 2]]}))
    assert "not an .npz archive" in refused("a.npz")
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, 4)))
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    assert "not an .npz archive" in refused("a.npz")
