"""What frames do in a model, against numpy from the equations, finite differences and the whole model."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from dmlkit.errors import UsageError
from dmlkit.models import FrameProbe, attention, attention_weights, build, load_model

FEATURES = {"rgb": (4, "byte"), "audio": (3, "float")}
TEXTS = FEATURES | {"words": (6, "text")}
LENGTH = 5  # of the first video
MISSING = {"rgb": 127, "audio": 0.0}


def make(pooling="attention", encoder="bi_gru", features=FEATURES, **parts):
    parts = {"units": 4, "layers": 1, "dropout": 0.2, "encoder": encoder, "pooling": pooling, **parts}
    return build(features=features, level="frame", num_classes=3, **parts)


def first(parts):
    return replace(parts, **{name: each if each is None else each[0] for name, each in vars(parts).items()})


def scores_of(model, inputs):
    return np.asarray(model({name: inputs[name] for name in model.input}))


def numbers(model, name):
    return [np.asarray(weight) for weight in model.get_layer(name).weights]


@pytest.fixture
def video(batch):
    """The first of the batch's videos, with a text."""
    words = np.random.default_rng(2).random(6).astype(np.float32)
    return {"rgb": batch["rgb"][0], "audio": batch["audio"][0], "words": words}


def as_batch(video):
    return {name: each[None] for name, each in video.items()} | {"num_frames": np.array([LENGTH], np.int32)}


GROUPS, COPIES = [("", "audio"), ("", "rgb")], [("copy 1", None), ("copy 2", None)]
LINEAR = [
    ({"pooling": "mean", "encoder": "none"}, "mean", GROUPS),
    ({"pooling": "feature_attention", "encoder": "none"}, "by_feature", GROUPS),
    ({"fusion_stage": "late", "encoder": "transformer", "pooled_units": 5}, "attention", GROUPS),
    ({"encoder": "none", "features": TEXTS}, "attention", [*GROUPS, ("", "words")]),
    ({"classifier": "class_attention", "pooling": "last", "copies": 2}, "by_class", COPIES),
]


@pytest.mark.parametrize(("parts", "kind", "pairs"), LINEAR)
def test_contributions_sum_to_the_models_output(parts, kind, pairs, video, randomize):
    model, classes, inputs = randomize(make(**parts)), [2, 0], as_batch(video)
    probe = FrameProbe(model, columns=[1, 2, 0])
    assert (probe.kind, probe.linear, probe.maskable) == (kind, True, True)
    part, scores = first(probe.parts(inputs)), scores_of(model, inputs)[0, [1, 2, 0]]
    found, weights = probe.contributions(part, classes), probe.weights_of(part, classes)
    assert [(probe.groups[group], name) for group, name in found.parts] == pairs
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)
    groups = [group for group, _ in found.parts]
    terms = found.values * (1 if kind == "by_feature" else weights[:, groups])
    output = scores[classes] if found.link == "identity" else logit(scores[classes])
    np.testing.assert_allclose(terms.sum(axis=(0, 1)) + found.biases, output, rtol=0, atol=1e-5)
    assert np.abs(terms).max() > 1e-3


OTHERS = [
    {"classifier": "mixture_of_experts"},
    {"gate_scores": "context", "classifier": "class_attention", "pooling": "last"},
    {"copies": 2, "pooling": "multi_head_attention"},
    {"pooling": "deep_bag"},
]


@pytest.mark.parametrize("parts", OTHERS)
def test_states_are_pooled_to_the_models_scores_and_frames_can_be_left_out(parts, batch, randomize):
    model = randomize(make(encoder="none", **parts))
    probe = FrameProbe(model)
    read, part = probe.parts(batch), first(probe.parts(batch))
    np.testing.assert_allclose(read.scores, scores_of(model, batch), atol=1e-6)
    np.testing.assert_array_equal(read.scores, probe.scores(batch))
    np.testing.assert_allclose(probe.pooled_scores(read.states, batch["num_frames"]), read.scores, atol=1e-6)
    # Without an encoder, a frame that is left out is one that is not there.
    shorter = {name: batch[name][:1, 1:] for name in FEATURES} | {"num_frames": np.array([4], np.int32)}
    without = probe.pooled_scores(read.states[:1, 1:], [4])
    np.testing.assert_allclose(without, scores_of(model, shorter), atol=1e-6)
    assert not probe.linear and probe.contributions(part, [0]) is None
    if read.weights is not None:
        assert (read.weights[1, 2:] == 0).all() and len(probe.groups) == read.weights.shape[2]


def test_weights_are_those_of_the_equations(video, randomize):
    inputs, settings = as_batch(video), {"encoder": "none", "heads": 2, "clusters": 3}
    heads = randomize(make("multi_head_attention", **settings))
    part = first(FrameProbe(heads).parts(inputs))
    kernel, bias, context = numbers(heads, "heads")
    expected = softmax(np.tanh(part.states @ kernel + bias) @ context, axis=0)
    np.testing.assert_allclose(part.weights[:, :, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(attention_weights(heads, inputs)[0], part.weights[:, :, 0])
    by_class = randomize(make("last", classifier="class_attention", **settings))
    kernel, bias = numbers(by_class, "frame_attention")
    found = FrameProbe(by_class).parts(inputs)
    np.testing.assert_allclose(
        found.weights[0, :, 0], softmax(found.states[0] @ kernel + bias, axis=0), atol=1e-6
    )

    by_feature = randomize(make("feature_attention", **settings))
    probe = FrameProbe(by_feature)
    part, (kernel, bias) = first(probe.parts(inputs)), numbers(by_feature, "feature_logits")
    shares = np.abs(numbers(by_feature, "scores")[0][:, 1])
    own = softmax(part.states @ kernel + bias, axis=0) @ shares / shares.sum()
    np.testing.assert_allclose(probe.weights_of(part, [1])[:, 0, 0], own, atol=1e-6)

    clusters = randomize(make("netvlad", **settings))
    part = first(FrameProbe(clusters).parts(inputs))
    kernel, _, gain, shift, mean, variance = numbers(clusters, "clusters")
    expected = softmax((part.states @ kernel - mean) / np.sqrt(variance + 1e-3) * gain + shift, axis=1)
    np.testing.assert_allclose(part.assignment, expected, atol=1e-5)


def test_the_rollout_of_a_transformer_multiplies_its_layers(batch, randomize):
    model = randomize(make("mean", encoder="transformer", layers=2))
    expected = np.full(LENGTH, 1 / LENGTH)
    for layer in ("2", "1"):
        reader = keras.Model(model.input, model.get_layer(f"encoder_normalization_{layer}").output)
        states = np.asarray(reader(batch))[0]
        query, query_bias, key, key_bias = numbers(model, f"encoder_{layer}")[:4]
        queries, keys = (np.einsum("ts,shd->htd", states, w) for w in (query, key))
        queries, keys = queries + query_bias[:, None], keys + key_bias[:, None]
        heads = softmax(queries @ keys.transpose(0, 2, 1) / np.sqrt(query.shape[2]), axis=-1)
        expected = expected @ (heads.mean(axis=0) + np.eye(LENGTH)) / 2
    found = FrameProbe(model).parts(batch).rollout
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(found[0]) > 1e-3 and found[2, 0] == pytest.approx(1)


def test_states_of_the_pooling_last_end_in_what_it_reads(batch, randomize):
    model = randomize(make("last", encoder="bi_lstm", layers=2))
    probe = FrameProbe(model)
    read, (kernel, bias) = probe.parts(batch), numbers(model, "scores")
    ends = np.concatenate([read.states[0, -1, :4], read.states[0, 0, 4:]])
    np.testing.assert_allclose(expit(ends @ kernel + bias), read.scores[0], atol=1e-6)
    assert (probe.kind, probe.maskable, read.weights) == ("none", False, None)
    with pytest.raises(UsageError, match="no frame can be masked"):
        probe.pooled_scores(read.states, batch["num_frames"])


def foreign(coding="float32"):
    """A model of Keras's own layers, whose modalities are a list."""
    inputs = [keras.Input((None, size), dtype=coding, name=name) for name, size in (("rgb", 4), ("audio", 3))]
    joined = keras.layers.Concatenate()([keras.ops.cast(each, "float32") for each in inputs])
    return keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(keras.layers.GRU(4)(joined)))


@pytest.mark.parametrize(
    "parts", [{"encoder": "bi_gru"}, {"classifier": "mixture_of_experts", "pooling": "last"}, None]
)
def test_gradients_are_finite_differences(parts, video, randomize, tmp_path):
    """Without a normalization, and with 0 for a missing value, the derivative is by the inputs."""
    floats = {"rgb": (4, "float"), "audio": (3, "float")}
    model = randomize(make(features=floats, normalization="none", **parts) if parts else foreign())
    model.save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    video = {"rgb": video["rgb"] / np.float32(200), "audio": video["audio"]}
    scorer = keras.Model(model.inputs, model.outputs[0])
    found = FrameProbe(model).explain(video, [1], method="gradient_input")
    names = [each.name for each in model.inputs if each.name in video]
    assert found.modalities == tuple(names)
    cases = [(t, place, factor) for t in range(LENGTH) for place in range(2) for factor in (1.01, 0.99)]
    rows = {name: np.repeat(each[None], len(cases), axis=0) for name, each in video.items()}
    rows["num_frames"] = np.full(len(cases), LENGTH, np.int32)
    for row, (t, place, factor) in enumerate(cases):
        rows[names[place]][row, t] *= factor
    logits = logit(np.asarray(scorer([rows[each.name] for each in model.inputs]))[:, 1])
    # One frame scaled up and down: the derivative by the factor is the sum of value times derivative.
    expected = (logits[::2] - logits[1::2]).reshape(LENGTH, 2) / 0.02
    np.testing.assert_allclose(found.values[:, :, 0], expected, atol=2e-4)
    assert np.abs(found.values).min() > 1e-4


COMPLETE = [
    {"normalization": "batch", "classifier": "mixture_of_experts", "encoder": "none", "features": TEXTS},
    {"pooling": "multi_head_attention", "copies": 2, "fusion_stage": "late", "encoder": "lstm"},
    {"pooling": "netvlad", "encoder": "transformer", "gate_pooled": "context", "normalization": "variance"},
]


@pytest.mark.parametrize("parts", COMPLETE)
def test_integrated_gradients_are_complete_and_occlusion_is_the_whole_models(
    parts, video, randomize, monkeypatch
):
    model, classes, names = randomize(make(**parts)), [2, 0], ("audio", "rgb")
    probe, silent = FrameProbe(model), {name: np.full_like(video[name], MISSING[name]) for name in MISSING}

    # Scored in one batch: the video, without features at all, and without those of each frame and of all frames.
    changed = [{}, silent]
    for name in names:
        for frames in (*range(LENGTH), slice(None)):
            changed.append({name: video[name].copy()})
            changed[-1][name][frames] = MISSING[name]
    rows = [as_batch(video | each) for each in changed]
    scores = scores_of(model, {name: np.concatenate([row[name] for row in rows]) for name in rows[0]})[
        :, classes
    ]
    full, baseline, without = scores[0], scores[1], scores[2:].reshape(2, LENGTH + 1, 2)

    found = probe.explain(video, classes, method="integrated_gradients")
    sums = found.values.sum(axis=(0, 1))
    assert found.modalities == names and found.values.shape == (LENGTH, 2, 2)
    np.testing.assert_allclose(sums - found.gap, logit(full) - logit(baseline), atol=1e-4)
    assert np.abs(found.gap).max() < 2e-3 < np.abs(sums).max()
    found = probe.explain(video, classes, method="occlusion").values
    np.testing.assert_allclose(found, full - without[:, :-1].transpose(1, 0, 2), atol=1e-6)
    monkeypatch.setattr(attention, "MAX_OCCLUSIONS", 1)
    found = probe.explain(video, classes, method="occlusion").values
    np.testing.assert_allclose(found, np.tile((full - without[:, -1]) / LENGTH, (LENGTH, 1, 1)), atol=1e-6)


def test_wrong_models_and_batches_are_refused(batch, video):
    by_video = build(features=FEATURES, level="video", num_classes=3, encoder="none")
    bytes_ = {name: np.full((LENGTH, size), 127, np.uint8) for name, size in (("rgb", 4), ("audio", 3))}
    probe = FrameProbe(foreign("uint8"))
    # Replaced by itself, a missing value changes nothing but the rounding of a batch of another size.
    np.testing.assert_allclose(probe.explain(bytes_, [0], method="occlusion").values, 0, atol=1e-6)
    uneven, occlusion = bytes_ | {"rgb": video["rgb"][:2]}, {"method": "occlusion"}
    cases = [
        ("need a model of one copy with pooling 'attention'", lambda: attention_weights(make("last"), batch)),
        (r"lacks audio, num_frames.*Received: rgb", lambda: attention_weights(make(), {"rgb": batch["rgb"]})),
        (r"from inputs \(batch, time, size\).*\(None, 4\)", lambda: FrameProbe(by_video)),
        ("no gradients", lambda: probe.explain(bytes_, [0], method="gradient_input")),
        ("explanation", lambda: probe.explain(bytes_, [0], method="saliency")),
        ("same number of frames", lambda: probe.explain(uneven, [0], **occlusion)),
    ]
    for message, call in cases:
        with pytest.raises(UsageError, match=message):
            call()
    empty = FrameProbe(make()).explain({k: v[:0] for k, v in video.items()}, [0], method="gradient_input")
    assert empty.values.shape == (0, 2, 1) and empty.gap.tolist() == [0]
