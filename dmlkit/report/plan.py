"""Before anything runs: which notebooks there are, with which values, in which order, and what they would train."""

from __future__ import annotations

import graphlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

from pydantic import BaseModel, ValidationError

from dmlkit import experiments
from dmlkit.data.opening import open_or_generate, open_segments
from dmlkit.data.storage import readable_path
from dmlkit.errors import DataError, UsageError, choose, nearest
from dmlkit.experiments import AnyExperiment, Ensemble, Experiment, baselines_for, find, fusion_variants
from dmlkit.paths import generated_data, is_remote
from dmlkit.profiles import PROFILES
from dmlkit.report.cache import State, changes, data_digest, digest, software
from dmlkit.report.parameters import (
    COMMON,
    Parameter,
    as_text,
    check_parameters,
    read_parameters,
    values_for,
    wrapped,
)
from dmlkit.runtime import check_keras

# The generated data set's properties, for a plan before it exists.
GENERATED = SimpleNamespace(name="generated", level="frame", generated=True, features=("rgb", "audio"))
# They combine the runs that exist then; nothing is trained for them.
OF_ALL, OF_BEST = (Ensemble(name=f"ensemble-of-{what}", title="", members=()) for what in ("all", "best"))


class Metadata(BaseModel, extra="forbid"):
    """A notebook's metadata under `dmlkit`."""

    title: str = ""
    needs: tuple[Literal["frames", "two modalities", "segments"], ...] = ()
    after: tuple[str, ...] = ()
    trains: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True)
class Notebook:
    """One notebook, as its file describes it."""

    name: str  # `05-attention`
    path: Path
    title: str
    question: str
    about: Metadata
    parameters: tuple[Parameter, ...]
    cells: int
    digest: str


@dataclass(frozen=True)
class Plan:
    """A notebook that is to run, with its values; or the reason why it does not."""

    name: str
    notebook: Notebook
    values: Mapping[str, object]
    inputs: Mapping[str, object]
    reason: str | None


def notebooks_folder() -> Path:
    """The folder of the notebooks: within an installed package, else in the repository."""
    installed = Path(__file__).resolve().parents[1] / "notebooks"
    return installed if installed.is_dir() else installed.parents[1] / "notebooks"


def find_notebooks(folder: Path, names: Sequence[str] | None = None) -> list[Notebook]:
    """The numbered notebooks of a folder in their order; of some names (`05-attention`, `attention` or `05`), or all.

    Raises:
        UsageError: A name is unknown, or a file is no notebook.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.ipynb")) if re.match(r"\d\d-.", path.stem)}
    if not there:
        raise UsageError(f"There are no notebooks in {folder} (files named NN-title.ipynb).")
    forms = {form: full for full in there for form in (full, full[:2], full[3:])}
    wanted = there if names is None else [name.removesuffix(".ipynb") for name in names]
    for name in wanted:
        if name not in forms:
            hint = f"{nearest(name, there)} There are: {', '.join(there)}."
            raise UsageError(f"There is no notebook {name!r}.{hint}")
    return [read_notebook(there[name]) for name in sorted({forms[name] for name in wanted})]


def read_notebook(path: Path) -> Notebook:
    """Read how a notebook describes itself, by json alone: to import nbformat takes longer than all else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about = Metadata.model_validate(content["metadata"].get("dmlkit", {}))
        # Outputs and counts change with every run, other metadata with every editor.
        cells = [
            (cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", []), cell.get("id"))
            for cell in content["cells"]
        ]
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UsageError(f"The metadata of {path}, dmlkit.{where}: {error.errors()[0]['msg']}.") from None
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise UsageError(f"The notebook {path} cannot be read as notebook format 4: {error!r}.") from error
    prose = next((source for kind, source, *_ in cells if kind == "markdown"), "")
    prose = re.sub(r"\*\*|\*|`|\[([^\]]*)\]\([^)]*\)", r"\1", prose)
    heading = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    question = re.search(r"[^.!?:#\s][^.!?:]*\?", prose[heading.end() :] if heading else prose)
    source = next((source for _, source, tags, _ in cells if "parameters" in tags), "")
    parameters = read_parameters(source, where=f"the parameters cell of {path.name}")
    switches = {parameter.name: None for parameter in parameters if parameter.type == "bool"}
    for entry in about.trains:
        kinds = [name for name in entry if name != "if"]
        if len(kinds) != 1:
            raise UsageError(f"An entry of `trains` in {path.name} has {len(kinds)} kinds, not one: {entry}.")
        choose(KINDS, kinds[0], what=f"kind of training in {path.name}")
        if "if" in entry:
            choose(switches, entry["if"], what=f"true-or-false parameter in {path.name}")
    return Notebook(
        name=path.stem,
        path=path,
        title=about.title or (heading[1] if heading else path.stem),
        question=" ".join(question[0].split()) if question else "",
        about=about,
        parameters=parameters,
        cells=sum(kind == "code" for kind, *_ in cells),
        digest=digest([cells, about.model_dump()]),
    )


def execution_order(notebooks: Iterable[Notebook]) -> graphlib.TopologicalSorter:
    """The order of notebooks by what each one waits for, prepared."""
    after = {notebook.name: notebook.about.after for notebook in notebooks}
    for name, others in after.items():
        for other in set(others) - after.keys():
            raise UsageError(f"{name} is to run after {other!r}: no such notebook.{nearest(other, after)}")
    order = graphlib.TopologicalSorter(after)
    try:
        order.prepare()
    except graphlib.CycleError as error:
        cycle = " after ".join(reversed(error.args[1]))
        raise UsageError(f"Notebooks wait for each other, by `after` in their metadata: {cycle}.") from None
    return order


class Context:
    """The data set of a report, and the conditions."""

    def __init__(
        self,
        data: str | os.PathLike | None = None,
        *,
        out: Path,
        profile: str = "demo",
        seed: int = 0,
        seeds: int = 1,
        deterministic: bool = False,
        parameters: Mapping[str, object] | None = None,
        generate: bool = True,
    ):
        self.path = generated_data() if data is None else readable_path(data)
        self.out, self.runs, self.state = out, out / "runs", State(out)
        self.parameters, self.profile = dict(parameters or {}), choose(PROFILES, profile, what="profile")
        self.conditions = {"profile": profile, "seed": seed, "deterministic": deterministic}
        self.conditions |= {"seeds": seeds} if seeds != 1 else {}
        Parameter("seeds", "int", 1).convert(seeds)
        for each in (seed, seed + seeds - 1) if isinstance(seed, int) else [repr(seed)]:
            Parameter("seed", "int", 0).convert(each)
        self.damaged: dict[str, str] = {}  # experiment → why its run cannot be read
        self.missing = data is None and not generate and not self.path.exists()
        self.data, self.data_digest = GENERATED, ""
        if not self.missing:
            self.data = open_or_generate(self.path)
            self.data_digest = data_digest(self.data)
            self.state.data = {"path": os.path.abspath(self.path), "digest": self.data_digest}
        self.level, self.modalities = self.data.level, tuple(self.data.features)
        self.ladder = experiments.ladder_for(self.level)

    @cached_property
    def study(self):
        """The study whose runs the notebooks leave."""
        from dmlkit.training.study import Study  # imports pandas

        return Study(self.data, runs=self.runs, **self.conditions)

    def run(self, experiment: AnyExperiment, *, partly: bool = False):
        """The run of an experiment under these conditions, finished under every seed, or (`partly`) the first; or None.

        A damaged one is noted in `damaged`.
        """
        if self.missing or experiment in (OF_ALL, OF_BEST):
            return None
        try:
            run = self.study.find(experiment)
        except DataError as error:
            self.damaged[experiment.name] = str(error)
            return None
        complete = run and len(run.siblings) == len(self.study.further_seeds(experiment))
        return run if complete or partly else None

    def not_applicable_reason(self, experiment: AnyExperiment) -> str | None:
        """Why the data set cannot serve an experiment, or None."""
        return experiments.not_applicable_reason(experiment, level=self.level, modalities=self.modalities)

    def plan(self, notebook: Notebook) -> Plan:
        """What is to be done for a notebook."""
        paths = {"data": self.path, "runs": self.runs}
        paths = {name: _relative(self.out / "notebooks", path) for name, path in paths.items()}
        digests, lacking = self.data_digest, None
        if "segments" in notebook.about.needs:
            lacking = "it needs rated segments, which the generated data have by `dmlkit data synthesize --segments`"
            if not self.missing:
                try:
                    folder = self.parameters.get("segments")
                    segments = open_segments(self.data, folder and readable_path(folder))
                    paths["segments"] = _relative(self.out / "notebooks", segments.path)
                    digests, lacking = digests + data_digest(segments), None
                except DataError as error:
                    lacking = f"it needs rated segments: {error}"
        given = self.parameters | paths | self.conditions
        values, reason = values_for(notebook.parameters, given, notebook=notebook.name), None
        if "frames" in notebook.about.needs and self.level != "frame":
            reason = "it reads frames, and this data set holds one vector a video"
        elif "two modalities" in notebook.about.needs and len(self.modalities) < 2:
            reason = f"it fuses modalities, and this data set has one only ({', '.join(self.modalities)})"
        elif lacking:
            reason = lacking
        inputs = {"source": notebook.digest, "data": digests, "values": values}
        return Plan(notebook.name, notebook, values, inputs | {"software": software()}, reason)

    def omits(self, plan: Plan) -> str | None:
        """The option that trains what a notebook shows, where all of it is switched off and has no run; else None."""
        values = {each.name: each.default for each in plan.notebook.parameters} | dict(plan.values)
        switches = [entry.get("if") for entry in plan.notebook.about.trains]
        if plan.reason or not switches or any(values.get(switch, True) for switch in switches):
            return None
        on, own = replace(plan, values=values | dict.fromkeys(switches, True)), plan.name[3:]
        if any(self.run(each) for each in experiments_of(on, self).values() if each.chapter == own):
            return None
        return "--beyond" if switches[0] == "beyond" else f"-p {switches[0]} true"

    def changes(self, plan: Plan) -> list[str]:
        """Why a notebook would be executed again; empty where nothing changed."""
        return changes(self.executed(plan), plan.inputs, self.runs)

    def executed(self, plan: Plan) -> Path:
        """The executed notebook."""
        return self.out / "notebooks" / plan.notebook.path.name


def _relative(folder: Path, path: str | os.PathLike) -> str:
    """A path as a notebook in `folder` finds it: relative where the two are neighbours, so that both may move."""
    if is_remote(path):
        return os.fspath(path)
    here, there = (Path(os.path.realpath(each)) for each in (folder, path))
    return str(there) if os.path.commonpath([here, there]) == here.anchor else os.path.relpath(there, here)


# Kind of an entry in a notebook's metadata `trains` → the experiments, from the context, the entry's value and the
# names that are trained by then.
KINDS: dict[str, Callable[[Context, object, Collection[str]], Iterable[AnyExperiment]]] = {
    "chapter": lambda context, name, _: [each for each in context.ladder.values() if each.chapter == name],
    "experiments": lambda context, names, _: map(find, names),
    "ablations": lambda context, chapter, _: experiments.ablations_for(chapter, context.profile),
    "fusion_variants": lambda context, *_: fusion_variants(context.ladder, context.profile).values(),
    "ensemble_of_all": lambda context, _, before: [OF_ALL] * (len(before & context.ladder.keys()) > 1),
    "checkpoints": lambda context, *_: [experiments.CHECKPOINTS[context.level]],
    "baselines": lambda context, *_: baselines_for(context.level, modalities=context.modalities).values(),
    "beyond": lambda context, group, _: experiments.beyond_for(context.level, group).values(),
    "best_ensemble": lambda *_: [OF_BEST],
    # where none of it is there
    "ladder": lambda context, _, before: {} if before & context.ladder.keys() else context.ladder.values(),
}


def experiments_of(plan: Plan, context: Context, before: Iterable[str] = ()) -> dict[str, AnyExperiment]:
    """The experiments that a notebook trains, or reads where they are trained already, by name."""
    values = {each.name: each.default for each in plan.notebook.parameters} | dict(plan.values)
    ladder = context.ladder.items()
    trained = {name for name, each in ladder if isinstance(each, Experiment) and context.run(each)}
    found: dict[str, AnyExperiment] = {}
    for entry in () if plan.reason else plan.notebook.about.trains:
        if values.get(entry.get("if"), True):
            kind = next(name for name in entry if name != "if")
            for experiment in KINDS[kind](context, entry[kind], {*trained, *before, *found}):
                if experiment in (OF_ALL, OF_BEST) or context.not_applicable_reason(experiment) is None:
                    found |= _members(experiment) | {experiment.name: experiment}
    return found


def _members(experiment: AnyExperiment) -> dict[str, AnyExperiment]:
    """The experiments trained before this one: an ensemble's members, a student's teachers, and theirs."""
    found: dict[str, AnyExperiment] = {}
    combined = isinstance(experiment, Ensemble)
    for name in experiment.members if combined else experiment.teachers:
        found |= _members(find(name)) | {name: find(name)}
    return found


def check_arguments(
    folder: Path | None, names: Sequence | None, parameters: Mapping, jobs: int = 1, limit: str | None = None
) -> tuple[list[Notebook], list[Notebook], float | None]:
    """All notebooks, the chosen ones and the seconds that each may take (None: any), checked before anything starts."""
    check_keras(training=True)
    if jobs < 1:
        raise UsageError(f"The number of jobs, the notebooks at a time, is at least 1. Received: {jobs}.")
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh])\s*", limit or "", re.ASCII)
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else None
    if limit is not None and not seconds:
        raise UsageError(f"A time limit is above 0 and has a unit, as in 90s, 45m, 2h. Received: {limit!r}.")
    folder = notebooks_folder() if folder is None else Path(folder)
    there, chosen = find_notebooks(folder), find_notebooks(folder, names)
    execution_order(there)
    check_parameters(parameters, {notebook.name: notebook.parameters for notebook in chosen})
    return there, chosen, seconds


def describe_plan(
    *, out, notebooks=None, folder=None, parameters=None, jobs=1, time_limit=None, force=False, **context
) -> str:
    """The plan of `build_report` for the same arguments, in lines for a terminal; nothing is written."""
    _, chosen, _ = check_arguments(folder, notebooks, parameters or {}, jobs, time_limit)
    context = Context(out=Path(out), parameters=parameters, generate=False, **context)
    coming: dict[str, str] = {}  # experiment → the notebook that would train it
    counts, trained = Counter(), set()
    conditions = ", ".join(f"{name} {as_text(value)}" for name, value in context.conditions.items())
    missing = " (not there yet: it would be generated)" * context.missing
    parts = [f"The report in {out} would have: {conditions}\nData: {context.path}{missing}"]
    for plan in map(context.plan, chosen):
        if not notebooks and (option := context.omits(plan)):
            parts.append(wrapped(f"{plan.name}  left out: nothing of it is trained; {option} trains it"))
            continue
        needed = experiments_of(plan, context, coming)
        there = [name for name, each in needed.items() if context.run(each)]
        waits = [f"{name} (by {coming[name]})" for name in needed if name in coming]
        why = [] if plan.reason else context.changes(plan) or ["forced"] * force
        why = why or ["what it reads would be trained"] * bool(waits)
        status = "not applicable" if plan.reason else "would be executed" if why else "unchanged"
        counts[status] += 1
        training = [name for name in needed if why and name not in coming and name not in there]
        values = {each.name: each.default for each in plan.notebook.parameters} | dict(plan.values)
        own = {} if plan.reason else {name: value for name, value in values.items() if name not in COMMON}
        lists = {
            "parameters": [f"{name}={as_text(value)}" for name, value in own.items()],
            "trains": training,
            "already trained": there,
            "trained before it": waits,
        }
        coming |= dict.fromkeys(training, plan.name)
        trained |= set(there)
        head = f"{plan.name}  {status}: {plan.reason or '; '.join(why)}".removesuffix(": ")
        parts.append(wrapped(head, *(f"{what}: {', '.join(each)}" for what, each in lists.items() if each)))
    parts += [wrapped(f"A run cannot be read: {error}") for error in context.damaged.values()]
    ends = f"Notebooks: {', '.join(f'{count} {status}' for status, count in counts.items())}. "
    ends += f"Experiments: {len(coming)} would be trained, {len(trained)} trained already. "
    return "\n\n".join([*parts, wrapped(f"{ends}Nothing was executed or written.")])
