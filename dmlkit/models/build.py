"""A model from plain values, put together from the tables of this package:

modalities (by name) → inputs → normalization → fusion → encoder → pooling → gate → classifier → gate → scores
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import keras

from dmlkit.errors import DataError, UsageError, choose
from dmlkit.models.classifiers import CLASSIFIERS, FRAME_CLASSIFIERS, GATES, LastStage
from dmlkit.models.encoders import ENCODERS, VIDEO_ENCODERS, Encoded
from dmlkit.models.fusions import FUSIONS, MAPPING_INITIALIZERS
from dmlkit.models.inputs import (
    CODINGS,
    NORMALIZATIONS,
    TEXT,
    LastFrame,
    dropout_layer,
    model_inputs,
    normalized,
)
from dmlkit.models.poolings import POOLINGS
from dmlkit.runtime import check_keras

LEVELS = ("video", "frame")  # a video's features are one vector, or one for each frame
FUSION_STAGES = ("early", "late")  # the modalities meet before the encoder, or after an encoder for each
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")  # dtype policies

RESERVED = (
    *("num_frames", "id", "labels", "attention", "scores", "fusion", "mean", "last", "gates", "experts"),
    *("heads", "clusters", "frame_logits", "frame_attention", "copies", "side_by_side", "pooled", "stages"),
    *("chained", "chained_projection", "chained_length", "feature_attention", "feature_logits"),
    *(f"{stage}_{layer}" for stage in ("first", "second") for layer in ("gates", "experts", "scores")),
)
"""Names a modality cannot have: they are a batch's other entries, or layers."""


def build(
    *,
    features: Mapping[str, tuple[int, str]],
    level: str,
    num_classes: int,
    normalization: str = "layer",
    input_dropout: float = 0.0,
    text_units: int = 64,
    fusion: str = "concat",
    fusion_stage: str = "early",
    alignment_weight: float = 1.0,
    mapping_initializer: str = "normal",
    encoder: str = "bi_gru",
    units: int = 64,
    layers: int = 2,
    dropout: float = 0.0,
    pooling: str = "last",
    classifier: str = "logistic",
    mixtures: int = 2,
    l2: float = 1e-8,
    attention_units: int | None = None,
    heads: int = 4,
    clusters: int = 32,
    pooled_units: int | None = None,
    gate_pooled: str = "none",
    gate_scores: str = "none",
    copies: int = 1,
    precision: str | None = None,
) -> keras.Model:
    """Build a model of the ladder.

    Args:
        features: Modality → (size, coding), the coding "byte", "float" or "text"; put in the order of their names.
        level: "frame" or "video".
        normalization: A name in `NORMALIZATIONS`, applied to each modality that is no text.
        input_dropout: Rate on the normalized features.
        text_units: Size of a text's embedding.
        fusion: A name in `FUSIONS`.
        fusion_stage: "early" fuses the features before one encoder, as the paper does; "late" gives each
            modality an encoder of its own and fuses their states frame by frame, before the pooling (with
            pooling "last": it fuses each encoder's last state).
        alignment_weight: Weight λ of the projections' distance in the loss.
        mapping_initializer: A name in `MAPPING_INITIALIZERS`.
        encoder: A name in `ENCODERS`; at video level one of `VIDEO_ENCODERS`.
        units, layers: Size of the encoder's layers (of each direction) and of the fusion's mapping; layers stacked.
        dropout: Rate between the encoder's layers, and before the classifier.
        pooling: A name in `POOLINGS`; at video level it must stay "last", there being nothing to pool.
        classifier: A name in `CLASSIFIERS`, or in `FRAME_CLASSIFIERS`; with one of these, which pool their
            scores of the frames, the pooling must stay "last", and the level be "frame".
        mixtures: Experts a class, for the classifiers "mixture_of_experts" and "chaining".
        l2: Weight of the classifier's squared weights in the loss.
        attention_units: Size of the attention's u_t; None takes the states' size.
        heads, clusters: For the pooling "multi_head_attention", and for those over clusters.
        pooled_units: Size of a linear layer after the pooling, to reduce a wide one; None for none.
        gate_pooled, gate_scores: Names in `GATES`: after the pooling, after the classifier.
        copies: How many models, with random initializations and dropout of their own, are trained together; the
            scores are the mean of theirs (see `training_model`).
        precision: A name in `PRECISIONS`; None takes the policy that is set in Keras.

    Returns:
        A model that takes a dict: each modality by name, (batch, time, size) at frame level and (batch, size)
        at video level, uint8 for "byte" and float32 for "float"; (batch, size) float32 at both for "text"; at
        frame level also "num_frames" (batch,) int32. It gives the scores, (batch, num_classes) float32
        probabilities.

    Raises:
        UsageError: An unknown name, a number out of its range, or parts that do not go together.
    """
    normalize = choose(NORMALIZATIONS, normalization, what="normalization")
    fuse_by = choose(FUSIONS, fusion, what="fusion")
    encode_by = choose(ENCODERS, encoder, what="encoder")
    pool_by = choose(POOLINGS, pooling, what="pooling")
    classify = choose(CLASSIFIERS | FRAME_CLASSIFIERS, classifier, what="classifier")
    pooled_gate = choose(GATES, gate_pooled, what="gate")
    scores_gate = choose(GATES, gate_scores, what="gate")
    choose(MAPPING_INITIALIZERS, mapping_initializer, what="mapping initializer")
    choose(dict.fromkeys(LEVELS), level, what="level")
    choose(dict.fromkeys(FUSION_STAGES), fusion_stage, what="fusion stage")
    policy = keras.config.dtype_policy()
    choose(dict.fromkeys(PRECISIONS), precision or policy.name, what="precision")
    check_keras()
    _check_features(features, level=level)
    sizes = {"attention_units": attention_units, "pooled_units": pooled_units, "text_units": text_units}
    _check_counts(num_classes=num_classes, units=units, layers=layers, copies=copies, **sizes)
    _check_counts(heads=heads, mixtures=mixtures, clusters=clusters)
    for name, rate in {"dropout": dropout, "input_dropout": input_dropout}.items():
        if not 0 <= rate < 1:
            raise UsageError(f"Expected a rate of at least 0 and below 1. Received: {name}={rate!r}.")
    for name, weight in {"alignment_weight": alignment_weight, "l2": l2}.items():
        if not weight >= 0:
            raise UsageError(f"Expected a weight of at least 0. Received: {name}={weight!r}.")
    by_video = ("encoder", encoder, VIDEO_ENCODERS), ("pooling", pooling, ("last",))
    for part, name, choices in (*by_video, ("classifier", classifier, CLASSIFIERS)):
        if level == "video" and name not in choices:
            raise UsageError(
                f"The {part} {name!r} needs frames, and at video level there are none. Use one of "
                f"{', '.join(choices)}, or a frame-level data set."
            )
    by_frame = classifier in FRAME_CLASSIFIERS
    if by_frame and (pooling, gate_pooled, pooled_units) != ("last", "none", None):
        raise UsageError(
            f"The classifier {classifier!r} scores each frame and pools the scores, so pooling must stay 'last', "
            f"gate_pooled 'none' and pooled_units None. Received: {pooling=}, {gate_pooled=}, {pooled_units=}."
        )

    mapping = {"mapping_initializer": mapping_initializer, "alignment_weight": alignment_weight}
    fuse = partial(fuse_by, units=units, **mapping)
    encode = partial(encode_by, units=units, layers=layers, dropout=dropout)
    pool = partial(pool_by, attention_units=attention_units, heads=heads, clusters=clusters)

    def encode_and_pool(values, num_frames):
        if fusion_stage == "early":
            encoded = encode(fuse(values, num_frames), num_frames, name="encoder")
            return encoded.states if by_frame else pool(encoded, num_frames)
        encoded = {name: encode(value, num_frames, name=f"encoder_{name}") for name, value in values.items()}
        if pooling == "last" and not by_frame:
            # The two directions end at different frames, so no one fused frame holds both ends.
            return fuse({name: each.last for name, each in encoded.items()}, None)
        states = fuse({name: each.states for name, each in encoded.items()}, num_frames)
        if by_frame:
            return states
        return pool(Encoded(states, LastFrame(name="last")(states, num_frames)), num_frames)

    def one_model(name):
        inputs = model_inputs(features, level=level)
        num_frames = inputs.get("num_frames")
        settings = {"normalize": normalize, "dropout_rate": input_dropout, "text_units": text_units}
        pooled = encode_and_pool(normalized(inputs, features, **settings), num_frames)
        if pooled_units:
            pooled = keras.layers.Dense(pooled_units, name="pooled")(pooled)
        pooled = dropout_layer(pooled_gate(pooled, name="pooled_gate"), dropout, name="dropout")
        frames = (num_frames,) if by_frame else ()
        scores = classify(pooled, *frames, num_classes=num_classes, mixtures=mixtures, l2=l2)
        return keras.Model(inputs, scores_gate(scores, name="scores_gate"), name=name)

    keras.config.set_dtype_policy(precision or policy)
    try:
        if copies == 1:
            return one_model("dmlkit")
        models, inputs = (
            [one_model(f"copy_{i}") for i in range(1, copies + 1)],
            model_inputs(features, level=level),
        )
        scores = keras.layers.Average(dtype="float32", name="copies")([copy(inputs) for copy in models])
        return keras.Model(inputs, scores, name="dmlkit")
    finally:
        keras.config.set_dtype_policy(policy)


def _check_features(features, *, level):
    if not features:
        raise UsageError("A model needs at least one modality. Received: features={}.")
    if level == "frame" and all(coding == TEXT for _, coding in features.values()):
        raise UsageError(
            "A frame-level model needs a modality that has frames, and a text is one vector a video. Received: "
            f"{', '.join(features)}. Use a video-level data set."
        )
    for name, (size, coding) in features.items():
        choose(dict.fromkeys(CODINGS), coding, what=f"coding of the modality '{name}'")
        if not name.isidentifier() or name in RESERVED:
            raise UsageError(
                f"The modality {name!r} cannot be the name of a model's input: it must be letters, digits and "
                f"underscores, and none of {', '.join(RESERVED)}. Rename it in the data set."
            )
        _check_counts(**{f"size of the modality '{name}'": size})


def _check_counts(**counts):
    for name, count in counts.items():
        if count is not None and (count != int(count) or count < 1):
            raise UsageError(f"Expected a whole number of at least 1. Received: {name}={count!r}.")


def copies_of(model: keras.Model) -> list:
    """The scores of each copy that a model of `build` is the mean of; its own where it has no copies."""
    return next((layer.input for layer in model.layers if layer.name == "copies"), [model.output])


def training_model(model: keras.Model) -> keras.Model:
    """A model of `build` as it is trained, with the scores of every copy and stage, each to follow the labels.

    The model itself where it has neither copies nor stages (`chaining`), else one of the same weights whose scores
    are (batch, copies * stages, classes).
    """
    scores = []
    for output in copies_of(model):
        copy = model if output is model.output else output._keras_history.operation
        first_stages = [layer.input[0] for layer in copy.layers if isinstance(layer, LastStage)]
        if first_stages and copy is not model:
            scores += keras.Model(copy.input, [*first_stages, copy.output])(model.input)
        else:
            scores += [*first_stages, output]
    if len(scores) == 1:
        return model
    rows = [keras.layers.Reshape((1, each.shape[-1]), dtype="float32")(each) for each in scores]
    stacked = keras.layers.Concatenate(axis=1, dtype="float32", name="side_by_side")(rows)
    return keras.Model(model.input, stacked, name=f"{model.name}_training")


def load_model(path: str | Path) -> keras.Model:
    """Load a `.keras` file that `model.save` wrote, in Keras's safe mode, which runs no code of the file.

    The model is not compiled. A `DataError` is raised where there is no such file, or it cannot be read as a model.
    """
    check_keras()
    if not os.access(path, os.R_OK):
        raise DataError(f"There is no model at {path} that can be read. A finished run's folder holds one.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, h5py and zipfile each raise their own
        raise DataError(
            f"{path} cannot be read as a model ({type(error).__name__}: {str(error).splitlines()[0]}). "
            f"The file may be damaged, written by another version, or hold a layer of a plugin that is not loaded."
        ) from error
