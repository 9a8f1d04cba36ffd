"""One video or audio file as a data set of one video, extracted as a run's training data were."""
