"""What acceptance tests share: one small generated data set and two runs trained on it."""

from pathlib import Path

import pytest

import dmlkit


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Path:
    """A generated frame-level data set: 200 videos to train, 100 to validate, 20 without labels. Read only."""
    return dmlkit.synthesize(tmp_path_factory.mktemp("data") / "generated", train=200, validate=100, test=20)


@pytest.fixture(scope="session")
def trained(generated, tmp_path_factory) -> dict:
    """Name → run: `lr` and `attention`, trained on `generated` under the smoke profile. Read only."""
    runs = tmp_path_factory.mktemp("runs")
    return {
        name: dmlkit.train(name, data=generated, out=runs / name, profile="smoke", progress="silent")
        for name in ("lr", "attention")
    }
