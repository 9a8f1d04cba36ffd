"""The training and the tuning part as one, for what is trained once more when the tuning part has had its say."""

from __future__ import annotations

from dataclasses import replace

from dmlkit.data.schema import Dataset


def with_tuning(dataset: Dataset) -> Dataset:
    """The same data, of which the training part holds the tuning part too, and no tuning part is left.

    Its shards come first, so that a cap on the training videos leaves none of them out.
    """
    parts = ("tuning", "train")
    counts = {shard: count for part in parts for shard, count in dataset.counted(part).items()}
    splits = {name: shards for name, shards in dataset.splits.items() if name not in parts}
    return replace(
        dataset,
        splits={"train": sum((dataset.splits[part] for part in parts), ()), **splits},
        labelled=dataset.labelled - {"tuning"},
        # What holds of all shards of a part but its last holds of none of the two together.
        records_per_shard=None,
        counts=dataset.counts | counts,
    )
