"""What tests share: a small generated data set, real data where there are any, two runs trained in seconds.

All of it is made when first asked for, once a session.
"""

import os

# Before anything imports TensorFlow, Keras or matplotlib.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    """A generated data set: 200 videos to train, 100 to validate, 20 without labels. Not to be changed."""
    from dmlkit.data.synthetic import synthesize

    return synthesize(tmp_path_factory.mktemp("data") / "generated", train=200, validate=100, test=20)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets."""
    folder = os.environ.get("DMLKIT_REAL_DATA")
    if not folder:
        pytest.skip("DMLKIT_REAL_DATA does not name a folder of real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def smoke_runs(generated, tmp_path_factory) -> dict:
    """Name → run of `lr` and `attention`, trained on `generated` under the smoke profile. Not to be changed."""
    from dmlkit.training import Walk

    walk = Walk(generated, profile="smoke", runs=tmp_path_factory.mktemp("smoke") / "runs", progress="silent")
    return walk.train("lr", "attention")
