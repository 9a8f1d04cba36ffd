"""Small notebooks to make reports of."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PARAMETERS = """\
data: str = "../data/generated"  # folder of the data set
profile: str = "demo"  # smoke, demo, study or paper
runs: str = "../runs"  # folder of the runs
seed: int = 0  # of weights and order
deterministic: bool = False  # same numbers for the same seed
"""


@pytest.fixture
def write_notebook(tmp_path):
    """Write `tmp_path/notebooks/NAME.ipynb` out of sources; text that starts with `#` and a blank is Markdown."""

    def write(
        name: str, *sources: str, parameters: str | None = PARAMETERS, title: str | None = None, needs=()
    ) -> Path:
        cells = [new_markdown_cell(f"# The {name} chapter\n\nDoes it **run**?", id="ask")]
        if parameters is not None:
            cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters"))
        for place, source in enumerate(sources):
            make = new_markdown_cell if source.startswith(("# ", "## ")) else new_code_cell
            cells.append(make(source, id=f"cell-{place}"))
        about = {"needs": list(needs)} | ({"title": title} if title else {})
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "dmlkit": about}), path)
        return path

    return write
