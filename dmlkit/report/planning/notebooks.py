"""The notebooks of the study: where they are, and what each one says of itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dmlkit.errors import UsageError, choose, nearest
from dmlkit.report.planning.parameters import Parameter, read_parameters
from dmlkit.report.planning.rungs import check_trains

# A notebook of the study; the others are for exploring by hand.
WALK = re.compile(r"\d\d-.+")


def _frames(dataset) -> str | None:
    return None if dataset.level == "frame" else "it reads frames, and this data set holds one vector a video"


def _two_modalities(dataset) -> str | None:
    if len(dataset.features) > 1:
        return None
    return f"it fuses modalities, and this data set has one only ({', '.join(dataset.features)})"


# What a notebook may need of a data set → why this one does not have it, or None.
NEEDS = {"frames": _frames, "two modalities": _two_modalities}


@dataclass(frozen=True)
class Notebook:
    """One notebook, as its file tells without being run.

    Args:
        path: The file.
        title: From its metadata, else its first heading.
        question: The one question it answers.
        needs: What a data set must have for it: names in `NEEDS`.
        parameters: What its parameters cell holds.
        cells: How many of its cells hold code.
        after: Names of the notebooks that must have ended before this one starts.
        trains: Which rungs it trains, as its metadata tell (see `dmlkit.report.planning.rungs`).
        digest: Of what it says and does; the same after it was saved again by an editor.
    """

    path: Path
    title: str
    question: str
    needs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    cells: int
    after: tuple[str, ...] = ()
    trains: tuple[Mapping, ...] = ()
    digest: str = ""

    @property
    def name(self) -> str:
        """`05-attention`."""
        return self.path.stem

    def not_applicable_reason(self, dataset) -> str | None:
        """Why a data set cannot serve this notebook, or None."""
        reasons = (choose(NEEDS, need, what="need of a notebook")(dataset) for need in self.needs)
        return next((reason for reason in reasons if reason), None)


def notebooks_folder() -> Path:
    """The folder of the notebooks: within an installed package, else in the repository.

    Raises:
        UsageError: There is neither.
    """
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if folder.is_dir():
            return folder
    raise UsageError(
        f"The notebooks are missing: neither {package / 'notebooks'} nor {package.parent / 'notebooks'} is there. "
        "Install the package again, or run the command from the repository."
    )


def find_notebooks(folder: Path, names: Sequence[str] | None = None) -> list[Notebook]:
    """The notebooks of the study in their order, or some of them.

    Args:
        folder: Where they are.
        names: `05-attention`, `attention` or `05`; all where None.

    Raises:
        UsageError: A name is unknown, or a file is no notebook.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.ipynb")) if WALK.fullmatch(path.stem)}
    if not there:
        raise UsageError(f"There are no notebooks in {folder} (files named NN-title.ipynb).")
    chosen = there if names is None else sorted({_full_name(name, there) for name in names})
    return [read_notebook(there[name]) for name in chosen]


def _full_name(name: str, there: dict[str, Path]) -> str:
    wanted = name.removesuffix(".ipynb")
    for full in there:
        if wanted in (full, full[:2], full[3:]):
            return full
    raise UsageError(f"There is no notebook {name!r}.{nearest(wanted, there)} There are: {', '.join(there)}.")


def read_notebook(path: Path) -> Notebook:
    """Read what a notebook says of itself.

    Raises:
        UsageError: The file is missing or is no notebook, or its parameters cell cannot be read.
    """
    cells, about = _open(path)
    prose = next((cell.source for cell in cells if cell.kind == "markdown"), "")
    cell = next((cell for cell in cells if "parameters" in cell.tags), None)
    where = f"the notebook {path.name}"
    parameters = (
        () if cell is None else read_parameters(cell.source, where=f"the parameters cell of {path.name}")
    )
    trains = _entries(about, "trains", where=where)
    check_trains(trains, parameters, where=where)
    return Notebook(
        path=path,
        title=about.get("title") or _heading(prose) or path.stem,
        question=about.get("question") or _question(prose),
        needs=_entries(about, "needs", where=where),
        parameters=parameters,
        cells=sum(cell.kind == "code" for cell in cells),
        after=_entries(about, "after", where=where),
        trains=trains,
        digest=_digest(cells, about),
    )


def _entries(about: Mapping, name: str, *, where: str) -> tuple:
    entries = about.get(name, [])
    if not isinstance(entries, list):
        raise UsageError(f"The metadata `{name}` of {where} is not a list: {entries!r}.")
    return tuple(entries)


class _Cell(NamedTuple):
    """What of a cell is ours: outputs and counts change with every run, other metadata with every editor."""

    kind: str
    id: str | None
    source: str
    tags: tuple[str, ...]


def _open(path: Path) -> tuple[list[_Cell], dict]:
    """The cells of a file and its metadata `dmlkit`, by json alone: to import nbformat takes longer than all else."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if notebook["nbformat"] != 4:
            raise ValueError(f"it is of format {notebook['nbformat']}, and only format 4 is read")
        return [_cell(cell) for cell in notebook["cells"]], dict(notebook["metadata"].get("dmlkit", {}))
    except OSError as error:
        raise UsageError(f"The notebook {path} cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"The notebook {path} cannot be read: it is JSON, but not a notebook's ({error})."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The notebook {path} cannot be read: {error}") from error


def _cell(cell: Mapping) -> _Cell:
    source = cell["source"]
    return _Cell(
        kind=cell["cell_type"],
        id=cell.get("id"),
        source=source if isinstance(source, str) else "".join(source),
        tags=tuple(sorted(cell["metadata"].get("tags", ()))),
    )


def _digest(cells: Sequence[_Cell], about: Mapping) -> str:
    return hashlib.sha256(json.dumps([cells, about], sort_keys=True).encode()).hexdigest()


def _heading(prose: str) -> str:
    found = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    return plain(found[1]) if found else ""


def _question(prose: str) -> str:
    """The first sentence that asks, else the first paragraph."""
    text = "\n".join(line for line in prose.splitlines() if not line.startswith("#"))
    paragraphs = [plain(" ".join(part.split())) for part in re.split(r"\n\s*\n", text) if part.strip()]
    asked = [found[0] for part in paragraphs if (found := re.search(r"(?:^|(?<=[.!:] ))[^.!?:]*\?", part))]
    return (asked or paragraphs or [""])[0].strip()


def plain(markdown: str) -> str:
    """A line of Markdown without its marks."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"(\*\*|\*|`)(.+?)\1", r"\2", text).strip()
