"""Plans that are none, or that name what no shard is called."""

import json

import pytest

from dmlkit.errors import DataError

MD5 = "0" * 32
NAMES = [
    "../train.tfrecord",
    "../../train00.tfrecord",
    "train/../../x.tfrecord",
    "/etc/train.tfrecord",
    "C:train.tfrecord",
    "C:\\train.tfrecord",
    "\\\\host\\train.tfrecord",
    "train\\..\\x.tfrecord",
    "train\0.tfrecord",
    "train\n.tfrecord",
    "train.tfrecord\n",
    "train.tfrecord\0.exe",
    "train aa.tfrecord",
    "train..tfrecord",
    "trainaa.tfrecord:stream",
    "trainaa.tfrecord/",
    "trainаа.tfrecord",  # Cyrillic
    "train٣٣.tfrecord",  # digits, but not ours
    "traınaa.tfrecord",
    "train" + "a" * 300 + ".tfrecord",
    "trainaa.csv",
    ".trainaa.tfrecord",
    ".dmlkit-download.jsonl",
    "dataset.toml",
    "con",
    "NUL.tfrecord",
    "aux.tfrecord",
    "com1.tfrecord",
    "validateaa.tfrecord",
    "train%2e%2e.tfrecord",
    "~train.tfrecord",
    "$HOME.tfrecord",
    "",
    ".",
    "..",
]


def everything(folder):
    return sorted(path for path in folder.rglob("*") if not path.name.startswith(".dmlkit-download.lock"))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_hostile_name_fetches_nothing(server, get, out, tmp_path, name):
    server.lay_out({}, plan={"files": {"trainaa.tfrecord": MD5, name: MD5}})
    with pytest.raises(DataError, match=r"names the file .*Nothing was fetched; check the mirror") as told:
        get()
    assert str(told.value).isprintable()
    assert everything(tmp_path) == [out.parent, out]
    assert not [path for _, path, _ in server.asked if "tfrecord" in path]


@pytest.mark.parametrize(
    "md5",
    ["", "0" * 31, "0" * 33, "g" * 32, "٣" * 32, 0, None, ["0" * 32], {"md5": MD5}, MD5 + "\n"],
    ids=ascii,
)
def test_a_hash_that_is_none(server, get, md5):
    server.lay_out({}, plan={"files": {"trainaa.tfrecord": md5}})
    with pytest.raises(DataError, match="which is not an MD5 of 32 hexadecimal digits"):
        get()


@pytest.mark.parametrize(
    "plan",
    [
        b"",
        b"<html>404, but nicely\x1b[31m</html>",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"files": []}',
        b'{"files": {}}',
        b'{"files": null}',
        b"[" * 100_000,
        b'{"files": ' * 50_000,
        b"9" * 10_000,
        json.dumps({"files": {f"train{n}.tfrecord": MD5 for n in range(100_001)}}).encode(),
    ],
    ids=lambda plan: ascii(plan[:20]),
)
def test_a_plan_that_is_none(server, get, out, tmp_path, plan):
    server.lay_out({}, plan=plan)
    with pytest.raises(DataError, match="is not a plan of YouTube-8M's downloader") as told:
        get()
    assert str(told.value).isprintable() and len(str(told.value)) < 600
    assert everything(tmp_path) == [out.parent, out]


@pytest.mark.parametrize(
    "names", [("trainAab.tfrecord", "trainaAb.tfrecord"), ("trainaa.tfrecord", "train0000.tfrecord")]
)
def test_names_that_are_one_file_here(server, get, names):
    server.lay_out({}, plan={"files": dict.fromkeys(names, MD5)})
    with pytest.raises(DataError, match=f"names {names[0]} and {names[1]}, which would be one file"):
        get()


@pytest.mark.parametrize("manner", [("endless", {}), "bomb", "mute", "trickle", ("status", {"code": 500})])
def test_a_plan_that_does_not_end_or_come(server, get, manner):
    server.lay_out({}, plan=bytes(2000))
    server.misbehave("video_train.json", manner, path="/2/download_plans/")
    with pytest.raises(DataError, match=r"cannot be had: .*so nothing was fetched"):
        get()
    assert server.sent < 2**26


def test_upper_case_hashes_and_names_of_ones_own_will_do(server, get, held):
    plan = {"files": {"train-0001.tfrecord": "8277E0910D750195B448797616E091AD"}}  # of the letter d
    server.lay_out({"train-0001.tfrecord": b"d"}, plan=plan)
    get()
    assert held() == {"train-0001.tfrecord": b"d"}
