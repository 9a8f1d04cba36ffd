"""The arithmetic of masking in JavaScript: that of `weighing.py`, to the sixth place."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import dmlkit.explorer
from dmlkit.explorer.evidence import Evidence
from dmlkit.explorer.weighing import class_logits, entropy, optimize_weights, scores_of

VIEW = Path(dmlkit.explorer.__file__).with_name("attention_view.js")
STATES = [
    {},
    {"masked": [0, 3, 7]},
    {"temperature": 0.2},
    {"temperature": 7.5, "masked": [1]},
    {"top": 4},
    {"top": 3, "masked": [2, 5], "temperature": 0.5},
    {"uniform": True},
    {"uniform": True, "top": 5, "masked": [4]},
    {"masked": list(range(12))},
]
ASK = """async ({ source, evidence, states }) => {
  const { decode, weigh } = await import("data:text/javascript;base64," + source);
  return states.map((state) => {
    const found = optimize_weights(decode(evidence), { ...state, masked: new Set(state.masked ?? []) });
    const list = (values) => (values ? Array.from(values) : null);
    return { known: found.known, weights: list(found.weights), logits: list(found.logits),
             scores: list(found.scores), entropy: found.entropy };
  });
}"""


@pytest.fixture(scope="module")
def ask(browser, tmp_path_factory):
    source = base64.b64encode(VIEW.read_bytes()).decode("ascii")
    with browser.page(width=400, picture=tmp_path_factory.mktemp("weighing") / "page.png") as page:

        def asked(evidence: Evidence, states=STATES):
            given = {
                "source": source,
                "evidence": json.loads(json.dumps(evidence.to_json())),
                "states": states,
            }
            return page.evaluate(ASK, given)

        yield asked


@pytest.mark.parametrize("known", ["logits", "weights only"])
def test_masking_is_the_same_in_both(ask, sample_evidence, known):
    evidence = sample_evidence(frames=12, classes=4, **({} if known == "logits" else {"logits": None}))
    for state, found in zip(STATES, ask(evidence), strict=True):
        weights = optimize_weights(evidence, **state)
        assert found["known"] == (weights is not None)
        if weights is None:
            assert found["logits"] is None and found["scores"] is None
            continue
        np.testing.assert_allclose(found["weights"], weights, atol=1e-6)
        np.testing.assert_allclose(found["logits"], class_logits(evidence, weights), atol=1e-6)
        np.testing.assert_allclose(found["scores"], scores_of(evidence, weights), atol=1e-6)
        assert found["entropy"] == pytest.approx(entropy(weights)[0], abs=1e-6)


def test_a_classifier_that_is_not_linear_has_no_scores_of_its_own(ask, sample_evidence):
    untouched, masked = ask(sample_evidence(linear=False), [{}, {"masked": [1]}])
    assert untouched["scores"] is not None and masked["scores"] is None and masked["logits"] is None


def test_frames_left_that_never_weighed_anything(ask, sample_evidence):
    evidence = sample_evidence(frames=3, logits=None, weights=[1, 0, 0])
    masked, uniform = ask(evidence, [{"masked": [0]}, {"masked": [0], "uniform": True}])
    assert not masked["known"] and optimize_weights(evidence, masked=[0]) is None
    np.testing.assert_allclose(uniform["weights"], [0, 0.5, 0.5])


def test_forty_states_by_chance(browser, sample_evidence):
    rng = np.random.default_rng(0)
    states = [
        {
            "masked": sorted(rng.choice(30, rng.integers(0, 30), replace=False).tolist()),
            "temperature": float(rng.uniform(0.2, 5)),
            "top": [None, int(rng.integers(1, 30))][rng.integers(2)],
            "uniform": bool(rng.integers(4) == 0),
        }
        for _ in range(40)
    ]
    cases = [sample_evidence(frames=30, seed=3), sample_evidence(frames=30, seed=4, logits=None)]
    page = browser.chromium.new_page()
    code = """async ([module, evidence, states]) => {
        const view = await import(URL.createObjectURL(new Blob([module], {type: "text/javascript"})));
        return evidence.map(each => states.map(state => {
            const told = view.optimize_weights(view.decode(each), {...state, masked: new Set(state.masked)});
            return [[...told.weights], told.scores && [...told.scores], told.entropy];
        }));
    }"""
    found = page.evaluate(
        code, [VIEW.read_text(encoding="utf-8"), [each.to_json() for each in cases], states]
    )
    page.close()
    for evidence, answers in zip(cases, found, strict=True):
        for state, (weights, scores, spread) in zip(states, answers, strict=True):
            expected = optimize_weights(evidence, **state)
            np.testing.assert_allclose(weights, expected, atol=1e-6)
            np.testing.assert_allclose(scores, scores_of(evidence, expected), atol=1e-6)
            assert spread == pytest.approx(entropy(expected)[0], abs=1e-6)
