"""What MediaPipe leaves: one message a file, sound a frame shorter than pictures, ids in one of several places.

The messages are made with `tf.train` after MediaSequence's reference of keys.
"""

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import (
    dequantize,
    import_features,
    open_dataset,
    serialize_frames,
    serialize_video,
    write_shard,
)
from dmlkit.errors import DataError


def message(context=(), features=(), means=()):
    """A SequenceExample: keys of the context → values, modality → frames, modality → one row in the context."""
    example = tf.train.SequenceExample()
    for key, values in dict(context).items():
        feature = example.context.feature[key]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    for prefix, matrix in dict(features).items():
        frames = example.feature_lists.feature_list[f"{prefix}/feature/floats"].feature
        for row in matrix:
            frames.add().float_list.value.extend(row)
    for prefix, row in dict(means).items():
        example.context.feature[f"{prefix}/context_feature/floats"].float_list.value.extend(row)
    return example


def save(path, *examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(example.SerializeToString())
    return path


FRAMES = {"RGB": np.linspace(-1.5, 1.5, 12).reshape(3, 4), "AUDIO": np.linspace(-1, 1, 6).reshape(3, 2)}
TO_PREDICT = {"split": "test=1", "num_classes": 9}


@pytest.mark.parametrize("name", ["features.pb", "output.tfrecord"])
def test_one_message_a_file_as_the_graph_for_youtube_8m_leaves_it(tmp_path, read_back, name):
    """That graph is told of the path and the times of a video, and of nothing else (MediaPipe issues 194 and 924)."""
    told = {
        "clip/data_path": [b"/films/cats.mp4"],
        "clip/start/timestamp": [0],
        "clip/end/timestamp": [3_000_000],
    }
    (tmp_path / name).write_bytes(message(told, FRAMES).SerializeToString())
    (tmp_path / "labels.csv").write_text("id,labels\ncats,2 3\n")
    import_features(tmp_path / name, tmp_path / "out", labels=tmp_path / "labels.csv", split="test=1")
    ((video, (arrays, classes, _)),) = read_back(tmp_path / "out").items()
    assert (video, classes) == ("cats", [2, 3])
    np.testing.assert_allclose(dequantize(arrays["rgb"]), FRAMES["RGB"], atol=2 / 255)
    np.testing.assert_allclose(dequantize(arrays["audio"]), FRAMES["AUDIO"], atol=2 / 255)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"example/id": [b"e"], "clip/media_id": [b"m"], "clip/data_path": [b"p.mp4"]}, "e"),
        ({"clip/media_id": [b"m"], "clip/data_path": [b"p.mp4"]}, "m"),
        ({"id": [b"i"]}, "i"),
        ({"video_id": [b"v"]}, "v"),
        ({"clip/data_path": [b"C:\\films\\my cat.v2.mp4"]}, "my cat.v2"),
        ({}, "features"),
    ],
)
def test_where_the_id_is_looked_for(tmp_path, read_back, context, expected):
    (tmp_path / "features.pb").write_bytes(message(context, FRAMES).SerializeToString())
    import_features(tmp_path / "features.pb", tmp_path / "out", **TO_PREDICT)
    assert [*read_back(tmp_path / "out")] == [expected]


def test_a_record_without_an_id_is_named(tmp_path):
    path = save(tmp_path / "a.tfrecord", message({"example/id": [b"x"]}, FRAMES), message((), FRAMES))
    with pytest.raises(DataError, match=r"a\.tfrecord, record 1 .*names no video.*Set example/id"):
        import_features(path, tmp_path / "out", **TO_PREDICT)


def test_labels_are_numbers_or_names(tmp_path, read_back):
    path = save(
        tmp_path / "a.tfrecord",
        message({"id": [b"a"], "clip/label/index": [4, 3], "clip/label/string": [b"run", b"jump"]}, FRAMES),
        message({"id": [b"b"], "clip/label/string": [b"jump"]}, FRAMES),
        message({"id": [b"c"]}, FRAMES),
    )
    (tmp_path / "names.txt").write_text("walk_records\nswim\nride\njump\nrun\n")
    import_features(path, tmp_path / "out", classes=tmp_path / "names.txt", split="test=1")
    assert {name: classes for name, (_, classes, _) in read_back(tmp_path / "out").items()} == {
        "a": [3, 4],
        "b": [3],
        "c": [],
    }


def test_sound_that_ends_a_frame_earlier_is_told_and_pictures_are_cut(tmp_path, read_back):
    shorter = {"RGB": FRAMES["RGB"], "AUDIO": FRAMES["AUDIO"][:2]}
    path = save(tmp_path / "a.tfrecord", message({"id": [b"a"]}, shorter), message({"id": [b"b"]}, FRAMES))
    done = import_features(path, tmp_path / "out", **TO_PREDICT)
    assert "Cut to the shorter of the modalities: 1 video." in done.notes
    back = read_back(tmp_path / "out")
    assert {name: len(arrays["rgb"]) for name, (arrays, _, _) in back.items()} == {"a": 2, "b": 3}
    with pytest.raises(DataError, match=r"record 0 .*a: the modalities differ.*\(audio 2, rgb 3\)"):
        import_features(path, tmp_path / "other", frames_apart=0, **TO_PREDICT)


def test_a_film_without_sound(tmp_path, read_back):
    silent = {"RGB": FRAMES["RGB"]}
    path = save(tmp_path / "a.tfrecord", message({"id": [b"a"]}, silent), message({"id": [b"b"]}, FRAMES))
    with pytest.raises(DataError, match="b has the modality audio, which the videos before it lack"):
        import_features(path, tmp_path / "out", **TO_PREDICT)
    done = import_features(path, tmp_path / "out", missing="silence", **TO_PREDICT)
    assert "audio is missing in 1 video, where it is read as silence." in done.notes
    back = read_back(tmp_path / "out")
    assert np.abs(dequantize(back["a"][0]["audio"])).max() < 1e-3 and len(back["a"][0]["audio"]) == 3
    np.testing.assert_allclose(dequantize(back["b"][0]["audio"]), FRAMES["AUDIO"], atol=2 / 255)


def test_what_lies_outside_the_bytes_is_counted(tmp_path):
    loud = {"RGB": np.array([[0.0, 2.0, 2.1, -7.0]]), "AUDIO": np.zeros((1, 2))}
    path = save(tmp_path / "a.tfrecord", message({"id": [b"a"]}, loud))
    done = import_features(path, tmp_path / "out", **TO_PREDICT)
    assert done.notes[0].startswith("rgb: 2 of 4 values (50 %) lay outside [-2, 2] and were clipped.")
    assert "--coding float" in done.notes[0] and not any(note.startswith("audio") for note in done.notes)


def test_features_of_whole_videos(tmp_path, read_back):
    means = {"RGB": [0.5, -3.25, 1e4], "AUDIO": [1.0]}
    path = save(tmp_path / "a.tfrecord", message({"id": [b"a"]}, (), means))
    import_features(path, tmp_path / "out", **TO_PREDICT)
    arrays, _, _ = read_back(tmp_path / "out")["a"]
    assert open_dataset(tmp_path / "out").level == "video"
    assert arrays["rgb"].tolist() == [0.5, -3.25, 1e4] and arrays["audio"].tolist() == [1.0]


def test_frames_of_different_lengths(tmp_path):
    path = save(tmp_path / "a.tfrecord", message({"id": [b"a"]}, {"RGB": [[1.0, 2.0], [3.0]]}))
    with pytest.raises(DataError, match=r"record 0 .*RGB/feature/floats: the frames differ .*\[1, 2\]"):
        import_features(path, tmp_path / "out", **TO_PREDICT)


def test_youtube_8m_itself_needs_no_import(tmp_path):
    rgb = np.ones((2, 4), np.uint8)
    write_shard(tmp_path / "f.tfrecord", [serialize_frames(video_id="a", labels=[1], frames={"rgb": rgb})])
    write_shard(
        tmp_path / "v.tfrecord", [serialize_video(video_id="a", labels=[1], features={"mean_rgb": rgb[0]})]
    )
    for name in ("f", "v"):
        with pytest.raises(DataError, match=r"YouTube-8M's own layout.*give its folder to --data"):
            import_features(tmp_path / f"{name}.tfrecord", tmp_path / "out")


def test_a_damaged_record_is_named(tmp_path):
    path = save(tmp_path / "a.tfrecord", *(message({"id": [name]}, FRAMES) for name in (b"a", b"b")))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tfrecord, record 1"):
        import_features(path, tmp_path / "out", **TO_PREDICT)
    save(path, message({"id": [b"a"]}, {"AUDIO": []}))
    with pytest.raises(DataError, match="has no features of MediaPipe's"):
        import_features(path, tmp_path / "out", **TO_PREDICT)
