"""The paper's three fusions of the modalities, frame by frame (or on the video's features).

A fusion is a function of (features, num_frames, *, units, mapping_initializer, alignment_weight) that returns one
tensor, (batch, [time,] size):

    features             dict, modality → (batch, time, size_i), or (batch, size_i) at video level
    num_frames           (batch,) valid frames, None at video level
    units                size of the shared space, or of each modality's projection
    mapping_initializer  of the mapping matrices W_i, a name in `MAPPING_INITIALIZERS`
    alignment_weight     weight λ of the projections' distance in the loss
"""

from itertools import combinations

import keras
from keras import ops

from dmlkit.errors import UsageError
from dmlkit.models.inputs import frame_mask

MAPPING_INITIALIZERS = {
    "normal": lambda: keras.initializers.RandomNormal(mean=0.0, stddev=0.01),
    "glorot": lambda: keras.initializers.GlorotNormal(),
}
"""Name → function that gives a fresh initializer (one instance gives the same numbers each time it is used).

Paper: §Fusion, "normal" is its N(0, 0.01). Differs from the paper: "glorot" scales with the layer's size.
"""


@keras.saving.register_keras_serializable(package="dmlkit")
class Alignment(keras.layers.Layer):
    """Concatenates n projections (batch, [time,] units), and adds the L2 alignment loss: how far apart they lie.

    The loss is weight · (mean over valid frames of the batch) Σ_{i<j} ‖z_i - z_j‖²; at video level the mean
    is over the videos.

    Paper: §Fusion, f(x_1) ~ g(x_2).
    """

    def __init__(self, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight

    def call(self, projections, num_frames=None):
        # In float32: a sum over thousands of frames exceeds the precision of 16 bits.
        pairs = combinations([ops.cast(projection, "float32") for projection in projections], 2)
        distance = sum(ops.sum(ops.square(first - second), axis=-1) for first, second in pairs)
        if num_frames is None:
            mean = ops.mean(distance)
        else:
            mask = frame_mask(distance, num_frames)
            count = ops.sum(ops.cast(mask, "float32"))
            mean = ops.sum(ops.where(mask, distance, 0.0)) / ops.maximum(count, 1.0)
        self.add_loss(self.weight * mean)
        return ops.concatenate(projections, axis=-1)

    def compute_output_shape(self, projections_shape, num_frames_shape=None):
        return (*projections_shape[0][:-1], sum(shape[-1] for shape in projections_shape))


def concat(features, num_frames, *, units, mapping_initializer, alignment_weight):
    """The features concatenated: [x_1; ...; x_n]. A single modality is itself.

    Paper: §Fusion, x_m = [x_1; x_2; ...; x_n].
    """
    return _joined(features)


def _joined(features):
    values = list(features.values())
    return values[0] if len(values) == 1 else keras.layers.Concatenate(name="fusion")(values)


def shared_space(features, num_frames, *, units, mapping_initializer, alignment_weight):
    """One joint space: tanh(Σ_i W_i x_i + b), (batch, [time,] units).

    Paper: §Fusion, x_m = f(x_1, ..., x_n). Differs from the paper: it leaves f open; tanh is this reading's.
    """
    # One matrix over the concatenated features is Σ_i W_i x_i; each W_i is its rows.
    settings = {"kernel_initializer": MAPPING_INITIALIZERS[mapping_initializer](), "activation": "tanh"}
    return keras.layers.Dense(units, name="fusion_shared_space", **settings)(_joined(features))


def projection(features, num_frames, *, units, mapping_initializer, alignment_weight):
    """Each modality mapped to `units` dimensions, z_i = W_i x_i + b_i, aligned by a loss, and concatenated.

    Paper: §Fusion, f(x_1) ~ g(x_2), close in L2 distance; over all pairs for more than two modalities.
    """
    if len(features) < 2:
        raise UsageError(
            f"The fusion 'projection' aligns modalities, so it needs at least two. Received: "
            f"{', '.join(features)}. Use the fusion 'concat' or 'shared_space' for a single modality."
        )
    initializer = MAPPING_INITIALIZERS[mapping_initializer]
    projections = [
        keras.layers.Dense(units, kernel_initializer=initializer(), name=f"fusion_projection_{name}")(feature)
        for name, feature in features.items()
    ]
    return Alignment(alignment_weight, name="fusion_alignment")(projections, num_frames)


FUSIONS = {"concat": concat, "shared_space": shared_space, "projection": projection}
"""Name → function as described at the head of this file."""
