"""`import dmlkit`: what it offers, and what it does not load."""

import subprocess
import sys

import pytest

import dmlkit

PROMISED = {
    "Experiment",
    "GlobalAveragePrecision",
    "LADDER",
    "attention_weights",
    "build_model",
    "compare",
    "gap_weights",
    "global_average_precision",
    "load_run",
    "load_runs",
    "open_dataset",
    "train",
    "weighted_average",
}


@pytest.mark.parametrize("name", [name for name in dmlkit.__all__ if name != "notebooks"])
def test_every_name_can_be_loaded_and_is_documented(name):
    value = getattr(dmlkit, name)
    assert isinstance(value, dict) or value.__doc__


def test_the_promised_names_are_public():
    assert set(dmlkit.__all__) >= PROMISED
    assert set(dmlkit.__all__) <= set(dir(dmlkit))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = dmlkit.nothing_of_ours


def test_measures_load_no_tensorflow():
    code = (
        "import sys, numpy as np, dmlkit\n"
        "gap = dmlkit.global_average_precision(np.array([[.9, .1]]), np.array([[1, 0]]))\n"
        "streaming = dmlkit.GlobalAveragePrecision(top_k=20)\n"
        "dmlkit.weighted_average([np.ones((1, 2))], dmlkit.gap_weights([gap]))\n"
        "print(gap, sorted({'tensorflow', 'keras', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["1.0", "[]\n"]
