"""What a run said of each video: ids, true labels and scores, kept so that no model is needed again.

Scores are held at half precision everywhere they are measured, so that a run, an ensemble of it and a
comparison with it speak of the same numbers.

    stored       `Predictions`, on disk and in memory; some videos at a time where there are many
    gathering    batches and a model's scores → blocks of videos → predictions
    sparse       labels and scores of which few are not 0
"""

from dmlkit.predictions.gathering import gather, put_together, score_batches
from dmlkit.predictions.stored import Block, Predictions

__all__ = ["Block", "Predictions", "gather", "put_together", "score_batches"]
