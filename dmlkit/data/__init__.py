"""Shards in, batches out: what a data set is, and how its videos reach a model.

`open_dataset` reads a folder's description or works it out of the records; `Dataset.batches` hands out
padded numpy batches or a `tf.data.Dataset`. TensorFlow is loaded for the latter, and for remote folders.

    layout, vocabulary, splits, declaration    what is in the folder  →  schema.Dataset
    shards                                     files: list, count, peek
    framing                                    TFRecord: a file       →  records, faults and all
    wire, messages                             protobuf, by hand and by its library
    frames, videos, labels, texts              records                →  arrays of a batch
    frame_choice                               which frames of a video
    order                                      shards side by side, shuffling
    batches                                    all of it together, and the way into `fit`
    faults, skipping                           what can be wrong with a record, and what happens then
    single                                     one video by its place
    aligned, memory                            arrays that are taken over uncopied, memory that stays
    coding, records                            bytes and floats; writing shards
    downloading                                YouTube-8M from a server
    importing                                  features computed elsewhere → shards
    checking                                   every record looked at: faults, counts
    synthetic, synthetic_*, oracle             the generated data set, and who knows all of it
"""

from __future__ import annotations

import importlib

from dmlkit.runtime import quiet_startup

# Name → module, and the name there where it is (still) another one.
_HOMES = {
    "Batches": "batches",
    "DEMO_FRAMES": "synthetic_kinds",
    "DEMO_SIZES": "synthetic_kinds",
    "Dataset": "schema",
    "FRAME_CHOICES": "frame_choice",
    "FULL_FRAMES": "synthetic_kinds",
    "FULL_SIZES": "synthetic_kinds",
    "Feature": "schema",
    "KINDS": "synthetic_kinds",
    "Oracle": "oracle",
    "RAISE": "skipping",
    "Skipped": "skipping",
    "SyntheticSettings": "synthetic_settings.Settings",
    "VideoReader": "single.Places",
    "as_dataset": "opening",
    "check": "checking",
    "count_places": "shards",
    "count_records": "shards",
    "dequantize": "coding",
    "download": "downloading",
    "frame_seed": "frame_choice.seed_of",
    "import_features": "importing.making",
    "limit_shards": "batches.capped",
    "open_dataset": "opening",
    "open_or_generate": "generated",
    "quantize": "coding",
    "read_contexts": "contexts",
    "read_settings": "synthetic",
    "serialize_frames": "records",
    "serialize_video": "records",
    "synthesize": "synthetic",
    "with_tuning": "joining",
    "write_dataset_toml": "declaration",
    "write_shard": "records",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with quiet_startup():
        module, _, attribute = _HOMES[name].partition(".")
        if module == "importing":
            module, attribute = _HOMES[name], ""
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
