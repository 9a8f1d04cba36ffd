"""`dmlkit data import`, as a user types it, and the data set it leaves in the hands of the other commands."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from dmlkit.data import import_features, importing, open_dataset


def dmlkit(*arguments):
    command = [sys.executable, "-m", "dmlkit.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def clips(tmp_path):
    """A folder of forty videos of two modalities, and their labels."""
    random = np.random.default_rng(0)
    for modality, size in (("rgb", 8), ("audio", 4)):
        (tmp_path / "clips" / modality).mkdir(parents=True)
        for number in range(40):
            values = random.normal(size=(5, size)).clip(-1.9, 1.9).astype(np.float32)
            np.save(tmp_path / "clips" / modality / f"v{number}.npy", values)
    rows = [f"v{number},{'Cat' if number % 2 else 'Dog;Guitar'}\n" for number in range(40)]
    (tmp_path / "labels.csv").write_text("id,labels\n" + "".join(rows))
    return tmp_path / "clips"


def test_imported_and_shown(tmp_path, clips):
    out = tmp_path / "mine"
    done = dmlkit("data", "import", clips, "--labels", clips.parent / "labels.csv", "--out", out)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith(f"The data set is in {out}: 40 videos (train ")
    shown = dmlkit("data", "show", out)
    assert shown.returncode == 0
    assert shown.stdout.startswith("mine: frame level, rgb 8 (byte), audio 4 (byte), 3 classes\n")
    checked = dmlkit("data", "check", out)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_a_model_is_trained_on_it_and_scores_it(tmp_path, clips):
    import_features(clips, tmp_path / "mine", labels=clips.parent / "labels.csv")
    trained = dmlkit(
        "train", "lr", "--data", tmp_path / "mine", "--out", tmp_path / "run", "--profile", "smoke"
    )
    assert trained.returncode == 0, trained.stderr
    scored = dmlkit("evaluate", tmp_path / "run", "--data", tmp_path / "mine")
    assert scored.returncode == 0 and "GAP@20" in scored.stdout, scored.stderr


def test_faults_are_one_paragraph_and_an_exit_code(tmp_path, clips):
    np.save(clips / "rgb" / "v7.npy", np.full((5, 8), np.nan))
    arguments = ("data", "import", clips, "--labels", clips.parent / "labels.csv", "--out", tmp_path / "out")
    done = dmlkit(*arguments)
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"dmlkit: {clips}/") and "v7: rgb holds NaN" in done.stderr
    done = dmlkit(*arguments, "--split", "train=0.7,vali=0.3")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Did you mean 'validate'?" in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_says_what_a_source_may_be():
    shown = dmlkit("data", "import", "--help")
    assert shown.returncode == 0
    told = " ".join(shown.stdout.split())
    for paragraph in importing.__doc__.split("\n\n")[1:]:
        assert " ".join(paragraph.split()) in told


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['dmlkit', 'data', 'import', '--help']; import dmlkit.cli\n"
        "try:\n    dmlkit.cli.main()\n"
        "finally:\n    print('HEAVY', sorted({'tensorflow', 'keras', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("HEAVY []\n")


def test_an_interrupted_command_leaves_nothing(tmp_path):
    random = np.random.default_rng(0)
    lengths = np.full(30_000, 3)
    np.savez(
        tmp_path / "many.npz", ids=np.arange(30_000), num_frames=lengths, rgb=random.random((90_000, 16))
    )
    command = [sys.executable, "-m", "dmlkit.cli", "data", "import", tmp_path / "many.npz"]
    command += ["--out", tmp_path / "out", "--num-classes", "5"]
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not any(tmp_path.glob(".out.*/test*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith("dmlkit: interrupted.\n") and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["many.npz"]


def test_memory_does_not_grow_with_the_number_of_videos(tmp_path):
    """The peak of a fresh process, with 32 MB of frames and with ten times as many."""
    code = (
        "import resource, sys; from dmlkit.data import import_features\n"
        "import_features(sys.argv[1], sys.argv[2], num_classes=5)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for videos in (1_000, 10_000):
        arrays = {"rgb": np.zeros((videos * 32, 256), np.float32), "num_frames": np.full(videos, 32)}
        np.savez(tmp_path / f"{videos}.npz", ids=np.arange(videos), **arrays)
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / f"{videos}.npz", tmp_path / str(videos)],
            capture_output=True,
            text=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.2 * peaks[0], peaks


def test_a_real_video_comes_out_as_it_went_in(real_data, tmp_path):
    path = real_data / "yt8m-frame-one-video" / "SjJ3.npz"
    if not path.exists():
        pytest.skip("no yt8m-frame-one-video in DMLKIT_REAL_DATA")
    with np.load(path, allow_pickle=False) as file:
        video = dict(file)
    import_features(path.parent, tmp_path / "out", split="test=1", num_classes=3862)
    dataset = open_dataset(tmp_path / "out")
    (batch,) = dataset.batches("test", batch_size=4)
    assert batch["id"].tolist() == ["SjJ3"] and np.flatnonzero(batch["labels"]).tolist() == [11]
    assert batch["num_frames"].tolist() == [170]
    for name in ("rgb", "audio"):
        assert batch[name][0].tobytes() == video[name].tobytes()
    # The record itself, by TensorFlow's own protobufs: what YouTube-8M's readers expect.
    ((record,),) = ([*tf.data.TFRecordDataset(shard).as_numpy_iterator()] for shard in dataset.splits["test"])
    parsed = tf.train.SequenceExample.FromString(record)
    assert parsed.context.feature["id"].bytes_list.value[:] == [b"SjJ3"]
    assert parsed.context.feature["labels"].int64_list.value[:] == [11]
    for name in ("rgb", "audio"):
        frames = parsed.feature_lists.feature_list[name].feature
        assert [frame.bytes_list.value[:] for frame in frames] == [[row.tobytes()] for row in video[name]]
