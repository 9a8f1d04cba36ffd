"""`download` from a server on this machine that cuts, stalls and sends wrong bytes."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
import types

import pytest

from dmlkit.data.download import Client, IncompleteDownload, download
from dmlkit.errors import DataError, UsageError
from dmlkit.files import file_lock

TRAIN = "/2/video/train/"


# Names on the server → names here: the index of the last two letters among all pairs of a-z, A-Z, 0-9.
HERE = {"trainaa.tfrecord": "train0000.tfrecord", "trainaA.tfrecord": "train0026.tfrecord"}
HERE |= {"train99.tfrecord": "train3843.tfrecord"}


@pytest.fixture
def shards(server):
    chance = random.Random(7)
    files = {name: chance.randbytes(300_000) for name in HERE}
    server.lay_out(files)
    return files


@pytest.fixture
def here(shards):
    return {HERE[name]: data for name, data in shards.items()}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "target" / "data"


@pytest.fixture
def get(server, out, monkeypatch):
    """`download` from the server into `out`, with little patience."""
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("dmlkit.data.download.RETRIES", 2)
    monkeypatch.setattr("dmlkit.data.download.TIMEOUT", 1)

    def fetch(partition="2/video", **options):
        defaults = {"splits": ["train"], "mirror": server.url}
        return download(partition, out, **defaults | options)

    return fetch


@pytest.fixture
def held(out):
    """What is in the folder, hidden files aside: name → bytes."""
    return lambda: {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


def test_every_file_is_fetched_verified_and_remembered(server, get, held, here, out):
    assert get().fetched == 3 and held() == here and len(server.fetched()) == 3
    assert get().fetched == 0 and server.fetched() == []
    found = out / "train0000.tfrecord"
    before = found.stat()
    found.write_bytes(bytes([found.read_bytes()[0] ^ 1]) + found.read_bytes()[1:])
    os.utime(found, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert get().fetched == 0 and held() != here  # size and time are the same
    assert get(verify=True).fetched == 1 and held() == here
    found.write_bytes(found.read_bytes()[:-1])
    assert get().fetched == 1 and held() == here


def test_what_cannot_be_fetched_is_reported_and_leaves_nothing(server, get, held, here, out, monkeypatch):
    monkeypatch.setattr("dmlkit.data.download.LARGEST_FILE", 4 << 20)
    rest = {name: data for name, data in here.items() if name != "train0000.tfrecord"}
    for fault, reason, attempts in (
        ("wrong", "MD5", 3),
        ("cut", "IncompleteRead", 3),
        (500, "500", 3),
        (302, "302", 1),
        ("bomb", "compressed", 1),
        ("endless", "more than 4,194,304 bytes", 1),
    ):
        server.faults[TRAIN + "trainaa.tfrecord"] = [fault]
        with pytest.raises(IncompleteDownload, match=r"1 of 3 files .* same command") as error:
            get()
        assert reason in error.value.missing.pop("train0000.tfrecord") and not error.value.missing
        assert (
            error.value.exit_code == 3
            and server.fetched().count("trainaa.tfrecord") == attempts
            and server.sent < 2**26
        )
        assert held() == rest and not [path for path in out.iterdir() if path.is_dir()]
    server.faults[TRAIN + "trainaa.tfrecord"] = ["stall", 503, None]
    assert get().fetched == 1 and held() == here


def test_files_fetched_by_other_means(server, get, held, here, out, shards):
    out.mkdir(parents=True)
    (out / "trainaa.tfrecord").write_bytes(shards["trainaa.tfrecord"])  # the name on the server
    (out / "train0026.tfrecord").write_bytes(b"somebody's work")
    with pytest.raises(IncompleteDownload, match="not the plan's; move it away"):
        get()
    assert held()["train0026.tfrecord"] == b"somebody's work" and server.fetched() == ["train99.tfrecord"]
    (out / "train0026.tfrecord").unlink()
    get()
    assert held()["train0026.tfrecord"] == here["train0026.tfrecord"] and "train0000.tfrecord" not in held()


def test_shares_and_numbers_are_the_official_downloaders(server, get, held):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    official = [f"train{a}{b}.tfrecord" for a in letters for b in letters]
    names = official[::97]
    server.lay_out({name: name.encode() for name in names})
    seen = set()
    for part in (1, 2, 3):
        get(shards=f"{part}/3")
        found = {data.decode() for data in held().values()}
        share = {n for n in names if int(hashlib.md5(n.encode()).hexdigest(), 16) % 3 == part - 1}
        assert found - seen == share
        seen = found
    assert held() == {f"train{official.index(name):04}.tfrecord": name.encode() for name in names}
    with pytest.raises(UsageError, match="holds no file"):
        get(shards="1/100000")


def test_splits_share_a_folder_and_levels_do_not(server, shards, get, held, out):
    server.lay_out({"validateaa.tfrecord": b"v"}, split="validate")
    server.lay_out({"trainaa.tfrecord": b"f"}, partition="2/frame")
    server.files["/2/vocabulary.csv"] = b"Index,Name\n3861,last\n"
    done = get(splits=["validate", "train"])
    assert (done.files, done.notes) == (4, ()) and "vocabulary.csv" in held()
    with pytest.raises(IncompleteDownload, match="not the plan's"):
        get(partition="2/frame")
    with pytest.raises(DataError, match=r"video_test\.json.*404"):
        get(splits=[])
    (out / "vocabulary.csv").unlink()
    server.files["/2/vocabulary.csv"] = b"Index,Name\n17,last\n"
    (note,) = get().notes
    assert "names 18 classes of 3,862" in note and "vocabulary.csv" not in held()


def test_a_plan_that_is_none(server, get, out, tmp_path):
    names = ["../train.tfrecord", "trainaa.tfrecord\n", "validateaa.tfrecord"]
    plans = [*({name: "0" * 32} for name in names), {"trainaa.tfrecord": "0" * 31}, {}, ["trainaa.tfrecord"]]
    plans += [{"trainab.tfrecord": "0" * 32, "train0001.tfrecord": "0" * 32}]  # one file here
    for plan in [*({"files": files} for files in plans), b"<html>not found</html>", b"[" * 100_000]:
        server.lay_out({}, plan=plan)
        with pytest.raises(DataError, match="plan"):
            get()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert not [path for path in out.rglob("*") if path.suffix == ".tfrecord"]


def test_the_disk_may_be_full(shards, get, held, here, monkeypatch, capsys):
    fetch = Client.fetch

    def full(client, url, **options):
        if "trainaa" in url:
            raise OSError(28, "No space left on device")
        return fetch(client, url, **options)

    monkeypatch.setattr(Client, "fetch", full)
    with pytest.raises(UsageError, match=r"No space left on device\. The same"):
        get(progress=True, jobs=1)
    assert "2/video train 1/1: 3 files, 0 of them in" in capsys.readouterr().out
    monkeypatch.setattr(Client, "fetch", fetch)
    assert get().files == 3 and held() == here


def test_names_are_checked_before_anything_is_asked(server, get, out):
    for options, message in (
        ({"partition": "2/vido"}, "Did you mean '2/video'"),
        ({"splits": ["tset"]}, "Did you mean 'test'"),
        ({"shards": "0/9"}, "0/9"),
        ({"mirror": "ftp://host/x"}, "Unknown mirror"),
        ({"mirror": "http://user:secret@host"}, "netrc"),
    ):
        with pytest.raises(UsageError, match=message):
            get(**options)
    assert not server.requests and not out.exists()


def test_one_download_a_folder(shards, get, out):
    out.mkdir(parents=True)
    with (
        file_lock(out / ".dmlkit-download.lock", taken=lambda holder: None),
        pytest.raises(UsageError, match=r"process \d+ .* is downloading"),
    ):
        get()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_continues(server, shards, held, here, out, how):
    def started():
        command = [sys.executable, "-m", "dmlkit.cli", "data", "download", "2/video", str(out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, "--split", "train", "--mirror", server.url], **pipes)

    server.faults[TRAIN + "trainaa.tfrecord"] = ["stall", None]
    process, end = started(), time.monotonic() + 30
    while time.monotonic() < end and not (out.exists() and len(held()) == 2):
        time.sleep(0.02)
    process.send_signal(how)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    assert how == signal.SIGKILL or errors.strip().endswith("the same command continues where it stopped.")
    server.fetched()
    process = started()
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "") and held() == here
    assert printed.splitlines()[-1] == f"Complete and verified in {out}: 3 files, 1 of them new."
    assert server.fetched() == ["trainaa.tfrecord"] and not [path for path in out.iterdir() if path.is_dir()]


def test_the_segments_of_2019_have_the_vocabulary_of_2018_and_no_training_split(server, get, held):
    server.lay_out({"validateaa.tfrecord": b"v"}, partition="3/frame", split="validate")
    server.lay_out({"testaa.tfrecord": b"t"}, partition="3/frame", split="test")
    server.files["/2/vocabulary.csv"] = b"Index,Name\n3861,last\n"
    with pytest.raises(UsageError, match=r"split of 3/frame 'train'.*validate, test"):
        get(partition="3/frame")
    done = get(partition="3/frame", splits=[])
    assert (done.files, done.notes) == (2, ())
    assert held().keys() == {"validate0000.tfrecord", "test0000.tfrecord", "vocabulary.csv"}
