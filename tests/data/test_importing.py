"""`import_features`: what goes in comes out, from every kind of source; what cannot be taken leaves nothing behind."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from dmlkit.data import (
    count_records,
    dequantize,
    import_features,
    open_dataset,
    serialize_frames,
    write_shard,
)
from dmlkit.errors import DataError, UsageError

SIZES = {"rgb": 12, "audio": 5}
HALF_A_STEP = 2 / 255 + 1e-6


def make_videos(count=40, *, dtype=np.float32, level="frame"):
    """id → modality → array, of 1 to 9 frames, or one row at video level."""
    random, videos = np.random.default_rng(0), {}
    for number in range(count):
        shape = (int(random.integers(1, 10)),) if level == "frame" else ()
        low, high = (0, 256) if dtype == np.uint8 else (-1.9, 1.9)
        videos[f"v{number:03}"] = {
            name: random.uniform(low, high, (*shape, size)).astype(dtype) for name, size in SIZES.items()
        }
    return videos


def labels_for(videos):
    return {name: sorted({number % 5, number % 3}) for number, name in enumerate(videos)}


def read_back(folder):
    """id → (modality → its frames, classes, split)."""
    dataset, found = open_dataset(folder), {}
    for split in dataset.splits:
        for batch in dataset.batches(split, batch_size=7):
            for row, name in enumerate(batch["id"].tolist()):
                length = batch["num_frames"][row] if dataset.level == "frame" else None
                arrays = {
                    name: batch[name][row][: length if feature.in_frames else None]
                    for name, feature in dataset.features.items()
                }
                classes = np.flatnonzero(batch["labels"][row]).tolist() if "labels" in batch else None
                assert name not in found
                found[name] = (arrays, classes, split)
    return found


def save_npz_each(folder, videos, labels):
    for name, arrays in videos.items():
        np.savez_compressed(folder / f"{name}.npz", labels=labels[name], **arrays)


def save_npz_padded(folder, videos, labels):
    lengths = [len(arrays["rgb"]) for arrays in videos.values()]
    padded = {}
    for name, size in SIZES.items():
        padded[name] = np.zeros((len(videos), max(lengths), size), next(iter(videos.values()))[name].dtype)
        for place, arrays in zip(padded[name], videos.values(), strict=True):
            place[: len(arrays[name])] = arrays[name]
    hot = np.array([[label in labels[name] for label in range(5)] for name in videos])
    names = np.array([*videos]).astype("S")
    np.savez(folder / "all.npz", ids=names, labels=hot, num_frames=lengths, **padded)


def save_parquet(folder, videos, labels):
    columns = {"id": list(videos), "labels": [labels[name] for name in videos]}
    for modality in SIZES:
        values = [arrays[modality] for arrays in videos.values()]
        inner = pa.large_list(pa.uint8() if values[0].dtype == np.uint8 else pa.float32())
        kind = pa.list_(inner) if values[0].ndim == 2 else inner
        columns[modality] = pa.array([array.tolist() for array in values], kind)
    pq.write_table(pa.table(columns), folder / "all.parquet", row_group_size=13)


def message(context, features):
    """MediaPipe's SequenceExample: keys of the context → values, modality → frames."""
    example = tf.train.SequenceExample()
    for key, values in context.items():
        feature = example.context.feature[key]
        kind = feature.bytes_list if isinstance(values[0], bytes) else feature.int64_list
        kind.value.extend(values)
    for name, matrix in features.items():
        frames = example.feature_lists.feature_list[f"{name.upper()}/feature/floats"].feature
        for row in matrix:
            frames.add().float_list.value.extend(row)
    return example.SerializeToString()


def save_mediapipe(folder, videos, labels):
    with tf.io.TFRecordWriter(str(folder / "all.tfrecord")) as writer:
        for name, arrays in videos.items():
            context = {"clip/media_id": [name.encode()], "clip/label/index": labels[name]}
            writer.write(message(context, arrays))


SAVED = {name.removeprefix("save_"): save for name, save in globals().items() if name.startswith("save_")}


def imported(folder, kind, videos, **options):
    (folder / "source").mkdir()
    labels = labels_for(videos)
    SAVED[kind](folder / "source", videos, labels)
    return import_features(folder / "source", folder / "out", **options), labels


@pytest.mark.parametrize("kind", SAVED)
def test_what_goes_in_comes_out(tmp_path, kind):
    dtype = np.float32 if kind == "mediapipe" else np.uint8  # MediaPipe has floats alone
    videos = make_videos(dtype=dtype)
    done, labels = imported(tmp_path, kind, videos, records_per_shard=2)
    back = read_back(done.folder)
    assert back.keys() == videos.keys() and not any("clipped" in note for note in done.notes)
    for name, (arrays, classes, _) in back.items():
        assert classes == labels[name]
        for modality, array in arrays.items():
            expected = videos[name][modality]
            assert array.dtype == np.uint8 and array.shape == expected.shape
            close = np.abs(dequantize(array) - expected).max() <= HALF_A_STEP
            assert (array == expected).all() if dtype == np.uint8 else close
    for split, shards in open_dataset(done.folder).splits.items():
        counts = [count_records(shard) for shard in shards]
        assert sum(counts) == done.videos[split] and max(counts) <= 2


def test_the_mean_of_frames(tmp_path):
    videos = make_videos(dtype=np.uint8)
    done, _ = imported(tmp_path, "npz_each", videos, level="video")
    for name, (arrays, _, _) in read_back(done.folder).items():
        for modality, array in arrays.items():
            np.testing.assert_allclose(array, dequantize(videos[name][modality]).mean(axis=0), atol=2e-6)


TO_PREDICT = {"split": "test=1", "num_classes": 9}
FRAMES = {"RGB": np.linspace(-1.5, 1.5, 12).reshape(3, 4), "AUDIO": np.linspace(-1, 1, 4).reshape(2, 2)}


def test_one_message_a_file_as_mediapipe_leaves_it(tmp_path):
    for name, context in {
        "e": {"example/id": [b"e"], "clip/media_id": [b"m"]},
        "my cat.v2": {"clip/data_path": [b"C:\\films\\my cat.v2.mp4"], "clip/start/timestamp": [0]},
        "features": {},
    }.items():
        (tmp_path / "features.tfrecord").write_bytes(message(context, FRAMES))
        done = import_features(tmp_path / "features.tfrecord", tmp_path / name, **TO_PREDICT)
        ((video, (arrays, _, _)),) = read_back(tmp_path / name).items()
        assert video == name and "Cut to the shortest of the modalities: 1 video." in done.notes
        for modality, frames in FRAMES.items():
            assert np.abs(dequantize(arrays[modality.lower()]) - frames[:2]).max() <= HALF_A_STEP


ALL = "abcdefghij"
THIRDS = {"split": "train=0.4,tuning=0.3,validate=0.3"}


@pytest.fixture
def clips(tmp_path):
    """A folder of ten videos of one modality, without labels."""
    (tmp_path / "clips").mkdir()
    for name in ALL:
        np.save(tmp_path / "clips" / f"{name}.npy", np.ones((2, 3), np.float32))
    return tmp_path / "clips"


def table(folder, *rows, header="id,labels"):
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return folder / "labels.csv"


def every(cells):
    return [f"{name},{cells[number % len(cells)]}" for number, name in enumerate(ALL)]


def test_labels_by_a_vocabulary_or_a_list_of_names(tmp_path, clips):
    labels = table(tmp_path, *every(["Cat", '"Guitar,Cat"', "1", "Cat;0", ""]), "x1,Guitar")
    for ending, content in (("csv", "Index,Name\n0,Guitar\n1,Cat\n"), ("txt", "Guitar\nCat\n")):
        (tmp_path / f"names.{ending}").write_text(content)
        out = tmp_path / ending
        done = import_features(clips, out, labels=labels, classes=tmp_path / f"names.{ending}", **THIRDS)
        assert [read_back(out)[name][1] for name in "abcde"] == [[1], [0, 1], [1], [0, 1], []]
        assert any("labels.csv names 1 video not there: x1." in note for note in done.notes)


@pytest.fixture
def refused(tmp_path):
    """A function that imports and gives the error's message; it checks that nothing is left."""

    def refuse(*sources, error=DataError, **options):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error) as caught:
            import_features([tmp_path / source for source in sources], tmp_path / "out", **options)
        assert sorted(tmp_path.rglob("*")) == before and str(caught.value).isprintable()
        return str(caught.value)

    return refuse


BAD_LABELS = [
    (["a,7"], {"num_classes": 7}, ("no class 7", "0 to 6")),
    (["a,Cat"], {"classes": "Cat\nCat"}, ("'Cat'", "several classes")),
    (["a,1"], {}, ("b.npy, b (", "labels.csv): it has no labels")),
    (["a,1", "b,1,2"], {}, ("cannot be read as a table", "line 3")),
]


def test_labels_that_cannot_be_used(tmp_path, clips, refused):
    for rows, options, parts in BAD_LABELS:
        (tmp_path / "names.txt").write_text(options.get("classes", ""))
        options = options | ({"classes": tmp_path / "names.txt"} if "classes" in options else {})
        message = refused("clips", labels=table(tmp_path, *rows), **options)
        assert all(part in message for part in parts), message


def test_the_split_of_a_video(tmp_path, clips):
    named = {"a": "train", "b": "tuning", "c": "validate", "d": "test"}
    rows = [f"{name},{number % 3},{named.get(name, '')}" for number, name in enumerate(ALL)]
    labels = table(tmp_path, *rows, header="id,labels,split")
    import_features(clips, tmp_path / "named", labels=labels, split="train=1")
    back = read_back(tmp_path / "named")
    assert {name: each[2] for name, each in back.items()} == dict.fromkeys(ALL, "train") | named
    # Else it depends on the id alone: more videos in another order leave those there in their splits.
    names, found = [f"video {number}" for number in range(400)], []
    for out, some in (("few", names[100:300]), ("many", names[::-1])):
        rgb, labels = np.ones((len(some), 3)), np.zeros(len(some), int)
        np.savez(tmp_path / f"{out}.npz", ids=some, rgb=rgb, labels=labels)
        import_features(tmp_path / f"{out}.npz", tmp_path / out)
        found.append({name: each[2] for name, each in read_back(tmp_path / out).items()})
    assert found[0].items() <= found[1].items()
    assert 290 < list(found[1].values()).count("train") < 350
    done = import_features(clips, tmp_path / "unlabelled", num_classes=20)
    assert done.videos == {"test": 10} and open_dataset(done.folder).num_classes == 20
    with pytest.raises(DataError, match="--num-classes or --classes"):
        import_features(clips, tmp_path / "out")
    # What is of one split alone is written in shards enough to be divided, in an order of its own.
    done = import_features(
        clips, tmp_path / "one", labels=table(tmp_path, *every(["0"])), split="train=1", records_per_shard=3
    )
    assert done.videos == {"train": 10} and "every fifth of its 10 shards validates (2)" in " ".join(
        done.notes
    )
    dataset, back = open_dataset(done.folder), read_back(done.folder)
    assert {split: dataset.num_videos(split) for split in dataset.splits} == {
        "train": 7, "tuning": 1, "validate": 2
    } and back.keys() == set(ALL)  # fmt: skip
    assert [*back] != sorted(back) and all((arrays["rgb"] == 191).all() for arrays, _, _ in back.values())
    labels = table(tmp_path, "a,0,", "b,1,", *(f"{name},,test" for name in ALL[2:]), header="id,labels,split")
    with pytest.raises(DataError, match=r"/out has only one split.* of 2 shards;.* Import more videos"):
        import_features(clips, tmp_path / "out", labels=labels, split="train=1")


def test_texts_of_the_table_are_a_modality(tmp_path, clips):
    rows = ['a,0,"Cats, my cats"', "a,1,pets", "a,2,pets", "b,1, ", *(f"{name},0,Häuser" for name in ALL[2:])]
    labels = table(tmp_path, *rows, header="id,labels,text")
    done = import_features(clips, tmp_path / "out", labels=labels, **THIRDS)
    features = open_dataset(done.folder).features
    assert {name: each.coding for name, each in features.items()} == {"rgb": "byte", "text": "text"}
    assert any(note.startswith("Texts are the modality text") for note in done.notes)
    back = read_back(done.folder)
    assert [back[name][0]["text"].sum() for name in "abc"] == [3, 0, 1]  # cats, my, pets; none; häuser


ONE_OF = [
    ({"rgb": np.ones((3, 4), np.uint8)}, "b.npz, b: rgb is uint8, not like the videos before"),
    ({"rgb": np.ones((3, 5))}, "b.npz, b: rgb is (3, 5), in other videos (frames, 4)"),
    ({"rgb": np.ones((0, 4)), "audio": np.ones((0, 2))}, "b.npz, b: there are no frames"),
    ({"audio": None}, "b.npz, b: it has rgb, but the videos before it rgb, audio"),
    ({"audio": np.ones((6, 2))}, "differ in their number of frames ({'rgb': 3, 'audio': 6})"),
    ({"id": "a"}, "b.npz, a: a video of this id came before"),
    ({"mean_audio": np.ones((3, 2))}, "are both the modality audio"),
    ({"rgb": np.array([[print]], object)}, "Pickles are not read"),
]
MANY = [
    ({"num_frames": [1, 3], "rgb": np.ones((5, 4))}, "Received: (5, 4)"),
    ({"rgb": np.ones((2, 5, 4)), "labels": [1]}, "must hold one entry for each of the 2 ids"),
    ({"labels": [1, 2]}, "holds no modality"),
]


def test_a_video_that_is_not_like_the_others(tmp_path, refused):
    plain = {"rgb": np.ones((3, 4), np.float32), "audio": np.ones((3, 2), np.float32), "labels": [1]}
    np.savez(tmp_path / "a.npz", **plain)
    for differs, part in ONE_OF:
        arrays = {key: value for key, value in (plain | differs).items() if value is not None}
        np.savez(tmp_path / "b.npz", **arrays)
        assert part in (found := refused("a.npz", "b.npz")), found
    for arrays, part in MANY:
        np.savez(tmp_path / "all.npz", ids=["x", "y"], **arrays)
        assert part in (found := refused("all.npz")) and "all.npz" in found, found
    np.savez(tmp_path / "b.npz", rgb=plain["rgb"], labels=[1])
    options = {"missing": "silence", "split": "train=1", "records_per_shard": 1}
    np.savez(tmp_path / "c.npz", **plain)
    done = import_features([tmp_path / f"{n}.npz" for n in "abc"], tmp_path / "silent", **options)
    assert "audio is missing in 1 video, where it is read as silence." in done.notes


def test_sources_that_are_damaged_or_none(tmp_path, refused):
    videos = make_videos(5)
    for kind, name in (("npz_padded", "all.npz"), ("parquet", "all.parquet"), ("mediapipe", "all.tfrecord")):
        SAVED[kind](tmp_path, videos, labels_for(videos))
        whole = (tmp_path / name).read_bytes()
        for cut in (whole[: len(whole) // 2], whole[:-1], b"", b"\xff" * 50):
            (tmp_path / name).write_bytes(cut)
            assert name in refused(name, **TO_PREDICT)
    record = serialize_frames(video_id="v", labels=[1], frames={"rgb": np.ones((2, 3))})
    write_shard(tmp_path / "yt8m.tfrecord", [record])
    assert "needs no import" in refused("yt8m.tfrecord")
    (tmp_path / "clips").mkdir()
    assert "nothing that can be imported" in refused("clips")
    np.save(tmp_path / "clips" / "x.npy", np.ones((2, 3)))
    np.save(tmp_path / "clips" / "w.npy", np.ones(3))  # a video's mean is not the mean of another's frames
    assert "x.npy, x: rgb is (2, 3), in other videos (3,)" in refused("clips")
    assert "--modalities names 2" in refused("clips", error=UsageError, modalities=["a", "b"])
    (tmp_path / "clips" / "inner").mkdir()
    np.save(tmp_path / "clips" / "inner" / "x.npy", np.ones((2, 3)))
    assert "w.npy is not in one folder of a modality" in refused("clips")


def test_options_that_cannot_be_used(clips, refused, tmp_path):
    wrong = [{"split": "train=0.5"}, {"split": "teach=1"}, {"level": "vdeo"}, {"records_per_shard": 0}]
    for options in [*wrong, {"level": "video", "coding": "byte"}]:
        refused("clips", error=UsageError, **options)
    with pytest.raises(UsageError, match="local"):
        import_features("gs://bucket/x.npz", tmp_path / "out")
    with pytest.raises(UsageError, match="not empty"):
        import_features(clips, clips)
