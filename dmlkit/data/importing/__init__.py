"""Your own features into shards in YouTube-8M's layout; `dmlkit data import --help` shows this text too.

What a source may be (several may be given; of a folder, every such file in it, down to 3 folders deep):

FILE.npz, one video: an array for each modality, (frames, size), or (size,) at video level. Beside them, where
there are any: `id` (else the file's name), `labels`, `split`.

FILE.npz, many videos: `ids` (N,). Each modality (frames of all videos, size) with `num_frames` (N,) or `offsets`
(N + 1,); or (N, frames, size), of which `num_frames` are kept; or (N, size) at video level. Where there are any:
`labels` (N,), or (N, classes) of 0 and 1, or all videos' one after another with `num_labels` (N,); `split` (N,).

FOLDER/<modality>/<id>.npy, (frames, size) or (size,); FOLDER/<id>.npy for one modality, called rgb or as
`--modalities` says.

FILE.parquet: columns `id`, `labels` (a list, or one), `split`, and one for each modality: a list of lists a video,
or a list at video level. One row group is in memory at a time. Damage is told for certain only where the table was
written with page checksums.

FILE.tfrecord, FILE.pb: SequenceExamples of MediaPipe's MediaSequence, many to a TFRecord or one to a file, as its
YouTube-8M graph leaves them. `RGB/feature/floats` is the modality rgb, `AUDIO/feature/floats` audio, and so on
(`.../context_feature/floats` at video level); the id is `example/id`, `clip/media_id`, or the name of the video
file in `clip/data_path`; the labels are `clip/label/index`, or `clip/label/string`.

Values: uint8 is taken for YouTube-8M's bytes and kept as it is; floats are coded as such bytes (values outside
[-2, 2] are clipped and counted), or kept with `--coding float`. Labels are numbers of classes, or names with
`--classes`. Pickles are never read.
"""
