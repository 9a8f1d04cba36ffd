"""Shards in, batches out: what a data set is, and how its videos reach a model."""
