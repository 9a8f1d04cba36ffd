import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import DataError
from dmlkit.models import (
    CLASSIFIERS,
    ENCODERS,
    FRAME_CLASSIFIERS,
    FUSIONS,
    GATES,
    NORMALIZATIONS,
    POOLINGS,
    build,
    load_model,
)

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}

SCORE_ALL = """
import sys
from pathlib import Path
import keras
import numpy as np
from dmlkit.models import load_model
folder = Path(sys.argv[1])
batch = dict(np.load(folder / "batch.npz"))
for path in sorted(folder.glob("*.keras")):
    np.save(path.with_suffix(".npy"), keras.ops.convert_to_numpy(load_model(path)(batch)))
"""


def _in_turn(table, places):
    return list(itertools.islice(itertools.cycle(table), places))


def _cases():
    """As few models as hold every line of every table at least once."""
    tables = {
        "encoder": ENCODERS,
        "pooling": POOLINGS,
        "fusion": FUSIONS,
        "classifier": CLASSIFIERS,
        "normalization": NORMALIZATIONS,
        "gate_pooled": GATES,
        "gate_scores": tuple(reversed(GATES)),
        "copies": (1, 1, 1, 2),
        "fusion_stage": ("early", "late", "early", "early"),
        "precision": ("float32", "float32", "mixed_bfloat16"),
    }
    places = max(map(len, tables.values()))
    columns = [_in_turn(table, places) for table in tables.values()]
    by_frame = [
        {"encoder": "hidden", "classifier": name, "gate_scores": "context"} for name in FRAME_CLASSIFIERS
    ]
    return [dict(zip(tables, line, strict=True)) for line in zip(*columns, strict=True)] + by_frame


def test_models_load_in_a_fresh_process_and_score_the_same(tmp_path, batch_of, randomize):
    batch = batch_of()
    np.savez(tmp_path / "batch.npz", **batch)
    scores = {}
    for place, parts in enumerate(_cases()):
        model = randomize(
            build(features=FEATURES, level="frame", num_classes=3, units=3, dropout=0.1, **parts)
        )
        model.save(tmp_path / f"{place}.keras")
        scores[place] = np.asarray(model(batch))
    # Beside what is there: another backend may lie on a path of its own.
    path = [str(Path(dmlkit.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCORE_ALL, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for place, expected in scores.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{place}.npy"), expected, atol=1e-6)


def test_a_trained_and_compiled_model_loads(tmp_path, batch_of):
    from dmlkit.models import cross_entropy

    model = build(features=FEATURES, level="frame", num_classes=3, units=3, layers=1)
    model.compile("adam", cross_entropy, jit_compile=False)
    model.train_on_batch(batch_of(), np.eye(3, dtype=np.float32))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(batch_of()), model(batch_of()), atol=1e-6)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no model at .*model\.keras"):
        load_model(tmp_path / "model.keras")


def test_a_damaged_model_is_named(tmp_path):
    path = tmp_path / "model.keras"
    build(features=FEATURES, level="frame", num_classes=3, units=3, layers=1).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"model\.keras cannot be read as a model"):
        load_model(path)
