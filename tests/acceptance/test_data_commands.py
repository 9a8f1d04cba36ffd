"""`dmlkit data ...` and `dmlkit submission check`: every promise of the README about them."""

import json
import shutil

import numpy as np
import pytest

from dmlkit import DataError, open_dataset


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def copied(generated, tmp_path):
    """A copy of the generated data set that may be damaged."""
    return shutil.copytree(generated, tmp_path / "data")


def test_synthesize_gives_the_same_bytes_and_show_describes_them(command, tmp_path):
    counts = ["--train", 60, "--validate", 20, "--test", 5]
    for name in ("a", "b"):
        code, out, _ = command("data", "synthesize", tmp_path / name, "--seed", 3, *counts)
        assert code == 0 and str(tmp_path / name) in out
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    code, out, _ = command("data", "show", tmp_path / "a")
    assert code == 0 and "frame level" in out and "24 classes" in out and "without labels" in out
    assert all(split in out for split in ("train", "tuning", "validate", "test"))
    assert "video level" in command("data", "show", tmp_path / "a" / "video")[1]
    assert command("data", "check", tmp_path / "a", tmp_path / "a" / "video")[0] == 0


def test_check_names_file_record_and_byte_and_reading_skips_on_request(command, copied):
    shard = sorted((copied / "frame").glob("validate*"))[0]
    data = bytearray(shard.read_bytes())
    second = int.from_bytes(data[:8], "little") + 16
    data[second + 40] ^= 1
    shard.write_bytes(data)
    code, out, _ = command("data", "check", copied)
    assert code == 3 and f"{shard}, record 1 (counted from 0), byte {second}" in out
    code, out, _ = command("data", "check", copied, "--json", "--jobs", 2)
    (fault,) = json.loads(out)["sets"][0]["faults"]["list"]
    assert code == 3 and (fault["shard"], fault["record"], fault["byte"]) == (str(shard), 1, second)
    with pytest.raises(DataError, match=r"record 1 .*byte"):
        list(open_dataset(copied).batches("validate", batch_size=50))
    kept = open_dataset(copied).batches("validate", batch_size=50, on_fault="skip 1")
    assert sum(len(batch["id"]) for batch in kept) == 99


def test_check_finds_a_file_cut_between_records_a_lost_shard_and_a_repeated_id(command, copied):
    first, second, third = sorted((copied / "frame").glob("train*"))[:3]
    data = first.read_bytes()
    first.write_bytes(data[: int.from_bytes(data[:8], "little") + 16])
    second.unlink()
    shutil.copyfile(sorted((copied / "frame").glob("train*"))[5], third)
    code, out, _ = command("data", "check", copied, "--json")
    faults = json.loads(out)["sets"][0]["faults"]
    assert code == 3 and faults["by_kind"] == {"count": 1, "missing shard": 1, "duplicate id": 10}
    for arguments, code in ((["/no/such/folder"], 3), (["--jobs", 0, copied], 2), ([], 2)):
        assert command("data", "check", *arguments)[0] == code


def videos(random, count=40):
    """id → modality → (frames, size) floats in YouTube-8M's range."""
    sizes = {"rgb": 8, "audio": 4}
    lengths = random.integers(2, 7, count)
    return {
        f"v{number:02}": {
            name: random.uniform(-1.9, 1.9, (length, size)).astype(np.float32) for name, size in sizes.items()
        }
        for number, length in enumerate(lengths)
    }


def as_npy(made, folder):
    for name in ("rgb", "audio"):
        (folder / name).mkdir(parents=True)
        for video, arrays in made.items():
            np.save(folder / name / f"{video}.npy", arrays[name])


def as_npz(made, folder):
    arrays = {name: np.concatenate([each[name] for each in made.values()]) for name in ("rgb", "audio")}
    lengths = [len(each["rgb"]) for each in made.values()]
    np.savez(folder / "all.npz", ids=list(made), num_frames=lengths, **arrays)


def as_parquet(made, folder):
    import pandas as pd

    frames = {name: [list(map(list, each[name])) for each in made.values()] for name in ("rgb", "audio")}
    pd.DataFrame({"id": list(made)} | frames).to_parquet(folder / "all.parquet")


def as_mediapipe(made, folder):
    import tensorflow as tf

    for video, arrays in made.items():
        example = tf.train.SequenceExample()
        example.context.feature["clip/data_path"].bytes_list.value.append(f"/films/{video}.mp4".encode())
        for name, matrix in arrays.items():
            frames = example.feature_lists.feature_list[f"{name.upper()}/feature/floats"].feature
            for row in matrix:
                frames.add().float_list.value.extend(row)
        (folder / f"{video}.pb").write_bytes(example.SerializeToString())


@pytest.mark.parametrize("write", [as_npy, as_npz, as_parquet, as_mediapipe])
def test_import_of_each_format(command, tmp_path, write):
    made = videos(np.random.default_rng(0))
    (tmp_path / "clips").mkdir()
    write(made, tmp_path / "clips")
    rows = [f"{video},{'Dog;Musical keyboard' if n % 2 else 'Cat'}\n" for n, video in enumerate(made)]
    (tmp_path / "labels.csv").write_text("id,labels\n" + "".join(rows))
    out = tmp_path / "mine"
    arguments = (tmp_path / "clips", "--labels", tmp_path / "labels.csv", "--out", out)
    code, text, err = command("data", "import", *arguments)
    assert code == 0 and "40 videos" in text, err
    assert command("data", "check", out)[0] == 0
    dataset, found = open_dataset(out), {}
    assert dataset.class_names == ("Cat", "Dog", "Musical keyboard")
    for split in ("train", "tuning", "validate"):
        for batch in dataset.batches(split, batch_size=7):
            for row, video in enumerate(batch["id"].tolist()):
                labels = np.flatnonzero(batch["labels"][row]).tolist()
                found[video] = split
                assert labels == ([1, 2] if int(video[1:]) % 2 else [0])
                for name, matrix in made[video].items():
                    read = batch[name][row][: batch["num_frames"][row]] * np.float32(4 / 255) + 4 / 512 - 2
                    np.testing.assert_allclose(read, matrix, atol=2.1 / 255)
    assert found.keys() == made.keys()


def test_import_counts_what_it_clips_and_leaves_nothing_after_a_fault(command, tmp_path):
    arrays = {"ids": ["a", "b", "c"], "num_frames": [2, 2, 2], "rgb": np.full((6, 4), 3.0, np.float32)}
    np.savez(tmp_path / "all.npz", **arrays)
    import_to = ["data", "import", tmp_path / "all.npz", "--split", "test=1", "--num-classes", 9, "--out"]
    code, out, _ = command(*import_to, tmp_path / "bytes")
    assert code == 0 and "24 of 24 values" in out and "clipped" in out
    assert command(*import_to, tmp_path / "floats", "--coding", "float")[0] == 0
    (batch,) = open_dataset(tmp_path / "floats").batches("test", batch_size=3)
    assert (batch["rgb"] == 3).all()
    assert command(*import_to, tmp_path / "bytes")[0] == 2  # nothing is overwritten
    np.savez(tmp_path / "all.npz", **arrays | {"rgb": np.full((6, 4), np.nan)})
    code, _, err = command(*import_to, tmp_path / "nan")
    assert code == 3 and "all.npz, video 0" in err and "NaN" in err and not (tmp_path / "nan").exists()


@pytest.fixture
def fetch(command, server, tmp_path):
    """A function that runs `dmlkit data download` from a server with three shards; its exit code and errors."""
    server.lay_out({f"train{end}.tfrecord": end.encode() * 50_000 for end in ("aa", "aA", "99")})

    def download():
        options = ["--mirror", server.url, "--retries", 1, "--timeout", 1]
        code, _, errors = command("data", "download", "2/video/train", tmp_path / "yt8m", *options)
        return code, errors

    return download


def test_download_from_a_hostile_server(fetch, server, tmp_path):
    folder = tmp_path / "yt8m"
    one, other, last = (f"/2/video/train/train{end}.tfrecord" for end in ("aa", "aA", "99"))
    server.faults = {one: ["wrong"], other: ["cut", None], last: ["stall", None]}
    code, errors = fetch()
    # Named as the official downloader does; one of three is wrong to the end, and has no name.
    assert code == 3 and "train0000.tfrecord" in errors
    assert {path.name for path in folder.glob("*.tfrecord")} == {"train0026.tfrecord", "train3843.tfrecord"}
    for fault in ("bomb", 302, 404):
        server.faults[one] = [fault]
        assert fetch()[0] == 3 and not (folder / "train0000.tfrecord").exists()
    server.faults.clear()
    server.fetched()
    assert fetch() == (0, "") and server.fetched() == ["trainaa.tfrecord"]
    assert (folder / "train0000.tfrecord").read_bytes() == server.files[one]
    assert fetch()[0] == 0 and not server.fetched()
    damaged = folder / "train0026.tfrecord"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert fetch()[0] == 0 and damaged.read_bytes() == server.files[other]
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_a_plan_cannot_name_a_path(command, fetch, server, tmp_path):
    server.lay_out({}, plan={"files": {"../train.tfrecord": "0" * 32}})
    code, errors = fetch()
    assert code == 3 and "plan" in errors and not contents(tmp_path).keys() - {".dmlkit-download.lock"}
    for wrong in (["3/frame"], ["2/video", "--shards", "0/9"], ["2/video", "--mirror", "mars"]):
        assert command("data", "download", wrong[0], tmp_path / "out", *wrong[1:])[0] == 2


def test_submission_check_lists_every_fault_with_its_line(command, generated, tmp_path):
    batches = open_dataset(generated).batches("test", batch_size=9)
    ids = [video for batch in batches for video in batch["id"].tolist()]
    lines = ["VideoId,LabelConfidencePairs", *(f"{video},3 0.9 1 0.25" for video in ids)]
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    check = ["submission", "check", tmp_path / "s.csv", "--data", generated]
    assert command(*check)[0] == 0
    lines[2], lines[4] = lines[1], f"{ids[3]},99 0.5"
    lines[6], lines[8] = f"{ids[5]},1 0.1 2 0.9", f"{ids[7]},1 nan"
    (tmp_path / "s.csv").write_text("\n".join([*lines, "nobody,1 0.5"]) + "\n")
    code, out, _ = command(*check, "--json")
    found = {(fault["line"], fault["kind"]) for fault in json.loads(out)["faults"]}
    assert code == 3 and {line for line, _ in found} == {None, 3, 5, 7, 9, len(lines) + 1}
    assert {(3, "duplicate id"), (5, "class"), (7, "order"), (None, "missing id")} <= found
    assert command("evaluate", "--submission", tmp_path / "s.csv", "--data", generated)[0] == 3
