"""`dmlkit data ...` as it is typed: options, what is printed, exit codes."""

import csv
import filecmp
import json
import shutil
import tomllib
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dmlkit import open_dataset, synthesize
from dmlkit.data import dequantize


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


def pack(folder, videos, **more):
    """Videos of one frame of 4 numbers, whose value is the place in `videos`, in one file."""
    values = np.repeat(np.linspace(-1, 1, len(videos), dtype=np.float32), 4).reshape(-1, 1, 4)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.suffix == ".npz":
        np.savez(folder, ids=videos, rgb=values, **more)
    else:
        pq.write_table(pa.table({"id": videos, "rgb": values.tolist(), **more}), folder)


def contents(folder):
    """Video → its split, and the names of its classes (None without labels)."""
    dataset, found = open_dataset(folder), {}
    patterns = tomllib.loads((folder / "dataset.toml").read_text())["splits"]
    for split, shards in dataset.splits.items():
        own = {next(each for each in patterns if Path(shard).name.startswith(each)) for shard in shards}
        for batch in dataset.batches(split, batch_size=64):
            for row, video in enumerate(batch["id"].tolist()):
                hot = np.flatnonzero(batch["labels"][row]) if "labels" in batch else None
                names = None if hot is None else [dataset.class_names[index] for index in hot]
                found[video] = (*own, names)
    return found


STATED = {
    "train": [f"t{n}" for n in range(10)],
    "validate": ["e1", "e2"],
    "tuning": ["u1"],
    "test": ["x1", "x2"],
}
SPLIT_OF = {video: split for split, videos in STATED.items() for video in videos}


def save_folders(root, form):
    for split, name in zip(STATED, ("Train", "dev", "tuning", "TEST"), strict=True):
        for video in STATED[split]:
            for modality in ("rgb", "audio"):
                path = root / form.format(split=name, modality=modality) / f"{video}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, np.ones((2, 3), np.float32))


LAYOUTS = {
    "above": (lambda root: save_folders(root, "{split}/{modality}"), "."),
    "below": (lambda root: save_folders(root, "{modality}/split={split}/deeper-{split}"), "."),
    "sources": (lambda root: save_folders(root, "{split}/{modality}"), "Train dev tuning TEST"),
    "files": (
        lambda root: [pack(root / f"{split}-00000-of-00001.parquet", STATED[split]) for split in STATED], "."
    ),
    "hive": (lambda root: [pack(root / f"split={split}/0.parquet", STATED[split]) for split in STATED], "."),
    "listed": (
        lambda root: [pack(root / f"{n}_{split}.npz", STATED[split]) for n, split in enumerate(STATED)],
        "0_train.npz 1_validate.npz 2_tuning.npz 3_test.npz",
    ),
    "one each": (
        lambda root: [
            [np.savez(folder / f"{video} test.npz", id=video, rgb=np.ones((2, 3))) for video in videos]
            for split, videos in STATED.items()
            if not (folder := root / f"my {split} set").mkdir(parents=True)
        ],
        ".",
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_import_keeps_the_splits_that_names_state(command, tmp_path, layout):
    save, sources = LAYOUTS[layout]
    save(tmp_path / "latest test" / "source")  # the path above a source states nothing
    rows = [f"{video},{'Dog' if n % 2 else 'Cat'}" for n, video in enumerate(SPLIT_OF)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,labels", *rows]))
    given = [tmp_path / "latest test" / "source" / each for each in sources.split()]
    options = ["--labels", tmp_path / "labels.csv", "--out", tmp_path / "out"]
    code, out, err = command("data", "import", *given, *options)
    assert code == 0 and "state the split of 15 videos" in out, err
    expected = {video: (SPLIT_OF[video], ["Dog" if n % 2 else "Cat"]) for n, video in enumerate(SPLIT_OF)}
    assert contents(tmp_path / "out") == expected
    assert "Of fewer than 100 videos no test is claimed: tuning (1), validate (2)." in out


def test_import_a_tables_split_decides_and_names_of_videos_state_none(command, tmp_path):
    save_folders(tmp_path / "in", "{split}")
    for name in ("test_drive", "clip_dev1"):
        np.save(tmp_path / "in" / "Train" / f"{name}.npy", np.ones((2, 3), np.float32))
    (tmp_path / "in" / "notes.txt").touch()
    (tmp_path / "in" / ".hidden.npy").touch()
    rows = [f"{video},0," for video in (*SPLIT_OF, "test_drive", "clip_dev1") if video not in ("t0", "x1")]
    rows = ["id,label,Subset", "t0,1,Validation", "x1,1,val", *rows]
    (tmp_path / "in" / "labels.csv").write_text("\n".join(rows))
    to = ["--labels", tmp_path / "in" / "labels.csv", "--out"]
    options = [*to, tmp_path / "out", "--split", "train=.9,val=.1"]
    code, out, err = command("data", "import", tmp_path / "in", *options)
    found = {video: split for video, (split, _) in contents(tmp_path / "out").items()}
    more = {"t0": "validate", "x1": "validate", "test_drive": "train", "clip_dev1": "train"}
    assert code == 0 and found == SPLIT_OF | more
    assert "Of 2 videos several splits are stated; that of" in out
    assert "Left aside: files .txt (1), hidden files (1)." in out
    np.save(tmp_path / "in" / "TEST" / "t1.npy", np.ones((2, 3), np.float32))  # the same video in two splits
    code, _, err = command("data", "import", tmp_path / "in", *to, tmp_path / "twice")
    assert code == 3 and "are of one video, t1" in err and not (tmp_path / "twice").exists()


NAMES = [["Cat", "Dog"], ["Dog"], ["Bird", "Cat"], ["Bird", "Dog", "Elk"], ["Elk"], []]
INDICES = [[0, 1], [2], [1, 3], [0, 2, 3], [3], []]
NOTATIONS = {
    "comma": (NAMES, ",".join),
    "comma, blank": (NAMES, ", ".join),
    "bar": (NAMES, "|".join),
    "numpy 2": (INDICES, lambda labels: str([*np.array(labels, int)])),
    "semicolon": (NAMES, "; ".join),
    "JSON": (NAMES, json.dumps),
    "Python": (NAMES, repr),
    "tuple": (NAMES, lambda labels: repr(tuple(labels))),
    "set": (NAMES, lambda labels: str(set(labels) or "{}")),
    "numpy": (NAMES, lambda labels: str(np.array(labels))),
    "numbers": (INDICES, str),
    "numpy's numbers": (INDICES, lambda labels: str(np.array(labels, int))),
    "numbers, commas": (INDICES, lambda labels: ",".join(map(str, labels))),
    "columns": (NAMES, None),
}


@pytest.mark.parametrize("notation", NOTATIONS)
def test_import_of_labels_as_people_write_them(command, tmp_path, notation):
    cells, write = NOTATIONS[notation]
    videos = [f"v{n:02}" for n in range(60)]
    pack(tmp_path / "all.parquet", videos)
    delimiter = {"comma": ",", "bar": "\t"}.get(notation, ";")
    with (tmp_path / "labels.csv").open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
        if write is None:
            rows.writerow(["id", "Bird", " Cat", "Dog", "Elk", "Fox"])  # no video shows a fox
            columns = [[int(name in each) for name in ("Bird", "Cat", "Dog", "Elk", "Fox")] for each in cells]
            rows.writerows([video, *columns[n % 6]] for n, video in enumerate(videos))
        else:
            rows.writerow(["ID", " Labels"])
            rows.writerows([video, write(cells[n % 6])] for n, video in enumerate(videos))
    options = ["--labels", tmp_path / "labels.csv", "--out", tmp_path / "out"]
    code, out, err = command("data", "import", tmp_path / "all.parquet", *options)
    assert code == 0, err
    found = {video: labels for video, (_, labels) in contents(tmp_path / "out").items()}
    named = [[f"class {label}" for label in each] if cells is INDICES else each for each in cells]
    assert found == {video: named[n % 6] for n, video in enumerate(videos)}
    assert ("4 classes, by their numbers" if cells is INDICES else "classes: Bird, Cat, Dog, Elk") in out
    assert open_dataset(tmp_path / "out").num_classes == (5 if write is None else 4)


def test_import_of_labels_that_may_mean_two_things(command, tmp_path):
    pack(tmp_path / "all.npz", ["a", "b", "c", "d"])
    (tmp_path / "names.txt").write_text("Speech\nChild speech, kid speaking\nInside, small room\n")

    def run(*cells, classes=()):
        rows = [f'{video},"{cell}"' for video, cell in zip("abcd", cells, strict=True)]
        (tmp_path / "labels.csv").write_text("\n".join(["id,labels", *rows]))
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        options = ["--labels", tmp_path / "labels.csv", "--out", tmp_path / "out", *classes]
        return command("data", "import", tmp_path / "all.npz", *options)

    cells = ["Speech", "Speech, Child speech, kid speaking", "Inside, small room", "Speech"]
    code, _, err = run(*cells)
    assert code == 3 and "may be one class or several" in err and "--classes FILE" in err
    assert run(*cells, classes=["--classes", tmp_path / "names.txt"])[0] == 0
    assert contents(tmp_path / "out")["b"][1] == ["Speech", "Child speech, kid speaking"]
    code, _, err = run("Speech", "Speech, Inside", *cells[:2], classes=["--classes", tmp_path / "names.txt"])
    assert code == 3 and "no class 'Inside'" in err and "Did you mean 'Inside, small room'" in err
    assert run("Speech", "Speech;Bow, violin", "Bow, violin", "Speech")[0] == 0
    assert contents(tmp_path / "out")["b"][1] == ["Bow, violin", "Speech"]
    for cells, part in (
        (["[0, 1, 1, 0]", "[1, 0, 0, 0]", "[0, 0, 0, 1]", "[0, 0, 1, 0]"], "vector of 0 and 1"),
        (["[0, 1]", "[1, 0]", "[1, 0]", "[0, 1]"], "vectors over two classes"),
        (["[0 1 ... 8]", "0", "1", "2"], "no whole list"),
        (["Dog 0.9 Cat 0.8", "Dog 0.9", "Cat 1.0", "Cat"], "neither a name among names"),
        (["NA", "Cat", "Dog", "Cat"], "neither a name among names"),
        (["0010", "0100", "1000", "0001"], "a row of 0 and 1"),
        (["[Dog, Cat]", "Cat", "Dog", "Dog"], "no whole list"),
        (["Dog Cat", "Cat", "Dog", "Dog"], "may be one class or several"),
        (["Dog and Cat", "Cat", "Dog/Cat", "Dog"], "may be one class or several"),
        (["Cat", "1", "Dog", "Cat"], "neither a name among names"),
    ):
        code, _, err = run(*cells)
        assert code == 3 and part in err and not (tmp_path / "out").exists(), (cells, err)


def test_import_numbers_labels_as_a_run_or_a_data_set(command, tmp_path, leave_run):
    videos = [f"v{n}" for n in range(40)]
    labels = ["Rex" if n % 2 else "Cat" for n in range(40)]
    (tmp_path / "names.txt").write_text("Rex\nDog\nCat\n")
    pack(tmp_path / "a.parquet", videos, labels=labels)
    pack(tmp_path / "b.parquet", videos, label=[["Cat"], ["Dgo"]] * 20)
    to = ["data", "import", tmp_path / "a.parquet", "--out"]
    assert command(*to, tmp_path / "first", "--classes", tmp_path / "names.txt")[0] == 0
    run = leave_run(tmp_path / "run")
    record = json.loads((run.path / "run.json").read_text())
    record["data"] |= {"class_names": ["Rex", "Dog", "Cat"], "num_classes": 3}
    (run.path / "run.json").write_text(json.dumps(record))
    for number, given in enumerate((tmp_path / "first", run.path)):
        out = tmp_path / f"out{number}"
        assert command(*to, out, "--classes", given)[0] == 0
        assert open_dataset(out).class_names == ("Rex", "Dog", "Cat")
        assert {video: names for video, (_, names) in contents(out).items()} == {
            video: [name] for video, name in zip(videos, labels, strict=True)
        }
        code, _, err = command(
            "data", "import", tmp_path / "b.parquet", "--out", tmp_path / "c", "--classes", given
        )
        assert code == 3 and "no class 'Dgo'" in err and "Did you mean 'Dog'" in err
        assert command(*to, tmp_path / "c", "--classes", given, "--num-classes", 4)[0] == 2
    record["data"] |= {"class_names": None}  # numbers alone are classes of a run without names
    (run.path / "run.json").write_text(json.dumps(record))
    for name, highest in (("numbered", 2), ("fewer", 1)):
        pack(tmp_path / f"{name}.parquet", videos, labels=[[n % 2 * highest] for n in range(40)])
    numbered, fewer = tmp_path / "numbered", tmp_path / "fewer"
    assert command("data", "import", f"{numbered}.parquet", "--out", numbered)[0] == 0
    assert "vocabulary" not in (numbered / "dataset.toml").read_text()  # as of a data set without names
    assert command("data", "import", f"{fewer}.parquet", "--out", fewer, "--classes", numbered)[0] == 0
    assert open_dataset(fewer).num_classes == 3 and not open_dataset(fewer).named
    for given in (run.path, numbered):
        code, _, err = command(*to, tmp_path / "c", "--classes", given)
        assert code == 3 and "no class 'Cat'" in err


def test_import_refuses_bytes_of_another_type_and_much_clipping(command, tmp_path):
    bytes_, random = np.random.default_rng(0).integers(0, 256, (6, 4)), np.random.default_rng(1)
    describe = {"ids": ["a", "b", "c"], "num_frames": [2, 2, 2]}
    import_to = ["data", "import", tmp_path / "all.npz", "--split", "test=1", "--num-classes", 9, "--out"]
    for kind in (np.float32, np.float64, np.int64, np.int32):
        np.savez(tmp_path / "all.npz", **describe, rgb=bytes_.astype(kind))
        for more in ([], ["--level", "video"]):
            code, _, err = command(*import_to, tmp_path / "out", *more)
            assert code == 3 and "rgb" in err and "array.astype(np.uint8)" in err, err
            assert not (tmp_path / "out").exists()
    np.savez(tmp_path / "all.npz", **describe, rgb=bytes_.astype(np.uint8))  # as the error advises
    assert command(*import_to, tmp_path / "right")[0] == 0
    (batch,) = open_dataset(tmp_path / "right").batches("test", batch_size=3)
    assert (batch["rgb"].reshape(6, 4) == bytes_).all()
    values = random.uniform(-1, 1, (200, 10)).astype(np.float32)
    for outside, refused in ((20, False), (21, True)):  # 1 % of 2,000
        values.flat[:outside] = 7.5
        np.savez(tmp_path / "all.npz", ids=["a", "b"], num_frames=[100, 100], rgb=values)
        code, out, err = command(*import_to, tmp_path / f"out{outside}")
        assert code == (3 if refused else 0) and f"{outside} of 2,000 values" in (err if refused else out)
    assert all(part in err for part in ("rgb", "to 7.5", "--coding float", "--allow-clipping")), err
    code, out, _ = command(*import_to, tmp_path / "clipped", "--allow-clipping")
    assert code == 0 and "21 of 2,000 values (1.050%) were clipped" in out
    assert command(*import_to, tmp_path / "floats", "--coding", "float")[0] == 0
    (batch,) = open_dataset(tmp_path / "floats").batches("test", batch_size=2)
    assert (batch["rgb"][batch["id"].tolist().index("a")] == values[:100]).all()


def test_import_of_one_folder_with_a_file_for_each_modality(command, tmp_path):
    to = ["--split", "test=1", "--num-classes", 9, "--out"]
    for number, form in enumerate(("{}_{}", "{}.{}", "{1}_{0}", "{}-{}_features", "{1}/{0}_{1}")):
        for clip in range(10):
            for modality, size in (("rgb", 3), ("flow", 3), ("audio", 2)):
                path = tmp_path / str(number) / f"{form.format(f'my clip{clip}', modality)}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, np.full((2, size), (modality == "flow") - clip / 10, np.float32))
        code, out, err = command("data", "import", tmp_path / str(number), *to, tmp_path / f"out{number}")
        assert code == 0 and "10 videos" in out and "flow (3), rgb (3)" in out, err
        (batch,) = open_dataset(tmp_path / f"out{number}").batches("test", batch_size=10)
        order = np.argsort(batch["id"])
        assert batch["id"][order].tolist() == [f"my clip{clip}" for clip in range(10)]
        for modality, plus in (("flow", 1), ("rgb", 0), ("audio", 0)):
            expected = plus - np.arange(10) / 10
            np.testing.assert_allclose(dequantize(batch[modality][order])[:, 0, 0], expected, atol=2.1 / 255)
    code, out, err = command("data", "import", tmp_path / "0", "--modalities", "flow", *to, tmp_path / "flow")
    assert code == 0 and [*open_dataset(tmp_path / "flow").features] == ["flow"] and "10 videos" in out
    names = ["a_left", "a_right", "b_left", "b_right", "c_left"]  # two videos and a half, or five?
    for folder, name in [*(("sides", name) for name in names), ("kinds/Cat", "0"), ("kinds/Dog", "0")]:
        (tmp_path / folder).mkdir(exist_ok=True, parents=True)
        np.save(tmp_path / folder / f"{name}.npy", np.ones((2, 3), np.float32))
    for folder, advised in (("sides", ("left,right", "rgb")), ("kinds", ("Cat,Dog",))):
        code, _, err = command("data", "import", tmp_path / folder, *to, tmp_path / "sided")
        assert code == 3 and all(f"--modalities {names}" in err for names in advised), err
    (tmp_path / "sides" / "c_left.npy").unlink()
    for names, videos in (("left,right", 2), ("rgb", 4)):  # what it advises
        code, out, _ = command(
            "data", "import", tmp_path / "sides", "--modalities", names, *to, tmp_path / names
        )
        assert code == 0 and f"{videos} videos" in out
    np.save(tmp_path / "0" / "other.npy", np.ones((2, 3), np.float32))
    code, _, err = command("data", "import", tmp_path / "0", *to, tmp_path / "mixed")
    assert code == 3 and "other.npy none" in err


def test_import_compares_ids_in_one_form_of_unicode(command, tmp_path):
    videos = [f"caf\u00e9 {n}" for n in range(30)]
    for modality, form in (("rgb", "NFD"), ("audio", "NFC")):
        (tmp_path / "clips" / modality).mkdir(parents=True)
        for video in videos:
            path = tmp_path / "clips" / modality / unicodedata.normalize(form, video)
            np.save(path, np.ones((2, 3), np.float32))
    rows = [
        f"{video},{unicodedata.normalize('NFD' if n % 2 else 'NFC', 'Rosé')}"
        for n, video in enumerate(videos)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["id,labels", *rows]), encoding="utf-8")
    to = ["data", "import", tmp_path / "clips", "--labels", tmp_path / "labels.csv", "--out"]
    code, out, err = command(*to, tmp_path / "out")
    assert code == 0 and "30 videos" in out and "1 class: Ros\u00e9." in out, err
    assert {video: names for video, (_, names) in contents(tmp_path / "out").items()} == {
        video: ["Ros\u00e9"] for video in videos
    }
    with (tmp_path / "labels.csv").open("a", encoding="utf-8") as file:
        file.write(f"\n{unicodedata.normalize('NFD', videos[3])},Blanc")
    assert command(*to, tmp_path / "again")[0] == 0
    assert contents(tmp_path / "again")["café 3"][1] == ["Blanc", "Rosé"]
    np.savez(tmp_path / "all.npz", ids=["é", "e\u0301"], rgb=np.ones((2, 3)))
    code, _, err = command(
        "data", "import", tmp_path / "all.npz", "--num-classes", 3, "--out", tmp_path / "twice"
    )
    assert code == 3 and "a video of this id came before" in err


TABLES = {  # cells of the videos a, b, c, after a header → their splits and labels, or a part of the error
    "filename,Tags": (["a,Dog", "b,Cat", "c,Dog"], "the column id, and labels, split or text"),
    "id,label_name": (["clips/a.mp4,Dog", "b.avi,Cat", "c,Dog"], "it has no labels"),
    "id,split": (["clips/a.mp4,test", "b.avi,train", "c,train"], "it has no row in the table"),
    "id;Dauer;label": (["a;1,5;Dog", "b;2,5;Cat", "c;0,5;Dog"], ["Dog", "Cat", "Dog"]),
    "id,Dog,Cat,fold": (["a,True,False,3", "b,FALSE,TRUE,1", "c,1.0,0.0,2"], ["Dog", "Cat", "Dog"]),
    "id,labels,phase": (["a,0,Train", "b,1,VALID", "c,0,tune"], "phase seems to state splits"),
    "id,labels": (["a,[True False]", "b,[True False]", "c,[True False]"], "no whole list"),
    "id,Dog,Cat,is_test": (["a,0,1,0", "b,1,0,0", "c,0,1,1"], "is_test seems to state splits"),
    "id,Dog,Cat,Bird": (["a,0,1,0", "b,1,0,", "c,0,1,1"], "Bird holds ''"),
    "id,Dog,Cat": (["a,0.9,1", "b,1,0", "c,0,1"], "Dog holds '0.9'"),
    "id,label,class": (["a,0,Dog", "b,1,Cat", "c,0,Dog"], "'label' and 'class' are both labels"),
    "VideoId,LabelConfidencePairs": (["a,1 0.9", "b,2 0.7", "c,1 0.5"], "it needs the column"),
}


@pytest.mark.parametrize("header", TABLES)
def test_import_of_tables_as_people_have_them(command, tmp_path, header):
    rows, expected = TABLES[header]
    pack(tmp_path / "all.npz", ["a", "b", "c"])
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]))
    options = ["--labels", tmp_path / "labels.csv", "--out", tmp_path / "out", "--split", "train=1"]
    code, _, err = command("data", "import", tmp_path / "all.npz", *options)
    if isinstance(expected, str):
        assert code == 3 and expected in err and not (tmp_path / "out").exists(), err
    else:
        assert code == 0, err
        found = contents(tmp_path / "out")
        assert [found[video][1][0] for video in "abc"] == expected


ARRAYS = {  # arrays of two videos, which are tiled; options; the labels of both, or a part of the error
    "one of many": ({"labels": np.eye(3)[[2, 0]]}, [], [[2], [0]]),
    "true and false": (
        {"labels": np.eye(5)[[2, 0]] > 0},
        ["--num-classes", 4],
        "of 5 classes, not of 4",
    ),
    "one column": ({"labels": np.array([[0], [1]])}, [], "two classes or more"),
    "padded frames": ({"rgb": np.array([[[1.0], [1]], [[1], [0]]])}, [], "Give num_frames"),
    "lengths": ({"rgb": np.array([[[1.0], [1]], [[1], [0]]]), "lengths": [2, 1]}, [], [[0], [1]]),
    "NaN": ({"rgb": np.array([[[1.0], [np.nan]]] * 2)}, [], "first at [1, 0]"),
    "integers": ({"rgb": np.array([[[-128], [127]]] * 2, np.int8)}, [], "cannot be a modality"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_import_of_arrays_as_people_have_them(command, tmp_path, case):
    arrays, options, expected = ARRAYS[case]
    arrays = {"labels": [0, 1], "rgb": np.full((2, 1, 2), 0.3)} | arrays
    np.savez(
        tmp_path / "all.npz", ids=[*"abcdefgh"], **{k: np.concatenate([v] * 4) for k, v in arrays.items()}
    )
    command_line = ["data", "import", tmp_path / "all.npz", "--out", tmp_path / "out", "--split", "train=1"]
    code, _, err = command(*command_line, *options)
    if isinstance(expected, str):
        assert code == 3 and expected in err and not (tmp_path / "out").exists(), err
    else:
        assert code == 0, err
        found = contents(tmp_path / "out")
        assert [found[video][1] for video in "ab"] == [[f"class {n}" for n in each] for each in expected]
