"""Shards in, batches out: what a data set is, and how its videos reach a model.

`open_dataset` reads a folder's description or infers it from the records; `Dataset.batches` hands out padded numpy
batches or a `tf.data.Dataset`. TensorFlow is loaded for the latter, and for remote folders. Top to bottom:

    opening                         a folder: its dataset.toml, its splits  →  a data set
    dataset                         the data set, and the ways to read it
    batches                         an epoch's order, corrupt records, balance, the way into `fit`
    parsing, protos                 records → arrays; their protobuf messages, by hand and by the library
    records                         shards (TFRecord) → records, damage and all; files, local and remote
    schema                          modalities and their coding, dataset.toml, vocabularies
    synthetic                       the generated data set
    download                        YouTube-8M from a server
    importing                       features computed elsewhere → shards
    check                           every record read: errors, counts
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "batches": ["RAISE", "Batches", "Skipped", "limit_shards"],
        "dataset": ["Dataset", "VideoReader", "read_contexts", "with_tuning"],
        "importing": ["import_features"],
        "opening": ["as_dataset", "open_dataset", "open_or_generate"],
        "parsing": ["FRAME_CHOICES", "frame_seed"],
        "protos": ["serialize_frames", "serialize_video"],
        "records": ["count_records", "write_shard"],
        "schema": ["Feature", "dequantize", "quantize", "write_dataset_toml"],
        "synthetic": [
            "DEMO_FRAMES",
            "DEMO_SIZES",
            "FULL_FRAMES",
            "FULL_SIZES",
            "KINDS",
            "SyntheticSettings",
            "read_settings",
            "synthesize",
        ],
    },
)
