"""What can be told of the generated data, by whom: all by the oracle, and by a mean only what means keep."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from dmlkit.data import synthetic_kinds as kinds
from dmlkit.data.opening import open_dataset
from dmlkit.data.oracle import Oracle
from dmlkit.data.synthetic import read_settings, synthesize


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return synthesize(tmp_path_factory.mktemp("data") / "generated")


@pytest.fixture(scope="module")
def validation(path):
    """All 1,000 validation videos, read back from the shards."""
    return next(iter(open_dataset(path).batches("validate", batch_size=1000)))


@pytest.fixture(scope="module")
def oracle_scores(path, validation):
    return Oracle(read_settings(path)).scores(validation)


@pytest.fixture(scope="module")
def means_scores(path):
    """Scores of a logistic regression on the video level, fitted on train, for the validation part: by scikit-learn."""
    video = open_dataset(path / "video")
    train, validation = (next(iter(video.batches(split, batch_size=5000))) for split in ("train", "validate"))
    seen, unseen = (np.concatenate([each["rgb"], each["audio"]], axis=1) for each in (train, validation))
    centre, spread = seen.mean(axis=0), seen.std(axis=0)
    columns = []
    for index in range(kinds.NUM_CLASSES):
        model = LogisticRegression(C=0.1, max_iter=500).fit(
            (seen - centre) / spread, train["labels"][:, index]
        )
        columns.append(model.decision_function((unseen - centre) / spread))
    return np.stack(columns, axis=1)


def precisions(batch, scores):
    return np.array(
        [
            average_precision_score(batch["labels"][:, index], scores[:, index])
            for index in range(kinds.NUM_CLASSES)
        ]
    )


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_the_oracle_tells_every_kind(kind, validation, oracle_scores):
    by_class = precisions(validation, oracle_scores)[kinds.members(kind)]
    assert by_class.mean() >= 0.95
    # A class has as few as 40 positives, so that single videos show.
    assert by_class.min() >= 0.93


def test_the_oracles_scores_are_nearly_probabilities(validation, oracle_scores):
    assert oracle_scores.min() >= 0 and oracle_scores.max() <= 1
    np.testing.assert_allclose(
        oracle_scores.sum(axis=1).mean(), validation["labels"].sum(axis=1).mean(), rtol=0.1
    )
    for first, second in (*kinds.pairs(kinds.TOGETHER), *kinds.pairs(kinds.ORDER)):
        assert (oracle_scores[:, first] + oracle_scores[:, second]).max() <= 1 + 1e-9


def test_padding_does_not_matter_to_the_oracle(path, validation, oracle_scores):
    some = {name: values[:5] for name, values in validation.items()}
    for modality in ("rgb", "audio"):
        some[modality] = np.concatenate([some[modality], np.full_like(some[modality], 200)], axis=1)
    np.testing.assert_allclose(Oracle(read_settings(path)).scores(some), oracle_scores[:5], atol=1e-12)


@pytest.mark.parametrize("kind", [kinds.TOGETHER, kinds.ORDER])
def test_means_are_blind_to(kind, validation, means_scores):
    """No better than the label's frequency, up to the sampling error: scores dealt out to videos at random.

    Average precision of scores that know nothing lies a little above the frequency in a finite sample, and
    varies. Both are found by shuffling. Tolerance: three standard deviations for the kind's mean, four for each class.
    """
    random = np.random.default_rng(0)
    members = kinds.members(kind)
    found = precisions(validation, means_scores)[members]
    shuffled = np.array(
        [
            [
                average_precision_score(validation["labels"][:, index], random.permutation(len(means_scores)))
                for index in members
            ]
            for _ in range(200)
        ]
    )
    frequency = validation["labels"][:, members].mean(axis=0)
    assert (np.abs(shuffled.mean(axis=0) - frequency) < 0.02).all(), (
        "the frequency is what knowing nothing gives"
    )
    assert (found < shuffled.mean(axis=0) + 4 * shuffled.std(axis=0)).all()
    assert found.mean() < shuffled.mean() + 3 * shuffled.mean(axis=1).std()


def test_means_see_what_is_steady_and_little_of_short_events(validation, means_scores):
    found = precisions(validation, means_scores)
    frequency = validation["labels"].mean(axis=0)
    for kind in (kinds.STEADY_LOOK, kinds.STEADY_SOUND):
        assert found[kinds.members(kind)].mean() > 0.9
    events = kinds.members(kinds.SHORT_EVENT)
    assert frequency[events].mean() + 0.05 < found[events].mean() < 0.5


@pytest.mark.parametrize("silenced", ["rgb", "audio"])
def test_neither_look_nor_sound_alone_tells_together(silenced, path, validation, oracle_scores):
    """With one modality replaced by another video's, even the oracle cannot tell a pair's classes apart."""
    batch = dict(validation)
    # Videos of equal length exchange the modality, so that its padding stays where it was.
    order = np.lexsort((np.arange(len(batch["id"])), batch["num_frames"]))
    donors = np.empty_like(order)
    for length in np.unique(batch["num_frames"]):
        same = order[batch["num_frames"][order] == length]
        donors[same] = np.roll(same, 1)
    batch[silenced] = batch[silenced][donors]
    blinded = Oracle(read_settings(path)).scores(batch)
    for first, second in kinds.pairs(kinds.TOGETHER):
        either = (batch["labels"][:, first] + batch["labels"][:, second]) > 0
        truth = batch["labels"][either, first]

        def right(scores, either=either, truth=truth, first=first, second=second):
            return np.mean((scores[either, first] > scores[either, second]) == truth)

        assert right(oracle_scores) > 0.97
        # Choosing one of two: the greater share of the pair, and three deviations of a coin.
        assert right(blinded) < max(truth.mean(), 1 - truth.mean()) + 1.5 / np.sqrt(either.sum())
