"""The README keeps its word: symbols, commands, notebooks and files that it names are there."""

import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import click
import keras

import dmlkit
from dmlkit.models import fusions

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
SECTIONS = re.findall(r"^\| §(.+?) \| `(.+?)` \| (\d\d-\S+) \|$", README, re.MULTILINE)


def test_each_symbol_exists_and_names_its_section_of_the_paper():
    assert len(SECTIONS) >= 12
    for _, symbol, notebook in SECTIONS:
        path, _, key = symbol.partition("[")
        value = resolve_name(path)
        value = value[key.strip('"]')] if key else value
        if callable(value):
            assert "Paper:" in value.__doc__, f"{symbol} does not name its section"
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").exists()


def test_each_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make (report|test|lab|bench|venv|lint|lock)\b", README))
    assert {"report", "test", "lab", "bench"} <= named <= targets


COMMANDS = sorted(set(re.findall(r"(?:^    \.venv/bin/|`)dmlkit ([a-z][^`#\n]*)", PAGES, re.MULTILINE)))


def test_each_command_and_its_options_exist():
    from dmlkit.cli import app

    assert len(COMMANDS) > 20
    for line in COMMANDS:
        command, words = app, shlex.split(line)
        while isinstance(command, click.Group) and words:
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("-") and word != "-"} <= known


def test_each_file_it_links_is_there():
    for target in re.findall(r"\]\((?!#|http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_a_fusion_is_added_in_one_place(monkeypatch, generated):
    """The README's example, run as it is, and the experiment that the text below it names."""
    blocks = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    code = next(block for block in blocks if "FUSIONS" in block)
    names = vars(fusions) | {"keras": keras}
    exec(code, names)
    assert {"concat", "shared_space", "projection"} < set(names["FUSIONS"])
    monkeypatch.setitem(fusions.FUSIONS, "product", names["FUSIONS"]["product"])
    shown = re.search(r"`(dmlkit\.Experiment\(.+?\))`", README)[1]
    experiment = eval(shown, {"dmlkit": dmlkit})
    model = dmlkit.build_model(experiment, dmlkit.open_dataset(generated), profile="smoke")
    assert model.output_shape == (None, 24)


def test_the_example_is_a_page_of_today():
    page = (ROOT / "reports" / "example" / "05-attention.html").read_text(encoding="utf-8")
    assert 'class="dmlkit-scene"' in page and 'script type="module"' in page
