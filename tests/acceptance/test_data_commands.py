"""`dmlkit data ...` as it is typed: options, what is printed, exit codes."""

import filecmp
import json
import shutil

import numpy as np

from dmlkit import open_dataset, synthesize


def test_synthesize_writes_the_seeds_bytes_and_show_describes_them(command, tmp_path):
    counts = ["--train", 60, "--validate", 20, "--test", 5]
    code, out, _ = command("data", "synthesize", tmp_path / "a", "--seed", 3, *counts)
    assert code == 0 and str(tmp_path / "a") in out
    synthesize(tmp_path / "b", seed=3, train=60, validate=20, test=5)
    files = [path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False) == (files, [], [])
    code, out, _ = command("data", "show", tmp_path / "a")
    assert code == 0 and "frame level" in out and "24 classes" in out and "without labels" in out
    assert all(split in out for split in ("train", "tuning", "validate", "test"))
    assert "video level" in command("data", "show", tmp_path / "a" / "video")[1]
    assert command("data", "check", tmp_path / "a", tmp_path / "a" / "video")[0] == 0


def test_check_names_file_record_and_byte(command, generated, tmp_path):
    copied = shutil.copytree(generated, tmp_path / "data")
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
    for arguments, expected, message in (
        (["/no/such/folder"], 3, "nothing at"),
        (["--jobs", 0, copied], 2, "jobs"),
        ([], 2, "Missing argument"),
    ):
        code, _, errors = command("data", "check", *arguments)
        assert code == expected and message in errors


def test_import_of_labelled_clips_and_a_folder_a_modality(command, tmp_path):
    made = {f"v{number:02}": np.full((1 + number % 4, 3), number / 40, np.float32) for number in range(40)}
    for modality, sign in (("rgb", 1), ("audio", -1)):
        (tmp_path / "clips" / modality).mkdir(parents=True)
        for name, frames in made.items():
            np.save(tmp_path / "clips" / modality / f"{name}.npy", sign * frames)
    rows = [f"{name},{'Dog;Musical keyboard' if len(frames) > 2 else 'Cat'}" for name, frames in made.items()]
    (tmp_path / "labels.csv").write_text("\n".join(["id,labels", *rows]))
    out = tmp_path / "mine"
    options = ("--labels", tmp_path / "labels.csv", "--out", out)
    code, text, err = command("data", "import", tmp_path / "clips", *options)
    assert code == 0 and "40 videos" in text, err
    assert command("data", "check", out)[0] == 0
    dataset = open_dataset(out)
    assert dataset.class_names == ("Cat", "Dog", "Musical keyboard")
    assert sum(dataset.num_videos(split) for split in dataset.splits) == 40
    (batch,) = dataset.batches("train", batch_size=40)
    for row, name in enumerate(batch["id"].tolist()):
        frames = batch["num_frames"][row]
        for modality, expected in (("rgb", made[name]), ("audio", -made[name])):
            read = batch[modality][row][:frames] * np.float32(4 / 255) + 4 / 512 - 2
            np.testing.assert_allclose(read, expected, atol=2.1 / 255)
        assert np.flatnonzero(batch["labels"][row]).tolist() == ([1, 2] if frames > 2 else [0])


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
