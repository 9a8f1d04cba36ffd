"""A server that means well: what is fetched, recognised, told and refused."""

import hashlib
import itertools
import json
import os
import subprocess
import sys

import pytest

from dmlkit.cli import download as command
from dmlkit.data import open_dataset
from dmlkit.data.downloading import PARTITIONS, IncompleteDownload, partitions
from dmlkit.data.downloading.space import MOST_ASKED
from dmlkit.errors import DataError, UsageError
from dmlkit.text import readable_size

CLASSES = 3862
VOCABULARY = "Index,Name\n" + "".join(f"{number},class {number}\n" for number in range(CLASSES))


def test_every_file_is_fetched_under_the_official_downloaders_name(server, shards, here, get, held, out):
    server.lay_out(shards)
    done = get()
    assert held() == here
    assert (done.path, done.files, done.fetched, done.size) == (out, 3, 3, 900_000)


def test_the_numbers_of_the_names_are_the_official_downloaders(server, get, held):
    # Its own way of numbering, in full.
    def letters(start, end):
        return list(map(chr, range(ord(start), ord(end) + 1)))

    pairs = [
        "".join(pair)
        for pair in itertools.product(letters("a", "z") + letters("A", "Z") + letters("0", "9"), repeat=2)
    ]
    official = {f"train{pair}.tfrecord": f"train{number:04}.tfrecord" for number, pair in enumerate(pairs)}
    assert len(official) == 3844
    server.lay_out({name: name.encode() for name in itertools.islice(official, 0, None, 97)})
    get()
    assert held() == {official[name]: name.encode() for name in itertools.islice(official, 0, None, 97)}


def test_a_share_is_the_official_downloaders(server, get, held, out):
    names = [f"train{first}{second}.tfrecord" for first in "abc" for second in "abcdefghij"]
    server.lay_out({name: name.encode() for name in names})
    seen = []
    for part in (1, 2, 3):
        get(shards=f"{part}/3")
        new = sorted(data.decode() for data in held().values() if data.decode() not in seen)
        assert new == sorted(n for n in names if int(hashlib.md5(n.encode()).hexdigest(), 16) % 3 == part - 1)
        seen += new
    assert sorted(seen) == names and 0 < len(new) < len(names)


def test_a_second_call_asks_for_the_plan_alone(server, shards, get, held, here):
    server.lay_out(shards)
    get()
    server.asked.clear()
    done = get()
    assert done.fetched == 0 and held() == here
    assert [path for _, path, _ in server.asked if "tfrecord" in path] == []


def test_what_changed_since_is_mended(server, shards, get, held, here, out):
    server.lay_out(shards)
    get()
    (out / "train0000.tfrecord").write_bytes(b"short")
    (out / "train0026.tfrecord").unlink()
    assert get().fetched == 2
    assert held() == here


def test_verify_finds_what_size_and_time_do_not_tell(server, shards, get, held, here, out):
    server.lay_out(shards)
    get()
    path = out / "train0000.tfrecord"
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert get().fetched == 0 and held() != here
    assert get(verify=True).fetched == 1 and held() == here


@pytest.mark.parametrize("theirs", [True, False])
def test_files_fetched_by_other_means_are_recognised(server, shards, here, get, held, out, theirs):
    server.lay_out(shards)
    out.mkdir(parents=True)
    for name, data in (shards if theirs else here).items():
        (out / name).write_bytes(data)
    assert get().fetched == 0
    assert held() == (shards if theirs else here)


def test_a_strangers_file_is_not_replaced_unless_that_is_asked_for(server, shards, get, held, here, out):
    server.lay_out(shards)
    out.mkdir(parents=True)
    (out / "train0000.tfrecord").write_bytes(b"my own shard")
    with pytest.raises(IncompleteDownload, match=r"1 of 3 files .* train0000.tfrecord \(what stands there"):
        get()
    assert held() == here | {"train0000.tfrecord": b"my own shard"}
    get(replace=True)
    assert held() == here


def test_a_record_that_was_cut_off_costs_only_a_hash(server, shards, get, held, here, out):
    server.lay_out(shards)
    get()
    record = out / ".dmlkit-download.jsonl"
    record.write_bytes(record.read_bytes()[:-20] + b'\n[1]\n{"name": 5}\n{"name": "x"')
    assert get().fetched == 0 and held() == here


def test_several_splits_share_a_folder_and_two_levels_do_not(server, shards, get, out):
    server.lay_out(shards)
    server.lay_out({"testaa.tfrecord": b"t"}, split="test")
    server.lay_out(shards, partition="2/frame")
    assert get(splits=["test", "train"]).files == 4
    asked = len(server.asked)
    with pytest.raises(UsageError, match="holds 2/video, and the shards of 2/frame have the same names"):
        get(partition="2/frame")
    assert not [path for _, path, _ in server.asked[asked:] if path.startswith("/2/frame/")]


def test_all_splits_where_none_is_named_and_a_plan_that_is_not_there(server, shards, get, out):
    server.lay_out(shards)
    with pytest.raises(
        DataError, match=r"The plan http.*/2/download_plans/video_validate.json cannot be had: .*404"
    ):
        get(splits=())
    assert not list(out.glob("*.tfrecord"))


def test_what_is_missing_is_listed_and_the_rest_is_there(server, shards, get, held, here):
    server.lay_out(shards)
    server.misbehave("trainaA.tfrecord", ("status", {"code": 404}))
    with pytest.raises(IncompleteDownload) as told:
        get()
    assert told.value.missing == {"train0026.tfrecord": "the server answers 404 Not Found"}
    assert "1 of 3 files are missing or wrong" in str(told.value)
    assert held() == {name: data for name, data in here.items() if name != "train0026.tfrecord"}


def test_a_server_that_is_down_is_not_tried_for_every_file(server, get):
    names = [f"train{first}{second}.tfrecord" for first in "abcde" for second in "abcdefghij"]
    server.lay_out(dict.fromkeys(names, b"data"))
    for name in names[10:]:
        server.misbehave(name, ("status", {"code": 503}))
    with pytest.raises(IncompleteDownload) as told:
        get(jobs=1)
    assert len(told.value.missing) == 40 and str(told.value).count(".tfrecord") == 20
    untried = [name for name, why in told.value.missing.items() if why.startswith("not tried")]
    assert len(untried) == 32
    assert sum(server.ranges(name) != [] for name in names) in (18, 19)  # the next may have been begun


def test_the_disk_is_asked_before_anything_is_fetched(server, shards, get, held, here, capsys):
    server.lay_out(shards)
    for name in shards:
        server.misbehave(name, ("told", {"length": 10**15}), command="HEAD")
    with pytest.raises(UsageError, match=r"do not fit: 3,000.00 TB are to come, .* are free in"):
        get(progress="lines")
    assert "3 files, of which 0 stand in" in capsys.readouterr().out
    assert held() == {} and not server.ranges(".tfrecord")
    get(any_size=True)
    assert held() == here


def test_sizes_are_told_from_some_of_many(server, get, capsys):
    names = [f"train{first}{second}.tfrecord" for first in "abcde" for second in "abcdefghij"]
    server.lay_out({name: bytes(1000) for name in names})
    get(progress="lines")
    assert "50 are to come (about 50.0 kB)" in capsys.readouterr().out
    assert 0 < sum(method == "HEAD" for method, *_ in server.asked) <= MOST_ASKED
    assert [readable_size(size) for size in (7, 7_800_000_000, 1.53e12)] == ["7 bytes", "7.8 GB", "1.53 TB"]


def test_a_server_that_tells_no_sizes(server, shards, get, held, here, capsys):
    server.lay_out(shards)
    for name in shards:
        server.misbehave(name, ("status", {"code": 501}), command="HEAD")
    get(progress="lines")
    assert "3 are to come (their size is not told)" in capsys.readouterr().out and held() == here


def test_a_share_without_a_file_is_told(server, shards, get, held):
    server.lay_out(shards)
    beside = next(
        part
        for part in range(1, 101)
        if all(int(hashlib.md5(n.encode()).hexdigest(), 16) % 100 != part - 1 for n in shards)
    )
    with pytest.raises(
        UsageError, match=f"No file belongs to the share {beside}/100 of 2/video train, so nothing"
    ):
        get(shards=f"{beside}/100")
    assert held() == {}


def test_the_vocabulary_comes_along_and_only_whole(server, shards, get, out):
    server.lay_out(shards)
    (note,) = get().notes
    assert "vocabulary.csv, could not be had: the server answers 404" in note
    server.files["/2/vocabulary.csv"] = VOCABULARY[: len(VOCABULARY) // 2].encode()
    (note,) = get().notes
    assert "classes of 3,862" in note and not (out / "vocabulary.csv").exists()
    server.files["/2/vocabulary.csv"] = VOCABULARY.encode()
    assert get().notes == () and (out / "vocabulary.csv").read_text() == VOCABULARY


def test_the_folder_opens_as_a_data_set(server, get, generated, out):
    for split in ("train", "validate", "test"):
        paths = sorted((generated / "video").glob(f"{split}*.tfrecord"))[:4]
        files = {
            f"{split}a{letter}.tfrecord": path.read_bytes()
            for letter, path in zip("abcd", paths, strict=False)
        }
        server.lay_out(files, split=split)
    server.files["/2/vocabulary.csv"] = VOCABULARY.encode()
    get(splits=())
    dataset = open_dataset(out)
    assert (dataset.level, dataset.num_classes) == ("video", CLASSES)
    assert set(dataset.splits) == {"train", "tuning", "validate", "test"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"partition": "2/vide"}, "Unknown partition '2/vide'. Did you mean '2/video'"),
        ({"partition": "2/video/train", "splits": ["test"]}, "is the split 'train', but test was asked for"),
        ({"splits": ["trian"]}, "Unknown split 'trian'. Did you mean 'train'"),
        ({"shards": "0/5"}, "'0/5' is not a share"),
        ({"shards": "6/5"}, "'6/5' is not a share"),
        ({"shards": "1"}, "'1' is not a share"),
        ({"mirror": "uss"}, "Unknown mirror 'uss'. Did you mean 'us'"),
        ({"mirror": "ftp://example.org"}, "is not the address of a mirror"),
        ({"mirror": "http://"}, "is not the address of a mirror"),
        ({"mirror": "http://a:b@example.org"}, "belong in ~/.netrc"),
        ({"mirror": "http://[::1"}, "is not the address of a mirror"),
        ({"jobs": 0}, "jobs=0"),
        ({"progress": "loud"}, "Unknown way of showing progress 'loud'"),
    ],
)
def test_names_are_checked_before_anything_is_asked(server, get, out, asked, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        get(**asked)
    assert not out.exists() and server.asked == []


def test_a_folder_that_cannot_be_written_to(server, get, out):
    out.parent.mkdir()
    out.write_text("a file")
    with pytest.raises(UsageError, match="cannot be written to"):
        get()


def test_a_record_that_cannot_be_written(server, shards, get, out):
    server.lay_out(shards)
    (out / ".dmlkit-download.jsonl").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"The record .* cannot be written"):
        get()


def test_two_downloads_into_one_folder(server, shards, get, out):
    import filelock

    server.lay_out(shards)
    get()
    with (
        filelock.FileLock(out / ".dmlkit-download.lock"),
        pytest.raises(UsageError, match="is downloading into"),
    ):
        get()


def test_the_official_mirrors_are_asked_by_https():
    mirror = partitions.find_mirror("eu")
    assert mirror.plan("2/frame", "train") == (
        "https://storage.googleapis.com/data.yt8m.org/2/download_plans/frame_train.json"
    )
    assert mirror.file("2/frame", "train", "trainaa.tfrecord") == (
        "https://storage.googleapis.com/eu.data.yt8m.org/2/frame/train/trainaa.tfrecord"
    )
    assert mirror.vocabulary("1/video_level") == "https://research.google.com/youtube8m/csv/label_names.csv"


def test_2017s_letters_are_two_more(server, get, held):
    server.lay_out({"train-_.tfrecord": b"x", "traina0.tfrecord": b"y"}, partition="1/video_level")
    get(partition="1/video_level/train", splits=())
    assert held() == {"train4031.tfrecord": b"x", "train0052.tfrecord": b"y"}


def test_the_command_knows_what_the_tables_do():
    assert command.SPLITS == partitions.SPLITS
    assert [
        name
        for name in PARTITIONS
        if f"\n    {name} " not in command.download.__doc__ and f"\n{name} " not in command.download.help
    ] == []


def test_no_tensorflow_on_this_path(server, shards, here, out):
    server.lay_out(shards)
    code = (
        "import sys; from dmlkit.data import download;"
        f"download('2/video/train', {str(out)!r}, mirror={server.url!r}, progress='silent');"
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert json.loads((out / ".dmlkit-download.jsonl").read_text().splitlines()[0]) == {
        "partition": "2/video"
    }
