"""What a report stands on: a data set under conditions. TensorFlow is imported where nothing less suffices."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dmlkit.errors import DataError, UsageError
from dmlkit.report.chapters import Plan
from dmlkit.report.planning.notebooks import Notebook
from dmlkit.report.planning.plans import plan, seen_from
from dmlkit.report.resuming.digests import data_mark, software
from dmlkit.report.resuming.standing import read_standing, write_standing, written
from dmlkit.report.scheduling import missing_rung

if TYPE_CHECKING:
    from dmlkit.data import Dataset
    from dmlkit.training import Study


@dataclass(frozen=True)
class KnownData:
    """What plans and pages need to know of a data set.

    Args:
        path: Its folder.
        mark: The digest of its files; what TensorFlow tells of them where they are remote.
        name: What to call it.
        generated: Whether it was generated.
        level: `frame` or `video`.
        features: Modality → size.
    """

    path: str
    mark: str
    name: str
    generated: bool
    level: str
    features: dict[str, int]


class Ground:
    """The data set of a report, and the conditions.

    Args:
        path: The folder of the data set; generated where it is missing and called so.
        out: The folder of the report, whose files are no data.
        profile, seed, deterministic: The conditions.
        parameters: Values for the notebooks' own parameters.

    Raises:
        DataError: The data set is missing or damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        out: Path,
        profile: str,
        seed: int,
        deterministic: bool,
        parameters: Mapping[str, object],
    ):
        self.path, self.out, self.parameters = path, out, parameters
        self.profile, self.seed, self.deterministic = profile, seed, deterministic
        self.standing = read_standing(out)
        self.known = self._know()

    def keep(self) -> None:
        """Write down what stands, for the next call."""
        with written(self.out):
            write_standing(self.out, self.standing)

    def _know(self) -> KnownData:
        # What opening makes of the same files may differ from version to version.
        holds = {"path": os.path.abspath(self.path), "package": software()["package"]}
        mark = data_mark(self.path, without=self.out)
        former = self.standing.data
        if mark and former.get("holds") == holds | {"mark": mark}:
            return KnownData(**former["known"])
        opened = self.dataset
        known = KnownData(
            path=opened.path,
            # From before it was opened, so that a change meanwhile is seen next time; from after where it was made.
            mark=mark or data_mark(self.path, without=self.out) or opened.fingerprint,
            name=opened.name,
            generated=opened.generated,
            level=opened.level,
            features={name: feature.size for name, feature in opened.features.items()},
        )
        self.standing.data = {"holds": holds | {"mark": known.mark}, "known": vars(known)}
        return known

    @cached_property
    def dataset(self) -> Dataset:
        """The data set itself."""
        from dmlkit.data import open_or_generate

        return open_or_generate(self.path)

    @cached_property
    def study(self) -> Study:
        """The study whose runs the notebooks leave."""
        from dmlkit.training import Study

        return Study(
            self.dataset,
            profile=self.profile,
            runs=self.out / "runs",
            seed=self.seed,
            deterministic=self.deterministic,
        )

    def plans(self, notebooks: Sequence[Notebook]) -> list[Plan]:
        """What is to be done for each notebook, by what is known of the data."""
        return plan(notebooks, dataset=self.known, given=self._given())

    def possible(self, notebooks: Sequence[Notebook]) -> list[Plan]:
        """The plans of those notebooks that can serve these data and take these values."""
        found = []
        for notebook in notebooks:
            try:
                found += [each for each in self.plans([notebook]) if each.reason is None]
            except UsageError:  # meant for the chosen notebooks, a value need not suit the others
                continue
        return found

    def lacks(self, plan: Plan, failed: Sequence[Plan]) -> str | None:
        """Why a notebook cannot run after others failed: a rung that they should have left; None where it can."""
        try:
            *before, mine = self._with_rungs([each.notebook for each in (*failed, plan)])
            return missing_rung(mine, before, self.study)
        except DataError:  # a damaged run: the notebook will say so itself
            return None

    def _with_rungs(self, notebooks: Sequence[Notebook]) -> list[Plan]:
        return plan(notebooks, dataset=self.known, given=self._given(), study=self.study)

    def _given(self) -> dict[str, object]:
        """The notebooks' own parameters, and what is the same in all."""
        home = self.out / "notebooks"
        return dict(self.parameters) | {
            "data": seen_from(home, self.known.path),
            "profile": self.profile,
            "runs": seen_from(home, self.out / "runs"),
            "seed": self.seed,
            "deterministic": self.deterministic,
        }
