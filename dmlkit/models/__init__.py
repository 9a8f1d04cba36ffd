"""Models: from a batch of features to scores, as one road out of six visible tables.

    modalities (by name) → numbers → normalization → fusion → encoder → pooling → gate → classifier → gate → scores
                           inputs    inputs          fusions  encoders  poolings  gates  classifiers  gates

`build` takes plain values and puts the road together; `frames` holds what is done about padding. A new fusion,
encoder, pooling or classifier is one function in its file and one line in the table at that file's end.
Only Keras is used, so that any of its backends can run the models: set KERAS_BACKEND to jax, torch or tensorflow
before Python starts (training itself, `dmlkit.training`, is on TensorFlow).
"""

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras  # noqa: F401

from dmlkit.models.attention import AttentionParts, AttentionProbe, attention_weights, with_attention
from dmlkit.models.build import build
from dmlkit.models.classifiers import CLASSIFIERS, FRAME_CLASSIFIERS
from dmlkit.models.copies import training_model
from dmlkit.models.encoders import ENCODERS, VIDEO_ENCODERS
from dmlkit.models.fusions import FUSIONS, MAPPING_STARTS
from dmlkit.models.gates import GATES
from dmlkit.models.inputs import NORMALIZATIONS
from dmlkit.models.loading import load_model
from dmlkit.models.losses import cross_entropy
from dmlkit.models.poolings import POOLINGS

__all__ = [
    "CLASSIFIERS",
    "ENCODERS",
    "FRAME_CLASSIFIERS",
    "FUSIONS",
    "GATES",
    "MAPPING_STARTS",
    "NORMALIZATIONS",
    "POOLINGS",
    "VIDEO_ENCODERS",
    "AttentionParts",
    "AttentionProbe",
    "attention_weights",
    "build",
    "cross_entropy",
    "load_model",
    "training_model",
    "with_attention",
]
