"""Models: from a batch of features to scores, put together from visible tables.

    modalities (by name) → inputs → normalization → fusion → encoder → pooling → gate → classifier → gate → scores

`build` takes plain values and puts a model together; `inputs` holds what is done about padding. A new fusion,
encoder, pooling or classifier is one function in its file and one line in the table at that file's end.
Only `keras.ops` is used (and each backend's own gradients, in `attention`), so that any of Keras's backends can run the
models: set KERAS_BACKEND to jax, torch or tensorflow before Python starts (training itself, `dmlkit.training`, is on
TensorFlow). Keras infers the layers' output shapes and, from the arguments (the rest of which must be called `kwargs`),
their configs.
"""

from dmlkit.runtime import quiet_startup

with quiet_startup():
    import keras

from dmlkit.models.attention import FrameParts, FrameProbe, attention_weights
from dmlkit.models.build import FUSION_STAGES, PRECISIONS, build, copies_of, load_model, training_model
from dmlkit.models.classifiers import CLASSIFIERS, FRAME_CLASSIFIERS, GATES, cross_entropy
from dmlkit.models.encoders import ENCODERS, VIDEO_ENCODERS, KernelFeatures
from dmlkit.models.fusions import FUSIONS, MAPPING_INITIALIZERS
from dmlkit.models.inputs import NORMALIZATIONS, check_codings, frame_mask
from dmlkit.models.poolings import POOLINGS
from dmlkit.plugins import load_plugins, make_extensible

make_extensible("fusion", FUSIONS)
make_extensible("encoder", ENCODERS)
make_extensible("pooling", POOLINGS)
make_extensible("classifier", CLASSIFIERS)
make_extensible("frame classifier", FRAME_CLASSIFIERS)
load_plugins()
