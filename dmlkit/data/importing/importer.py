"""One video after another into records, and what was met on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dmlkit.data.importing.classes import Classes
from dmlkit.data.importing.coder import Coder
from dmlkit.data.importing.imported import Imported
from dmlkit.data.importing.label_table import LabelTable
from dmlkit.data.importing.parts import UNLABELLED, known, part_of
from dmlkit.data.importing.shards import ShardWriter
from dmlkit.data.schema import Feature, TEXT, TEXT_SIZE
from dmlkit.errors import DataError
from dmlkit.text import counted, shorten

# A share of clipped values from which bytes are the wrong coding.
MUCH = 0.01


@dataclass
class Importer:
    """Puts videos into shards.

    Attributes:
        coder: Makes arrays ready to be written.
        classes: Makes labels numbers.
        table: What a CSV says of the videos; None where there is none.
        shares: Part → share.
        writer: Takes the records.
        videos: Part → videos so far.
        labelled: The parts with labels.
        trained: Class → training videos that have it.
    """

    coder: Coder
    classes: Classes
    table: LabelTable | None
    shares: Mapping[str, float]
    writer: ShardWriter
    videos: Counter[str] = field(default_factory=Counter)
    labelled: set[str] = field(default_factory=set)
    trained: Counter[int] = field(default_factory=Counter)
    _ids: set[str] = field(default_factory=set)
    _aside: dict[str, None] = field(default_factory=dict)
    _unlabelled: int = 0
    _said: int = 0

    def add(self, video: Imported) -> None:
        """One video.

        Raises:
            DataError: It cannot be taken; names file and record.
        """
        from dmlkit.data.protos import serialize_frames, serialize_video

        where = f"{video.where}, {shorten(video.id)}"
        if video.id in self._ids:
            raise DataError(f"{where}: a video of this id came before. Give every video an id of its own.")
        self._ids.add(video.id)
        self._aside |= dict.fromkeys(video.left_aside)
        labels = self._labels(video, where)
        part = self._part(video, labels, where)
        arrays = self.coder.code(video)
        said = {"video_id": video.id, "labels": labels, "texts": self._texts(video, where)}
        if self.coder.level == "frame":
            record = serialize_frames(**said, frames=arrays)
        else:
            record = serialize_video(**said, features=arrays)
        self.writer.add(part, record)
        self.videos[part] += 1
        if labels:
            self.labelled.add(part)
        if part == "train":
            self.trained.update(labels)

    def features(self) -> dict[str, Feature]:
        """The modalities met, as dataset.toml has them."""
        features = self.coder.features()
        if self.table is not None and self.table.texts is not None:
            features[TEXT] = Feature(TEXT, TEXT_SIZE, TEXT, TEXT)
        return features

    def notes(self) -> tuple[str, ...]:
        """What was done to the videos, one sentence each."""
        notes, coder = [], self.coder
        for name, clipped in coder.clipped.items():
            if clipped:
                share = clipped / coder.values[name]
                advice = " That is much: floats keep them (`--coding float`)." if share > MUCH else ""
                notes.append(
                    f"{name}: {clipped:,} of {coder.values[name]:,} values ({_percent(share)}) lay outside "
                    f"[-2, 2] and were clipped.{advice}"
                )
        if coder.cut:
            notes.append(f"Cut to the shorter of the modalities: {counted(coder.cut, 'video')}.")
        notes += [
            f"{name} is missing in {counted(count, 'video')}, where it is read as silence."
            for name, count in coder.silent.items()
            if count
        ]
        if self._unlabelled:
            notes.append(
                f"Without labels, and so in the part {UNLABELLED}: {counted(self._unlabelled, 'video')}."
            )
        if self._aside:
            notes.append(
                f"Left aside, as no modality or none asked for: {shorten(', '.join(self._aside), 200)}."
            )
        if self.table is not None and self.table.texts is not None:
            notes.append(
                f"Texts of {counted(self._said, 'video')} are the modality {TEXT}, hashed to {TEXT_SIZE} places: its "
                "`size` in dataset.toml can be changed at any time."
            )
        unused = sorted(self.table.ids - self._ids) if self.table else []
        if unused:
            notes.append(
                f"{self.table.path} names {counted(len(unused), 'video')} not there: {shorten(', '.join(unused))}."
            )
        if self.classes.num_classes is None:
            notes.append(f"The number of classes ({self.classes.count}) is one more than the highest label.")
        return tuple(notes)

    def _labels(self, video: Imported, where: str) -> list[int] | None:
        if self.table is not None and self.table.labels is not None:
            if video.id not in self.table.labels:
                if video.id in self.table.ids or self._told(video) == UNLABELLED:
                    return None
                raise DataError(
                    f"{where} is not in {self.table.path}. Add it (an empty cell: no class), or leave the "
                    "video out."
                )
            return self.classes.numbers(
                self.table.labels[video.id], f"{self.table.path}, {shorten(video.id)}"
            )
        return None if video.labels is None else self.classes.numbers(video.labels, where)

    def _texts(self, video: Imported, where: str) -> dict[str, list[str]] | None:
        if self.table is None or self.table.texts is None:
            return None
        if TEXT in self.coder.sizes:
            raise DataError(
                f"{where}: the sources hold a modality {TEXT}, and {self.table.path} texts of this name. Say which "
                "modalities are wanted (`--modalities`), or take the column out."
            )
        texts = self.table.texts.get(video.id)
        self._said += bool(texts)
        return {TEXT: texts} if texts else None

    def _part(self, video: Imported, labels: list[int] | None, where: str) -> str:
        told = self._told(video)
        part = known(told, where) if told else None
        if labels is None:
            self._unlabelled += 1
            if part not in (None, UNLABELLED):
                raise DataError(
                    f"{where} has no labels, but is in the part {part}. Give it labels, or put it into "
                    f"{UNLABELLED}."
                )
            return UNLABELLED
        return part or part_of(video.id, self.shares)

    def _told(self, video: Imported) -> str | None:
        told = self.table.parts.get(video.id) if self.table else None
        return told or video.part


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-5 else "less than 0.001 %"
