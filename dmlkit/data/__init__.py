"""Shards in, batches out: what a data set is, and how its videos reach a model.

`open_dataset` reads a folder's description or infers it from the records; `Dataset.batches` returns padded numpy
batches or a `tf.data.Dataset`. TensorFlow is loaded for the latter, and for remote folders. Top to bottom:

    matching                        a data set for a model: codings converted, classes matched, or refused
    opening                         a folder: its dataset.toml, its splits → a data set, and the ways to read it
    batches                         an epoch's order, corrupt records, balance, the way into `fit`
    parsing                         records → arrays
    segments                        the ratings of five-second segments in a record
    layout                          what the first records show: ids, classes, modalities, level, release
    records                         shards (TFRecord) → records, damage and all; their messages
    schema                          modalities and their coding, dataset.toml, vocabularies
    storage                         files and folders, local and remote; shards by their names
    synthetic                       the generated data set
    download                        YouTube-8M from a server
    importing                       features computed elsewhere → shards
    import_readers                  their formats, labels and classes
    check                           every record read: errors, counts
"""

from dmlkit.data.batches import RAISE, Batches, Skipped, limit_shards
from dmlkit.data.importing import import_features
from dmlkit.data.matching import Match, OneBatch, match, open_for, scale_of
from dmlkit.data.opening import (
    Dataset,
    VideoReader,
    as_dataset,
    capped,
    open_dataset,
    open_or_generate,
    open_segments,
    read_contexts,
    read_rated,
    with_tuning,
)
from dmlkit.data.parsing import FRAME_CHOICES, frame_seed
from dmlkit.data.records import count_records, serialize_frames, serialize_video, write_shard
from dmlkit.data.schema import Feature, dequantize, quantize, write_dataset_toml
from dmlkit.data.segments import SEGMENT_SECONDS
from dmlkit.data.synthetic import (
    DEMO_FRAMES,
    DEMO_SIZES,
    FULL_FRAMES,
    FULL_SIZES,
    KINDS,
    SyntheticSettings,
    read_settings,
    synthesize,
)
