"""A data set matched to a model's training data: codings converted, classes matched by name, the rest refused.

What a model was trained on is the `data` of its run's record: `level`; `features`, modality → `size`, `coding` and, but
for texts, `mean` and `deviation` of its values; `num_classes`; `class_names`, None where they are not known;
`fingerprint`, None where it is not known; `extractor`, the recipe of features that were extracted by dmlkit.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dmlkit.data.opening import Dataset, open_dataset
from dmlkit.data.parsing import FrameSampler, RecordParser, Video
from dmlkit.data.schema import DATASET_TOML, MOST_CLIPPED, TEXT, Feature, count_clipped, dequantize, quantize
from dmlkit.errors import DataError, UsageError, renamed, shorten

FAR_TOO_MANY = 0.1  # of the values read so far: the rest need not be read
# Values so many times wider or narrower, or means so many deviations apart, are of another scale.
WIDER, APART = 4, 3
TRAIN = "or train a run on these data"
# Settings of an extractor that may differ: values are converted, and a projection has a digest.
CONVERTED = ("coding", "projection")


@dataclass(eq=False)
class Match:
    """How a data set is read for one model. Made by `match`.

    Attributes:
        model, data: What messages call the two.
        codings: Modality → the coding to which its values are converted, where the model reads another one.
        columns: The model's classes in the data set's order; None where they are the same.
        notes: What is converted, matched or left aside, one sentence each.
        scales: Modality → mean and standard deviation of its values in training, where they are known.
        values, clipped: Modality → its values that were converted to bytes, and those of them that were clipped.
        odd: A sentence for each modality of another scale in the first batch; None before it.
    """

    model: str
    data: str
    codings: dict[str, str]
    columns: list[int] | None
    notes: tuple[str, ...]
    scales: Mapping[str, tuple[float, float]]
    values: Counter = field(default_factory=Counter, init=False)
    clipped: Counter = field(default_factory=Counter, init=False)
    odd: list[str] | None = field(default=None, init=False)

    def inputs(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A batch of `Dataset.batches` in the codings that the model reads; counts the values that are clipped."""
        if self.odd is None:
            self.odd = [note for name in self.scales if (note := self._other_scale(name, batch))]
        converted = {}
        for name, coding in self.codings.items():
            values = batch[name]
            if coding == "byte":
                frames = batch["num_frames"].sum() if values.ndim == 3 else len(values)
                self.values[name] += int(frames) * values.shape[-1]
                self.clipped[name] += count_clipped(values)
            converted[name] = quantize(values) if coding == "byte" else dequantize(values)
        self.check_values(FAR_TOO_MANY)
        return {**batch, **converted}

    def _other_scale(self, name: str, batch: Mapping[str, np.ndarray]) -> str | None:
        (middle, width), (mean, deviation) = self.scales[name], scale_of(batch, name)
        if max(width, deviation) <= WIDER * min(width, deviation) and abs(mean - middle) <= APART * width:
            return None
        return (
            f"{self.data}, {name}: values {mean:.3g} ± {deviation:.3g} (mean and standard deviation of a sample), but "
            f"{middle:.3g} ± {width:.3g} where {self.model} was trained. If they are scaled or normalized otherwise, "
            "its scores mean nothing: import them as those were."
        )

    def scores(self, scores: np.ndarray) -> np.ndarray:
        """The model's scores (videos, its classes) as (videos, the data set's classes)."""
        return scores if self.columns is None else scores[:, self.columns]

    def check_values(self, most: float = MOST_CLIPPED) -> list[str]:
        """A sentence for each modality of another scale or with clipped values; `DataError` if many were clipped."""
        notes = [*(self.odd or ())]
        for name, clipped in (+self.clipped).items():
            share = clipped / (count := self.values[name])
            note = f"{name}: {clipped:,} of {count:,} values ({share:.3%}) were clipped to [-2, 2], to read them as "
            if share > most:
                raise DataError(
                    f"{self.data}, {note}the bytes that {self.model} was trained on. Likely causes: bytes from 0 to "
                    "255 held as floats (import them as uint8), or features scaled otherwise. Import them as those it "
                    f"was trained on, {TRAIN}."
                )
            notes.append(f"{note}bytes, as in training.")
        return notes


class OneBatch:
    """Arrays as `Dataset.batches` gives them, in place of a data set that is scored. Other entries are ignored.

    Its classes are those of the run whose record has `trained_on`. Raises `UsageError` where an array that the run
    reads is not as it must be.
    """

    path = name = "the batch"
    labelled = frozenset()

    def __init__(self, batch: Mapping[str, np.ndarray], trained_on: Mapping):
        if not isinstance(batch, Mapping):
            raise UsageError("A batch is a dict of arrays, as of `Dataset.batches`; name data by `data=`.")
        self.num_classes, self.fingerprint = trained_on["num_classes"], trained_on["fingerprint"]
        self.class_names, self.named = trained_on["class_names"], trained_on["class_names"] is not None
        self.extractor = trained_on.get("extractor")
        self.level, self.features = "frame" if "num_frames" in batch else "video", {}
        self._arrays = {name: np.asarray(batch[name]) for name in trained_on["features"] if name in batch}
        videos = max((len(each) for each in self._arrays.values() if each.ndim), default=0)
        self._lengths = np.asarray(batch.get("num_frames", np.zeros(videos, int)))
        self._ids = np.asarray(batch.get("id", range(videos))).astype(np.str_)
        counted = self._lengths.shape == self._ids.shape == (videos,) and self._lengths.dtype.kind in "iu"
        for name, array in self._arrays.items():
            is_byte, is_text = array.dtype == np.uint8, trained_on["features"][name]["coding"] == TEXT
            in_frames = self.level == "frame" and not is_text
            fits = counted and array.ndim == 2 + in_frames and len(array) == videos > 0
            if fits and in_frames:
                fits = self._lengths.min() >= 1 and self._lengths.max() <= array.shape[1]
            if not fits or not (is_byte or (array.dtype.kind == "f" and np.isfinite(array).all())):
                raise UsageError(
                    f"The batch's {name!r} must be uint8 or finite floats of shape (videos, values), or, with "
                    "`num_frames` from 1 to T, (videos, T, values); all arrays hold the same number of videos, at "
                    f"least 1. Received: {array.dtype} of shape {array.shape}. `Dataset.batches` gives such arrays."
                )
            coding = TEXT if is_text else "byte" if is_byte else "float"
            self.features[name] = Feature(name, array.shape[-1], coding, name)

    def batches(self, split: str, *, frame_choice: str, max_frames: int | None, **_) -> Iterator[dict]:
        """The videos as one batch; of those that are longer, the frames that stay."""
        sampler, videos = FrameSampler(frame_choice, max_frames), []
        for row, (name, length) in enumerate(zip(self._ids.tolist(), self._lengths.tolist(), strict=True)):
            kept = np.arange(length)[sampler.select(length, name)]
            arrays = self._arrays.items()
            values = {key: each[row][kept] if each.ndim == 3 else each[row] for key, each in arrays}
            videos.append(Video(name, [], len(kept), values))
        parser = RecordParser(self.level, tuple(self.features.values()), self.num_classes, labelled=False)
        yield parser.stack(videos)


def scale_of(batch: Mapping[str, np.ndarray], name: str) -> tuple[float, float]:
    """Mean and standard deviation of a modality's values in a batch, of every tenth frame."""
    values = batch[name]
    if values.ndim == 3:
        places = np.arange(0, values.shape[1], 10)
        values = values[:, places][places < batch["num_frames"][:, None]]
    values = dequantize(values) if values.dtype == np.uint8 else values
    return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))


def open_for(
    data: str | os.PathLike | Dataset | OneBatch,
    models: Iterable[tuple[object, Mapping]],
    *,
    unit: str = "video",
) -> tuple[Dataset, list[Match]]:
    """Open data for models, given as their names and what each was trained on, and match them.

    `unit` is how a path is opened. Data without labels and class names take those of the first model. Raises
    `UsageError` as `match` does.
    """
    models = [(str(model), trained_on) for model, trained_on in models]
    first, trained_on = models[0]
    dataset, names, notes = data, trained_on["class_names"], ()
    if isinstance(data, str | os.PathLike):
        dataset = open_dataset(data, num_classes=trained_on["num_classes"], unit=unit)
    if names and not (dataset.named or dataset.labelled) and dataset.num_classes == len(names):
        dataset = replace(dataset, class_names=tuple(names), named=True)
        notes = (f"{dataset.name} has neither labels nor class names: they are those of {first}.",)
    matches = [match(dataset, trained_on, model=model) for model, trained_on in models]
    return dataset, [replace(each, notes=notes + each.notes) for each in matches]


def match(dataset: Dataset, trained_on: Mapping, *, model: object) -> Match:
    """How a data set is read for a model, given the model's training data.

    Bytes become the values they stand for, exactly; floats become bytes by the model's own coding, `quantize`; a
    modality that the model does not read is left aside. Where both name their classes, these are matched by name: the
    data set's may be a part of the model's, in any order.

    Raises:
        UsageError: The level, a modality, its size, or a class is not one the model knows, or the features are those
            of another extractor; names what differs.
    """
    model = str(model)
    does_not_fit = f"{model} does not fit {dataset.name}"
    if dataset.level != (level := trained_on["level"]):
        what = f"it was trained on {level}-level records, and these are {dataset.level}-level"
        raise UsageError(f"{does_not_fit}: {what}. Open the {level}-level records of these videos, {TRAIN}.")
    reads = {name: (each["size"], each["coding"]) for name, each in trained_on["features"].items()}
    holds = {name: (each.size, each.coding) for name, each in dataset.features.items()}
    if any(
        name not in holds or size != holds[name][0] or (coding == TEXT) != (holds[name][1] == TEXT)
        for name, (size, coding) in reads.items()
    ):
        listed = [", ".join(f"{k} ({v[0]:,} values, {v[1]})" for k, v in e.items()) for e in (reads, holds)]
        advice = "Import these videos with the features it was trained on, under the same names"
        what = f"{does_not_fit}: it reads the modalities {listed[0]}, and the data hold {listed[1]}"
        raise UsageError(f"{what}. {advice} (`dmlkit data import`), {TRAIN}.")
    codings = {name: coding for name, (_, coding) in reads.items() if coding != holds[name][1]}
    notes = [f"{k} is held as {holds[k][1]} and read as {v}, as in training." for k, v in codings.items()]
    if aside := [name for name in holds if name not in reads]:
        notes.append(f"{', '.join(aside)}: left aside, as in training.")
    notes += _match_extractors(dataset, trained_on, model)
    columns, more = _match_classes(dataset, trained_on, model)
    scales = {k: (v["mean"], v["deviation"]) for k, v in trained_on["features"].items() if "mean" in v}
    return Match(model, dataset.name, codings, columns, (*notes, *more), scales)


def _match_extractors(dataset: Dataset, trained_on: Mapping, model: str) -> list[str]:
    """Refuse features that were extracted in another way than the model's; a note where that cannot be known."""
    own, given = trained_on.get("extractor"), dataset.extractor
    for name in {**own, **given} if own and given else ():
        pair = [each.get(name, "none") for each in (given, own)]
        # Files are told apart by their digests, wherever they are.
        held, read = (each.rpartition("/")[2] if isinstance(each, str) else each for each in pair)
        if name not in CONVERTED and held != read:
            raise UsageError(
                f"{model} does not fit {dataset.name}: these features were extracted with {name} {shorten(held)}, and "
                f"those it was trained on with {name} {shorten(read)}. Extract the videos again as those were (`dmlkit "
                f"data extract --like RUN`), {TRAIN}."
            )
    unknown = (
        f"{dataset.name} does not state how its features were extracted. They are taken to be as {model}'s."
    )
    return [unknown] if own and not given else []


def _match_classes(dataset: Dataset, trained_on: Mapping, model: str) -> tuple[list[int] | None, list[str]]:
    """The model's class for each of the data set's (None: the same), and notes."""
    names, known = dataset.class_names if dataset.named else None, trained_on["class_names"]
    other = f"{model} was trained on other classes than {dataset.name} has"
    same_records = dataset.fingerprint == trained_on["fingerprint"]
    if names is None or known is None:
        if dataset.num_classes != trained_on["num_classes"]:
            raise UsageError(
                f"{other}: {trained_on['num_classes']:,}, and here {dataset.num_classes:,}. If they are the same, put "
                f"the vocabulary it was trained with into {dataset.path}, or num_classes into its {DATASET_TOML}; else "
                f"number them as that run does (`dmlkit data import --classes RUN`), {TRAIN}."
            )
        unknown = " and ".join(who for who, has in ((dataset.name, names), (model, known)) if has is None)
        guess = f"Classes are taken to be the same by their numbers, as no names are known of {unknown}."
        return None, [] if same_records else [guess]
    if not (difference := renamed(known, names)):
        return None, []
    if same_records:
        advice = f"The vocabulary of {dataset.path} was changed since. Restore it, {TRAIN}."
        raise UsageError(f"{other}: on the same records, {difference}. {advice}")
    known, names = ([unicodedata.normalize("NFC", each) for each in listed] for listed in (known, names))
    # A name that several classes have, or that replaces a missing one, does not identify a class.
    unclear = {name for listed in (known, names) for name, count in Counter(listed).items() if count > 1}
    unclear |= {*filter(re.compile(r"class \d+").fullmatch, known)}
    places = {name: place for place, name in enumerate(known) if name not in unclear}
    if unknown := [f"{shorten(name)!r} (class {n})" for n, name in enumerate(names) if name not in places]:
        more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
        raise UsageError(
            f"{other}: its classes include none or several named {', '.join(unknown[:3])}{more}. If a class has "
            f"another name there, correct the vocabulary of {dataset.path}; else import videos of the run's classes "
            f"alone (`dmlkit data import --classes RUN`), {TRAIN}."
        )
    columns = [places[name] for name in names]
    order = "" if columns == sorted(columns) else ", in another order"
    found = f"{len(columns):,} of the {len(known):,} of the training{order}"
    return columns, [f"Classes are matched by name: {found}."]
