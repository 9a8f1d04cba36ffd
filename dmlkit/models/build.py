"""The road from features to scores, put together from the tables:

modalities (by name) → numbers → normalization → fusion → encoder → pooling → gate → classifier → gate → scores
"""

from __future__ import annotations

from collections.abc import Mapping

import keras

from dmlkit.errors import choose
from dmlkit.models.checks import check_by_frame, check_features, check_numbers, check_video_level
from dmlkit.models.classifiers import CLASSIFIERS, FRAME_CLASSIFIERS
from dmlkit.models.copies import joined
from dmlkit.models.encoders import ENCODERS, Encoded
from dmlkit.models.frames import LastFrame
from dmlkit.models.fusions import FUSIONS, MAPPING_STARTS
from dmlkit.models.gates import GATES
from dmlkit.models.inputs import NORMALIZATIONS, dropped, entries, numbers
from dmlkit.models.poolings import POOLINGS

LEVELS = ("video", "frame")
"""What a video's features are: one vector, or one for each frame."""

FUSION_STAGES = ("early", "late")
"""Where the modalities meet: before the encoder, or after an encoder for each."""

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""The dtype policies a model may be built under."""


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
    fusion_units: int | None = None,
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
        features: Modality → (size, coding), the coding "byte", "float" or "text". The modalities are put in the
            order of their names, so that the same data make the same model however they were listed.
        level: "frame" or "video".
        num_classes: How many classes there are.
        normalization: A name in `NORMALIZATIONS`, applied to each modality that is no text.
        input_dropout: Rate on the normalized features.
        text_units: Into how many numbers a text's tokens are embedded.
        fusion: A name in `FUSIONS`.
        fusion_stage: "early" fuses the features before one encoder, as the paper does; "late" gives each
            modality an encoder of its own and fuses their states frame by frame, before the pooling (with
            pooling "last": it fuses what each encoder knows at the end).
        fusion_units: Size of the shared space or of each projection; None takes `units`.
        alignment_weight: Weight λ of the projections' distance in the loss.
        mapping_initializer: A name in `MAPPING_STARTS`.
        encoder: A name in `ENCODERS`; at video level one of `VIDEO_ENCODERS`.
        units: Size of the encoder's layers (of each direction).
        layers: How many layers are stacked in the encoder.
        dropout: Rate between the encoder's layers, and before the classifier.
        pooling: A name in `POOLINGS`; at video level it must stay "last", there being nothing to pool.
        classifier: A name in `CLASSIFIERS`, or in `FRAME_CLASSIFIERS`; with one of these, which pool what they
            say of each frame, the pooling must stay "last", and the video be frames.
        mixtures: Experts a class, for the classifiers "mixture_of_experts" and "chaining".
        l2: Weight of the classifier's squared weights in the loss.
        attention_units: Size of the attention's u_t; None takes the states' size.
        heads: For the pooling "multi_head_attention".
        clusters: For the poolings over clusters.
        pooled_units: Size of a linear layer after the pooling, which makes little of much; None for none.
        gate_pooled, gate_scores: Names in `GATES`: after the pooling, after the classifier.
        copies: How many models, alike but for their random start and dropout, learn side by side; the scores are
            the mean of theirs (see `dmlkit.models.training_model`).
        precision: A name in `PRECISIONS`; None takes the policy that is set in Keras.

    Returns:
        A model that takes a dict: each modality by name, (batch, time, size) at frame level and (batch, size)
        at video level, uint8 for "byte" and float32 for "float"; (batch, size) float32 at both for "text"; at
        frame level also "num_frames" (batch,) int32. It gives the scores, (batch, num_classes) float32
        probabilities.

    Raises:
        UsageError: An unknown name, a number out of its range, or parts that do not go together.
    """
    parts = {
        "normalization": choose(NORMALIZATIONS, normalization, what="normalization"),
        "fusion": choose(FUSIONS, fusion, what="fusion"),
        "encoder": choose(ENCODERS, encoder, what="encoder"),
        "pooling": choose(POOLINGS, pooling, what="pooling"),
        "classifier": choose(CLASSIFIERS | FRAME_CLASSIFIERS, classifier, what="classifier"),
        "gate_pooled": choose(GATES, gate_pooled, what="gate"),
        "gate_scores": choose(GATES, gate_scores, what="gate"),
    }
    for choices, name, what in (
        (LEVELS, level, "level"),
        (FUSION_STAGES, fusion_stage, "fusion stage"),
        (MAPPING_STARTS, mapping_initializer, "mapping start"),
        (PRECISIONS, precision or PRECISIONS[0], "precision"),
    ):
        choose(dict.fromkeys(choices), name, what=what)
    check_features(features, level=level)
    check_numbers(
        {
            "num_classes": num_classes,
            "text_units": text_units,
            "units": units,
            "layers": layers,
            "mixtures": mixtures,
            "fusion_units": fusion_units,
            "attention_units": attention_units,
            "heads": heads,
            "clusters": clusters,
            "pooled_units": pooled_units,
            "copies": copies,
        },
        rates={"dropout": dropout, "input_dropout": input_dropout},
        weights={"alignment_weight": alignment_weight, "l2": l2},
    )
    if level == "video":
        check_video_level(encoder=encoder, pooling=pooling, classifier=classifier)
    by_frame = classifier in FRAME_CLASSIFIERS
    if by_frame:
        check_by_frame(classifier, pooling=pooling, gate_pooled=gate_pooled, pooled_units=pooled_units)

    def fuse(values, num_frames):
        return parts["fusion"](
            values,
            num_frames,
            units=fusion_units or units,
            mapping_initializer=mapping_initializer,
            alignment_weight=alignment_weight,
        )

    def encode(frames, num_frames, *, name):
        return parts["encoder"](frames, num_frames, units=units, layers=layers, dropout=dropout, name=name)

    def pool(encoded, num_frames):
        return parts["pooling"](
            encoded, num_frames, attention_units=attention_units, heads=heads, clusters=clusters
        )

    def encoded_and_pooled(values, num_frames):
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

    def one(name):
        inputs = entries(features, level=level)
        num_frames = inputs.get("num_frames")
        values = numbers(
            inputs,
            features,
            normalize=parts["normalization"],
            dropout=input_dropout,
            text_units=text_units,
        )
        pooled = encoded_and_pooled(values, num_frames)
        if pooled_units:
            pooled = keras.layers.Dense(pooled_units, name="pooled")(pooled)
        pooled = dropped(parts["gate_pooled"](pooled, name="pooled_gate"), dropout, name="dropout")
        of_frames = (num_frames,) if by_frame else ()
        scores = parts["classifier"](pooled, *of_frames, num_classes=num_classes, mixtures=mixtures, l2=l2)
        return keras.Model(inputs, parts["gate_scores"](scores, name="scores_gate"), name=name)

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision or policy)
    try:
        if copies == 1:
            return one("dmlkit")
        return joined([one(f"copy_{place}") for place in range(1, copies + 1)], name="dmlkit")
    finally:
        keras.config.set_dtype_policy(policy)
