"""Arrays, imported from every kind of source, opened and read in batches: what went in comes out."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from dmlkit.data import dequantize, import_features, open_dataset

HALF_A_STEP = 2 / 255 + 1e-6


def save_npz_each(folder, videos, labels):
    for name, arrays in videos.items():
        np.savez_compressed(folder / f"{name}.npz", labels=labels[name], **arrays)
    return folder


def save_npz_joined(folder, videos, labels, counts="num_frames"):
    lengths = [len(arrays["rgb"]) for arrays in videos.values()]
    said = {"num_frames": lengths, "offsets": np.cumsum([0, *lengths])}[counts]
    joined = {name: np.concatenate([arrays[name] for arrays in videos.values()]) for name in ("rgb", "audio")}
    flat = [label for name in videos for label in labels[name]]
    told = {"num_labels": [len(labels[name]) for name in videos], "labels": flat, counts: said}
    np.savez(folder / "all.npz", ids=list(videos), **told, **joined)
    return folder / "all.npz"


def save_npz_offsets(folder, videos, labels):
    return save_npz_joined(folder, videos, labels, counts="offsets")


def save_npz_padded(folder, videos, labels):
    padded = {}
    for modality in ("rgb", "audio"):
        rows = [arrays[modality] for arrays in videos.values()]
        padded[modality] = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[1]), rows[0].dtype)
        for place, row in zip(padded[modality], rows, strict=True):
            place[: len(row)] = row
    hot = np.array([[label in labels[name] for label in range(5)] for name in videos])
    lengths = [len(arrays["rgb"]) for arrays in videos.values()]
    # An archive may hold arrays in either order of memory.
    padded["rgb"] = np.asfortranarray(padded["rgb"])
    np.savez(
        folder / "padded.npz", ids=np.array([*videos]).astype("S"), labels=hot, num_frames=lengths, **padded
    )
    return folder / "padded.npz"


def save_npy(folder, videos, labels):
    for modality in ("rgb", "audio"):
        (folder / "features" / modality).mkdir(parents=True)
        for name, arrays in videos.items():
            np.save(folder / "features" / modality / f"{name}.npy", arrays[modality])
    lines = [f"{name},{' '.join(map(str, labels[name]))}" for name in videos]
    (folder / "labels.csv").write_text("\n".join(["id,labels", *lines]) + "\n")
    return folder / "features"


def save_parquet(folder, videos, labels, kind=None):
    columns = {"id": list(videos), "labels": [labels[name] for name in videos]}
    for modality in ("rgb", "audio"):
        values = [arrays[modality] for arrays in videos.values()]
        item = pa.uint8() if values[0].dtype == np.uint8 else pa.float32()
        inner = (
            (kind or pa.list_)(item, values[0].shape[-1]) if kind is pa.list_ else (kind or pa.list_)(item)
        )
        columns[modality] = pa.array(
            [array.tolist() for array in values], pa.list_(inner) if values[0].ndim == 2 else inner
        )
    pq.write_table(pa.table(columns), folder / "all.parquet", row_group_size=13)
    return folder / "all.parquet"


def save_parquet_of_fixed_lists(folder, videos, labels):
    return save_parquet(folder, videos, labels, kind=pa.list_)


def save_parquet_of_large_lists(folder, videos, labels):
    return save_parquet(folder, videos, labels, kind=pa.large_list)


def media_sequence(name, arrays, labels):
    example = tf.train.SequenceExample()
    example.context.feature["clip/media_id"].bytes_list.value.append(name.encode())
    example.context.feature["clip/label/index"].int64_list.value.extend(labels)
    for modality, matrix in arrays.items():
        key = modality.upper()
        for second, row in enumerate(matrix):
            frame = example.feature_lists.feature_list[f"{key}/feature/floats"].feature.add()
            frame.float_list.value.extend(row.tolist())
            time = example.feature_lists.feature_list[f"{key}/feature/timestamp"].feature.add()
            time.int64_list.value.append(second * 1_000_000)
        example.context.feature[f"{key}/feature/rate"].float_list.value.append(1.0)
        example.context.feature[f"{key}/feature/dimensions"].int64_list.value.append(matrix.shape[1])
    return example.SerializeToString()


def save_media_sequence(folder, videos, labels):
    with tf.io.TFRecordWriter(str(folder / "all.tfrecord")) as writer:
        for name, arrays in videos.items():
            writer.write(media_sequence(name, arrays, labels[name]))
    return folder / "all.tfrecord"


SAVED = {
    "npz, one a video": save_npz_each,
    "npz, frames joined": save_npz_joined,
    "npz, frames joined, offsets": save_npz_offsets,
    "npz, padded": save_npz_padded,
    "npy": save_npy,
    "parquet": save_parquet,
    "parquet, fixed lists": save_parquet_of_fixed_lists,
    "parquet, large lists": save_parquet_of_large_lists,
    "mediapipe": save_media_sequence,
}
AT_VIDEO_LEVEL = ("npz, one a video", "npy", "parquet", "parquet, fixed lists")


def imported(tmp_path, kind, videos, labels, **settings):
    (tmp_path / "source").mkdir()
    source = SAVED[kind](tmp_path / "source", videos, labels)
    if (tmp_path / "source" / "labels.csv").exists():
        settings["labels"] = tmp_path / "source" / "labels.csv"
    return import_features(source, tmp_path / "out", **settings)


@pytest.mark.parametrize("kind", SAVED)
def test_floats_come_back_to_half_a_step(tmp_path, kind, make_videos, labels_for, read_back):
    videos = make_videos()
    labels = labels_for(videos)
    done = imported(tmp_path, kind, videos, labels, records_per_shard=8)
    back = read_back(done.folder)
    assert back.keys() == videos.keys()
    for name, (arrays, classes, _) in back.items():
        assert classes == labels[name]
        for modality, array in arrays.items():
            assert array.dtype == np.uint8 and array.shape == videos[name][modality].shape
            assert np.abs(dequantize(array) - videos[name][modality]).max() <= HALF_A_STEP


@pytest.mark.parametrize("kind", [kind for kind in SAVED if kind != "mediapipe"])
def test_bytes_come_back_as_they_are(tmp_path, kind, make_videos, labels_for, read_back):
    videos = make_videos(dtype=np.uint8)
    done = imported(tmp_path, kind, videos, labels_for(videos))
    assert not any("clipped" in note for note in done.notes)
    for name, (arrays, _, _) in read_back(done.folder).items():
        for modality, array in arrays.items():
            assert array.tobytes() == videos[name][modality].tobytes()


@pytest.mark.parametrize("kind", ["npz, padded", "npy", "parquet", "mediapipe"])
def test_floats_can_be_kept(tmp_path, kind, make_videos, labels_for, read_back):
    videos = make_videos()
    videos["v000"]["rgb"][0, 0] = 1e6
    done = imported(tmp_path, kind, videos, labels_for(videos), coding="float")
    for name, (arrays, _, _) in read_back(done.folder).items():
        for modality, array in arrays.items():
            assert array.dtype == np.float32 and (array == videos[name][modality]).all()


@pytest.mark.parametrize("kind", AT_VIDEO_LEVEL)
def test_the_video_level_holds_floats(tmp_path, kind, make_videos, labels_for, read_back):
    videos = make_videos(level="video")
    done = imported(tmp_path, kind, videos, labels_for(videos))
    dataset = open_dataset(done.folder)
    assert dataset.level == "video" and [each.key for each in dataset.features.values()] == [
        "mean_rgb",
        "mean_audio",
    ]
    for name, (arrays, _, _) in read_back(done.folder).items():
        assert all((array == videos[name][modality]).all() for modality, array in arrays.items())


def test_many_videos_at_video_level_in_one_archive(tmp_path, make_videos, read_back):
    videos = make_videos(level="video")
    arrays = {
        f"mean_{name}": np.array([video[name] for video in videos.values()]) for name in ("rgb", "audio")
    }
    np.savez(tmp_path / "all.npz", id=list(videos), labels=np.arange(40) % 4, **arrays)
    import_features(tmp_path / "all.npz", tmp_path / "out")
    for number, (name, (found, classes, _)) in enumerate(sorted(read_back(tmp_path / "out").items())):
        assert classes == [number % 4]
        assert all((array == videos[name][modality]).all() for modality, array in found.items())


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.float16])
def test_the_mean_of_frames(tmp_path, dtype, make_videos, labels_for, read_back):
    videos = make_videos(dtype=dtype)
    done = imported(tmp_path, "npz, one a video", videos, labels_for(videos), level="video")
    for name, (arrays, _, _) in read_back(done.folder).items():
        for modality, array in arrays.items():
            frames = videos[name][modality]
            values = dequantize(frames) if dtype == np.uint8 else frames
            np.testing.assert_allclose(array, values.astype(np.float64).mean(axis=0), atol=2e-6)


def test_one_modality_in_a_plain_folder(tmp_path, make_videos, read_back):
    videos = make_videos()
    (tmp_path / "clips").mkdir()
    for name, arrays in videos.items():
        np.save(tmp_path / "clips" / f"{name}.npy", arrays["audio"])
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{name},{name[-1]}\n" for name in videos))
    import_features(
        tmp_path / "clips", tmp_path / "out", labels=tmp_path / "labels.csv", modalities=["sound"]
    )
    back = read_back(tmp_path / "out")
    assert {name: classes for name, (_, classes, _) in back.items()} == {
        name: [int(name[-1])] for name in videos
    }
    assert all(arrays.keys() == {"sound"} for arrays, _, _ in back.values())


def test_several_sources_make_one_data_set(tmp_path, make_videos, labels_for, read_back):
    videos = make_videos()
    labels, names = labels_for(videos), list(videos)
    sources = []
    for kind, some in (
        ("parquet", names[:11]),
        ("mediapipe", names[11:25]),
        ("npz, one a video", names[25:]),
    ):
        (tmp_path / kind).mkdir()
        sources.append(SAVED[kind](tmp_path / kind, {name: videos[name] for name in some}, labels))
    import_features(sources, tmp_path / "out")
    assert read_back(tmp_path / "out").keys() == videos.keys()


def test_only_the_modalities_asked_for(tmp_path, make_videos, labels_for, read_back):
    videos = make_videos()
    done = imported(tmp_path, "parquet", videos, labels_for(videos), modalities=["audio"])
    assert done.notes[0] == "Left aside: rgb."
    assert all(arrays.keys() == {"audio"} for arrays, _, _ in read_back(done.folder).values())


def test_every_shard_is_full_but_the_last_of_a_part(tmp_path, make_videos, labels_for):
    videos = make_videos(60)
    done = imported(tmp_path, "npz, frames joined", videos, labels_for(videos), records_per_shard=4)
    dataset = open_dataset(done.folder)
    for split, shards in dataset.splits.items():
        counts = [sum(1 for _ in tf.data.TFRecordDataset(shard)) for shard in shards]
        assert sum(counts) == done.videos[split] == dataset.num_videos(split)
        assert set(counts[:-1]) <= {4} and 1 <= counts[-1] <= 4
    assert sum(done.videos.values()) == 60


def test_the_same_sources_give_the_same_bytes(tmp_path, make_videos, labels_for):
    videos = make_videos()
    (tmp_path / "a").mkdir()
    source = save_npz_each(tmp_path / "a", videos, labels_for(videos))
    for name in ("one", "other"):
        import_features(source, tmp_path / name, name="x")
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
