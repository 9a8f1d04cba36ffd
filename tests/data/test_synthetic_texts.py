"""Generated titles and keywords: as often as stated, beside the very same frames, and only where asked for."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from dmlkit.data.messages import SequenceExample
from dmlkit.data.shards import first_records
from dmlkit.data.synthetic_stream import Stream
from dmlkit.data.texts import place, tokens

from dmlkit.cli import app
from dmlkit.data import Oracle, open_dataset, read_settings, synthesize
from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data import synthetic_texts as texts
from dmlkit.data.schema import TEXT_SIZE
from dmlkit.errors import UsageError
from dmlkit.metrics import global_average_precision

SMALL = {"train": 40, "validate": 20, "test": 4}
# Of what 50 videos are called. Another value means other data.
GOLDEN = "6a4e2b4ecc3379ac2c38555350e5eb02e84ffbf541569f3c7758afbe671cd6cc"


def words(said):
    return [word for text in said for word in tokens(text)]


def whole(path, split):
    return next(iter(open_dataset(path).batches(split, batch_size=1000)))


@pytest.mark.parametrize("level", ["", "video"])
@pytest.mark.parametrize("split", ["train", "validate", "test"])
def test_frames_and_labels_are_the_same_with_texts_and_without(generated, with_texts, level, split):
    plain, said = whole(generated / level, split), whole(with_texts / level, split)
    assert said.keys() - plain.keys() == {"text"}
    for name, values in plain.items():
        np.testing.assert_array_equal(said[name], values)
    np.testing.assert_array_equal(said["text"], whole(with_texts, split)["text"])


def test_without_texts_no_file_speaks_of_them(tmp_path):
    # What lies in the shards is held by the checksum in test_synthetic.
    path = synthesize(tmp_path / "d", **SMALL)
    assert list(json.loads((path / "generated.json").read_text())["settings"]) == [
        *("seed", "train", "validate", "test", "sizes", "min_frames", "max_frames")
    ]
    for folder in (path, path / "video"):
        assert "text" not in (folder / "dataset.toml").read_text()


def test_the_texts_are_frozen():
    said = [texts.make_texts(Stream(0, 1, number, 1), [number % 24]) for number in range(50)]
    assert hashlib.sha256(json.dumps(said).encode()).hexdigest() == GOLDEN


def test_topics_are_named_as_often_as_stated():
    told = [words(texts.make_texts(Stream(0, 1, number, 1), [3, 17])) for number in range(6000)]
    spoken = [said for said in told if said]
    assert 1 - len(spoken) / len(told) == pytest.approx(texts.SILENT, abs=4 * np.sqrt(0.1 * 0.9 / 6000))
    for index, topic in enumerate(texts.TOPICS):
        share = texts.NAMED if index in (3, 17) else texts.STRAY
        spread = 4 * np.sqrt(share * (1 - share) / len(spoken))
        assert np.mean([topic in said for said in spoken]) == pytest.approx(share, abs=spread)
    fillers = [sum(word in texts.FILLERS for word in said) for said in spoken]
    assert (min(fillers), max(fillers)) == texts.FILLED


def test_titles_and_keywords_look_like_ones():
    said = texts.make_texts(Stream(0, 1, 5, 1), [0, 5])
    assert len(said) in (1, 2)
    assert said[0].istitle()
    assert all(word in {*texts.TOPICS, *texts.FILLERS} for word in words(said))


def test_no_two_words_share_a_place():
    known = {*texts.TOPICS, *texts.FILLERS}
    assert len(texts.TOPICS) == len(set(texts.TOPICS)) == kinds.NUM_CLASSES
    assert len({place(word, TEXT_SIZE) for word in known}) == len(known)


def test_records_hold_the_words_themselves(with_texts):
    shard = open_dataset(with_texts).splits["validate"][0]
    said = [
        [
            text.decode()
            for text in SequenceExample.FromString(record).context.feature["text"].bytes_list.value
        ]
        for record in first_records([shard], 100)
    ]
    assert any(each == [] for each in said)
    assert all(set(words(each)) <= {*texts.TOPICS, *texts.FILLERS} for each in said)


def test_who_knows_all_reads_the_texts_too(with_texts):
    batch, oracle = whole(with_texts, "validate"), Oracle(read_settings(with_texts))
    blind = {name: values for name, values in batch.items() if name != "text"}
    silent = batch | {"text": np.zeros_like(batch["text"])}
    frames_alone = oracle.scores(blind)
    np.testing.assert_array_equal(oracle.scores(silent), frames_alone)
    # By Bayes' rule for one class: the odds of a label whose topic is named grow by as much as it is likelier so.
    named = silent | {"text": np.zeros_like(batch["text"])}
    steady = kinds.members(kinds.STEADY_LOOK)[0]
    topics = [place(topic, TEXT_SIZE) for topic in texts.TOPICS]
    named["text"][:, topics[steady]] = 1
    odds, before = (
        scores[:, steady] / (1 - scores[:, steady]) for scores in (oracle.scores(named), frames_alone)
    )
    unsure = (frames_alone[:, steady] > 0.001) & (frames_alone[:, steady] < 0.999)
    np.testing.assert_allclose(odds[unsure] / before[unsure], texts.NAMED / texts.STRAY, rtol=1e-6)
    gains = [global_average_precision(each, batch["labels"]) for each in (oracle.scores(batch), frames_alone)]
    assert gains[0] >= gains[1]


def test_the_command_and_the_settings(tmp_path):
    counts = ["--train", "40", "--validate", "20", "--test", "4"]
    done = CliRunner().invoke(app, ["data", "synthesize", str(tmp_path / "d"), "--text", *counts])
    assert done.exit_code == 0, done.output
    assert read_settings(tmp_path / "d").text
    dataset = open_dataset(tmp_path / "d")
    assert list(dataset.features) == ["rgb", "audio", "text"]
    assert "with texts" in dataset.name
    with pytest.raises(UsageError, match="other settings"):
        synthesize(tmp_path / "d", **SMALL)
