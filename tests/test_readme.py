"""README and docs/ keep their word: symbols, commands, notebooks, files and headings that they name are there, code
runs as it stands, and what is generated is current.
"""

import re
import runpy
import shlex
from pathlib import Path
from pkgutil import resolve_name

import click

from dmlkit.models import fusions

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}
PAGES = "".join(TEXTS.values())
SECTIONS = re.findall(r"^\| §(.+?) \| `(.+?)` \| (\d\d-\S+) \|$", PAGES, re.MULTILINE)


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
    named = set(re.findall(r"make (report|test|lab|bench|venv|lint|lock|docs)\b", README))
    assert {"report", "test", "lab", "bench", "docs"} <= named <= targets


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


def anchors(text: str) -> set[str]:
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_link_leads_to_a_file_and_a_heading():
    links = [
        (page, each) for page, text in TEXTS.items() for each in re.findall(r"\]\((?!http)([^)\s]+)\)", text)
    ]
    assert len(links) > 80
    for page, link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(TEXTS[target]), f"{page.name}: {link}"
        # The site of `make docs` holds docs/ alone.
        assert page.parent == ROOT or target.is_relative_to(ROOT / "docs"), f"{page.name}: {link}"


def test_each_page_is_in_the_navigation_and_the_readme_is_short():
    navigation = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert navigation == {path.relative_to(ROOT / "docs").as_posix() for path in FILES[1:]}
    linked = re.findall(r"\]\(docs/([^)]+\.md)\)", README)
    assert set(linked) == navigation
    assert len(README.splitlines()) <= 150


def test_the_reference_is_generated_from_the_code_of_today():
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    pages = [path for path in FILES if "<!-- generated: " in TEXTS[path]]
    assert {path.parent for path in pages} == {ROOT / "docs" / "reference"} and len(pages) == 5
    for path in pages:
        assert generate["current"](TEXTS[path]) == TEXTS[path], (
            f"{path} is not current: run `python docs/generate.py`"
        )
        assert "TODO" not in TEXTS[path]


def test_the_quick_start_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    names = {}
    exec(code, names)
    assert names["scores"].shape == (8, 24)
    weights = names["weights"]
    assert weights.shape[0] == 8 and abs(weights.sum(axis=1) - 1).max() < 1e-3
    assert f"{names['run'].gap}" in capsys.readouterr().out


def test_a_fusion_is_added_as_the_guide_shows(generated, monkeypatch):
    page = TEXTS[ROOT / "docs" / "how-to" / "add-a-fusion.md"]
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    monkeypatch.setitem(fusions.FUSIONS, "product", None)
    names = {}
    exec(code.replace('"DIR"', repr(str(generated))), names)
    assert names["model"].output_shape == (None, 24)
    assert fusions.FUSIONS["product"] is names["product"]


def test_the_example_is_a_page_of_today():
    page = (ROOT / "reports" / "example" / "05-attention.html").read_text(encoding="utf-8")
    assert 'class="dmlkit-scene"' in page and 'script type="module"' in page
