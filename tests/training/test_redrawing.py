import keras
import numpy as np
import pytest

from dmlkit.data import open_dataset
from dmlkit.metrics import global_average_precision
from dmlkit.training import Study, mapping_redrawn


@pytest.fixture(scope="module")
def runs(generated, tmp_path_factory):
    study = Study(generated, profile="smoke", runs=tmp_path_factory.mktemp("runs"), progress="silent")
    return study.train("bi-gru-concat", "bi-gru-projection", "bi-gru-shared-space")


def test_only_the_mappings_are_other_ones(runs, generated):
    dataset = open_dataset(generated)
    found = mapping_redrawn(runs, dataset, seed=5)
    assert list(found.index) == ["Bi-GRU, projection", "Bi-GRU, shared space"]
    for run in (runs["bi-gru-projection"], runs["bi-gru-shared-space"]):
        model = keras.saving.load_model(run.path / "model.keras")
        rng = np.random.default_rng(5)
        for layer in model.layers:
            if "fusion" in layer.name:
                layer.set_weights(
                    [rng.normal(0, 0.01, w.shape) if w.ndim == 2 else w for w in layer.get_weights()]
                )
        scores, labels = [], []
        for batch in dataset.batches("validate", batch_size=50, max_frames=10, max_videos=200):
            labels.append(batch.pop("labels"))
            scores.append(
                model.predict_on_batch({name: batch[name] for name in ("audio", "rgb", "num_frames")})
            )
        expected = global_average_precision(np.concatenate(scores), np.concatenate(labels))
        assert found.loc[run.title, "mapping drawn anew"] == pytest.approx(expected, abs=2e-3)
        assert found.loc[run.title, "mapping drawn anew"] != pytest.approx(run.gap, abs=1e-4)
        assert found.loc[run.title, "as trained"] == run.gap


def test_the_runs_keep_their_models(runs, generated):
    run = runs["bi-gru-projection"]
    before = [weight.copy() for weight in run.model.get_weights()]
    mapping_redrawn({"a": run}, open_dataset(generated))
    for old, new in zip(before, run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
