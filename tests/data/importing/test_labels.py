"""Numbers and names of classes, and the part of each video."""

import csv

import numpy as np
import pytest

from dmlkit.data import import_features, open_dataset
from dmlkit.data.protos import SequenceExample
from dmlkit.data.records import read_records
from dmlkit.errors import DataError, UsageError

ALL = "abcdefghij"


@pytest.fixture
def clips(tmp_path):
    """A folder of ten videos without labels."""
    (tmp_path / "clips").mkdir()
    for number, name in enumerate(ALL):
        np.save(tmp_path / "clips" / f"{name}.npy", np.full((2, 3), number / 10, np.float32))
    return tmp_path / "clips"


def table(folder, *rows, header="id,labels"):
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return folder / "labels.csv"


def every(cells):
    """A row a video, the cells over and over."""
    return [f"{name},{cells[number % len(cells)]}" for number, name in enumerate(ALL)]


HALVES = {"split": "train=0.4,tuning=0.3,validate=0.3"}


def test_numbers_parted_by_spaces_or_semicolons(tmp_path, clips, read_back):
    labels = table(tmp_path, *every(["3", "0 2", "1;4", "4; 0", ""]))
    done = import_features(clips, tmp_path / "out", labels=labels, **HALVES)
    back = read_back(done.folder)
    assert [back[name][1] for name in "abcde"] == [[3], [0, 2], [1, 4], [0, 4], []]
    assert open_dataset(done.folder).num_classes == 5
    assert "The number of classes (5) is one more than the highest label." in done.notes


def test_names_are_numbered_by_the_alphabet_and_written_down(tmp_path, clips, read_back):
    labels = table(tmp_path, *every(["Musical keyboard", "Guitar;Concert", '"Bow, violin"']))
    done = import_features(clips, tmp_path / "out", labels=labels, **HALVES)
    assert open_dataset(done.folder).class_names == ("Bow, violin", "Concert", "Guitar", "Musical keyboard")
    back = read_back(done.folder)
    assert [back[name][1] for name in "abc"] == [[3], [1, 2], [0]]
    with (done.folder / "vocabulary.csv").open(newline="") as file:
        counts = {row["Name"]: int(row["TrainVideoCount"]) for row in csv.DictReader(file)}
    trained = [classes for _, classes, part in back.values() if part == "train"]
    assert counts["Guitar"] == sum(2 in classes for classes in trained)


def test_a_row_for_each_label(tmp_path, clips, read_back):
    rows = [f"{name},{label}" for name in ALL for label in ("x", "y")]
    import_features(clips, tmp_path / "out", labels=table(tmp_path, *rows, header="video_id,class"), **HALVES)
    assert all(classes == [0, 1] for _, classes, _ in read_back(tmp_path / "out").values())


@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_a_vocabulary_gives_names_their_numbers(tmp_path, clips, read_back, ending):
    if ending == "csv":
        content = "Index,Name,Kind\n0,Guitar,short\n1,Musical keyboard,steady\n2,Cat,short\n"
    else:
        content = "Guitar\nMusical keyboard\nCat\n"
    (tmp_path / f"names.{ending}").write_text(content)
    labels = table(tmp_path, *every(["Musical keyboard", "Guitar Cat", "2", "Cat;0"]))
    done = import_features(
        clips, tmp_path / "out", labels=labels, classes=tmp_path / f"names.{ending}", **HALVES
    )
    back = read_back(done.folder)
    assert [back[name][1] for name in "abcd"] == [[1], [0, 2], [2], [0, 2]]
    dataset = open_dataset(done.folder)
    assert dataset.class_names == ("Guitar", "Musical keyboard", "Cat") and dataset.num_classes == 3
    assert dataset.class_kinds == (("short", "steady", "short") if ending == "csv" else None)


@pytest.mark.parametrize(
    ("rows", "settings", "parts"),
    [
        (
            ["a,Gitar"],
            {"classes": "Guitar\nCat"},
            ("labels.csv, a", "no class 'Gitar'", "Did you mean 'Guitar'"),
        ),
        (["a,7"], {"classes": "Guitar\nCat"}, ("labels.csv, a", "no class 7", "0 to 1")),
        (["a,7"], {"num_classes": 7}, ("no class 7", "0 to 6")),
        (["a,Cat"], {"classes": "Cat\nCat"}, ("'Cat' is the name of classes 0 and 1",)),
        (["a,1"], {"classes": "1\n0"}, ("'1' is the name of class 0, and a number",)),
        (["a,1", "b,Cat"], {}, ("labels.csv", "'1'", "--classes FILE")),
        (["a,3.0", "b,4.0"], {}, ("'3.0'", "whole number")),
        (["a,-1"], {}, ("'-1'",)),
        (["a,1"], {}, ("b.npy, b is not in", "labels.csv")),
        (["a,1,2"], {}, ("line 2", "not as many cells")),
        ([",1"], {}, ("line 2", "no id")),
        (['a,"1'], {}, ("cannot be read as a table",)),
    ],
)
def test_labels_that_cannot_be_used(tmp_path, clips, rows, settings, parts):
    if "classes" in settings:
        (tmp_path / "names.txt").write_text(settings["classes"])
        settings = {"classes": tmp_path / "names.txt"}
    with pytest.raises(DataError) as caught:
        import_features(clips, tmp_path / "out", labels=table(tmp_path, *rows), **settings)
    for part in parts:
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_tables_that_are_none(tmp_path, clips):
    with pytest.raises(DataError, match="needs a first line that names its columns"):
        import_features(clips, tmp_path / "out", labels=table(tmp_path, header="a,1"))
    (tmp_path / "labels.csv").write_bytes(b"id,labels\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        import_features(clips, tmp_path / "out", labels=tmp_path / "labels.csv")
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read"):
        import_features(clips, tmp_path / "out", labels=tmp_path / "nowhere.csv")
    (tmp_path / "names.txt").write_text("\n\n")
    with pytest.raises(DataError, match="names no class"):
        import_features(clips, tmp_path / "out", classes=tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(UsageError, match="names 2 classes, but num_classes is 1"):
        import_features(clips, tmp_path / "out", classes=tmp_path / "names.txt", num_classes=1)


def test_a_column_says_the_part_and_shares_divide_the_rest(tmp_path, clips, read_back):
    parts = {"a": "train", "b": "tuning", "c": "validate", "d": "test"}
    rows = [f"{name},{number % 3},{parts.get(name, '')}" for number, name in enumerate(ALL)]
    labels = table(tmp_path, *rows, header="id,labels,split")
    import_features(clips, tmp_path / "out", labels=labels, split="train=1")
    back = read_back(tmp_path / "out")
    assert {name: part for name, (_, _, part) in back.items()} == dict.fromkeys(ALL, "train") | parts
    assert [back[name][1] for name in "abcd"] == [[0], [1], [2], [0]]


def test_labels_of_the_sources_with_parts_of_a_table(tmp_path, read_back):
    for number, name in enumerate(ALL):
        np.savez(tmp_path / f"{name}.npz", rgb=np.ones((2, 3)), labels=[number], split="train")
    order = ["train", "tuning", "validate"]
    rows = [f"{name},{order[number % 3]}" for number, name in enumerate(ALL)]
    sources = sorted(tmp_path.glob("*.npz"))
    import_features(sources, tmp_path / "out", labels=table(tmp_path, *rows, header="id,split"))
    for number, (name, (_, classes, part)) in enumerate(sorted(read_back(tmp_path / "out").items())):
        assert (name, classes, part) == (ALL[number], [number], order[number % 3])


def test_videos_without_labels_are_the_test_part(tmp_path, read_back):
    for number in range(60):
        labels = {"labels": [number % 4]} if number < 50 else {}
        np.savez(tmp_path / f"v{number}.npz", rgb=np.ones((2, 3)), **labels)
    done = import_features(sorted(tmp_path.glob("*.npz")), tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert done.videos["test"] == 10 == dataset.num_videos("test")
    assert dataset.labelled == {"train", "tuning", "validate"}
    assert "Without labels, and so in the part test: 10 videos." in done.notes


def test_unlabelled_videos_to_predict_on_need_the_number_of_classes(tmp_path, clips):
    with pytest.raises(DataError, match="--num-classes or --classes"):
        import_features(clips, tmp_path / "out")
    done = import_features(clips, tmp_path / "out", num_classes=20)
    assert done.videos == {"test": 10} and open_dataset(done.folder).num_classes == 20
    np.savez(tmp_path / "a.npz", rgb=np.ones((2, 3)), split="train")
    with pytest.raises(DataError, match="has no labels, but is in the part train"):
        import_features(tmp_path / "a.npz", tmp_path / "other")


def test_the_part_is_a_matter_of_the_id_alone(tmp_path, read_back):
    """More videos, in another order and another source: those that were there stay in their parts."""
    names = [f"video {number}" for number in range(400)]
    for file, some in (("few", names[100:300]), ("many", names[::-1])):
        arrays = {"rgb": np.ones((len(some), 3)), "labels": np.zeros(len(some), int)}
        np.savez(tmp_path / f"{file}.npz", ids=some, **arrays)
        import_features(tmp_path / f"{file}.npz", tmp_path / file)
    few, many = (read_back(tmp_path / file) for file in ("few", "many"))
    assert all(many[name][2] == part for name, (_, _, part) in few.items())
    shares = {
        part: sum(each[2] == part for each in many.values()) / 400 for part in ("train", "tuning", "validate")
    }
    # Four standard deviations of 400 draws.
    for part, share in {"train": 0.8, "tuning": 0.1, "validate": 0.1}.items():
        assert abs(shares[part] - share) < 4 * (share * (1 - share) / 400) ** 0.5


def test_too_few_videos_to_divide(tmp_path, clips):
    labels = table(tmp_path, *every(["0"]))
    with pytest.raises(DataError, match=r"these videos \(train 10\).*--records-per-shard.*--split test=1"):
        import_features(clips, tmp_path / "out", labels=labels, split="train=1")
    done = import_features(clips, tmp_path / "out", labels=labels, split="train=1", records_per_shard=2)
    dataset = open_dataset(done.folder)
    assert {split: dataset.num_videos(split) for split in dataset.splits} == {
        "train": 6,
        "tuning": 2,
        "validate": 2,
    }


def test_ids_of_the_table_that_have_no_video_are_told(tmp_path, clips):
    labels = table(tmp_path, *every(["0"]), "x1,0", "x2,0")
    done = import_features(clips, tmp_path / "out", labels=labels, **HALVES)
    assert any("labels.csv names 2 videos not there: x1, x2." in note for note in done.notes)


def texts_of(folder):
    """Video → the texts in its record."""
    records = [
        record
        for shards in open_dataset(folder).splits.values()
        for each in shards
        for record in read_records(each)
    ]
    contexts = [SequenceExample.FromString(record).context.feature for record in records]
    return {
        each["id"].bytes_list.value[0].decode(): [text.decode() for text in each["text"].bytes_list.value]
        for each in contexts
    }


def test_texts_of_the_table_are_a_modality(tmp_path, clips, read_back):
    rows = [
        'a,0,"Cats, my cats"',
        "a,1,pets",
        "a,2,pets",
        "b,1, ",
        *(f"{name},0,Häuser" for name in "cdefghij"),
    ]
    labels = table(tmp_path, *rows, header="id,labels,text")
    done = import_features(clips, tmp_path / "out", labels=labels, **HALVES)
    dataset = open_dataset(done.folder)
    assert {name: each.coding for name, each in dataset.features.items()} == {"rgb": "byte", "text": "text"}
    assert any(note.startswith("Texts of 9 videos are the modality text") for note in done.notes)
    others = {name: ["Häuser"] for name in "cdefghij"}
    assert texts_of(done.folder) == {"a": ["Cats, my cats", "pets"], "b": [], **others}
    batch = next(iter(dataset.batches("train", batch_size=10)))
    assert batch["text"].shape == (len(batch["id"]), dataset.features["text"].size)


def test_a_table_of_texts_alone_leaves_the_rest_to_the_sources(tmp_path, clips):
    labels = table(tmp_path, *every(["cats"]), header="id,text")
    done = import_features(clips, tmp_path / "out", labels=labels, split="test=1", num_classes=3)
    dataset = open_dataset(done.folder)
    assert dataset.num_videos("test") == 10 and "text" in dataset.features
    assert all(texts == ["cats"] for texts in texts_of(done.folder).values())


def test_other_columns_are_no_texts(tmp_path, clips):
    labels = table(tmp_path, *[f"{row},x" for row in every(["0"])], header="id,labels,title")
    import_features(clips, tmp_path / "out", labels=labels, **HALVES)
    assert list(open_dataset(tmp_path / "out").features) == ["rgb"]


def test_texts_beside_a_modality_of_their_name_are_refused(tmp_path, clips):
    (tmp_path / "both").mkdir()
    clips.rename(tmp_path / "both" / "text")
    labels = table(tmp_path, *every(["0,cats"]), header="id,labels,text")
    with pytest.raises(DataError, match=r"a modality text, and .*labels\.csv.*--modalities"):
        import_features(tmp_path / "both", tmp_path / "out", labels=labels, **HALVES)
    assert not (tmp_path / "out").exists()
