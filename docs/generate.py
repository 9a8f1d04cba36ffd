"""Write the parts of docs/reference/*.md that follow from code, from `<!-- generated: NAME -->` to `<!-- end -->`."""

import re
from pathlib import Path

import click
from pydantic import TypeAdapter

from dmlkit.cli import app
from dmlkit.data.schema import DatasetSettings, FeatureSettings, ThumbnailSettings
from dmlkit.experiments import ABLATIONS, BEYOND, EXPERIMENTS, LADDER, VIDEO_LADDER, Ensemble, baseline_of
from dmlkit.extraction.extractors import Recipe
from dmlkit.profiles import PROFILES, RECIPES, SETTABLE, Profile
from dmlkit.report.build import EXIT_CODES

BLOCK = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def table(head: tuple, *rows: tuple) -> str:
    """A Markdown table."""
    rows = (head, ["---"] * len(head), *rows)
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def value(given: object) -> str:
    """A value as it is written on the command line."""
    return f"`{','.join(map(str, given)) if isinstance(given, tuple | list) else str(given).lower()}`"


def allowed(schema: dict) -> str:
    """A JSON schema in words: type, choices and range."""
    if several := schema.get("anyOf"):
        return " or ".join(map(allowed, several))
    if "$ref" in schema:
        return "table"
    if choices := schema.get("enum"):
        return ", ".join(f"`{choice}`" for choice in choices)
    if several := schema.get("prefixItems"):
        return ", ".join(map(allowed, several))
    bounds = ", ".join(f"{sign} {schema[key]:,}" for key, sign in BOUNDS.items() if key in schema)
    return f"{schema['type'].replace('null', 'none').replace('object', 'table')} {bounds}".strip()


def profile_fields() -> str:
    """Every field of a profile that can be set; the meanings are those of its docstring."""
    arguments = Profile.__doc__.partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {8}(\w[\w, ]*): (.+?)(?=\n {8}\w|\Z)", arguments, re.DOTALL | re.MULTILINE)
    meaning = {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
    schema = TypeAdapter(Profile).json_schema()["properties"]
    rows = (
        (value(k), allowed(schema[k]), value(schema[k].get("default", "–")), meaning[k]) for k in SETTABLE
    )
    return table(("field", "allowed", "default", "meaning"), *rows)


def profiles(chosen: dict[str, Profile]) -> str:
    """What some profiles are for, and their fields where one of them differs from the default."""
    purposes = table(("profile", "for"), *((f"`{name}`", each.purpose) for name, each in chosen.items()))
    values = {name: [getattr(each, name) for each in chosen.values()] for name in SETTABLE}
    changed = [name for name in SETTABLE if {*values[name]} != {Profile.__dataclass_fields__[name].default}]
    rows = ((value(name), *map(value, values[name])) for name in changed)
    return f"{purposes}\n{table(('field', *map(value, chosen)), *rows)}"


def keys(settings: type, before: str) -> str:
    """The keys of a table of dataset.toml; what each means is written on the page, and kept."""
    meaning = dict(re.findall(r"^\| (`\w+`) \|.*\| (.+) \|$", before, re.MULTILINE))
    schema = settings.model_json_schema()["properties"].items()
    rows = ((value(name), allowed(each), meaning.get(value(name), "TODO")) for name, each in schema)
    return table(("key", "allowed", "meaning"), *rows)


def experiments() -> str:
    """Every experiment, by group."""
    groups = {"The ladder on frames": LADDER, "The ladder where a video is one vector": VIDEO_LADDER}
    groups |= {"Ablations": ABLATIONS, "Beyond the ladder": BEYOND, "One training, changed": EXPERIMENTS}
    text, shown = "", set()
    for heading, group in groups.items():
        new = (group[name] for name in group if name not in shown)
        rows = ((value(e.name), e.title, model(e), value(baseline_of(e.name) or "–")) for e in new)
        text += f"## {heading}\n\n{table(('name', 'title', 'model', 'baseline'), *rows)}\n"
        shown |= group.keys()
    return text


def model(experiment) -> str:
    """The parts of an experiment's model, in order."""
    if isinstance(experiment, Ensemble):
        return f"{experiment.by} of {', '.join(map(value, experiment.members))}"
    parts = ("fusion", "encoder", "pooling", "gate_pooled", "classifier", "gate_scores")
    names = [name for part in parts if (name := getattr(experiment, part)) != "none"]
    return " → ".join(names) + (f", trick `{experiment.trick}`" if experiment.trick else "")


def commands(command: click.Command, name: str = "dmlkit", parent: click.Context | None = None) -> str:
    """The help of every command, a section each."""
    context = click.Context(command, parent, name, terminal_width=80, **command.context_settings)
    text = f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n\n"
    below = sorted(getattr(command, "commands", {}).items())
    return text + "".join(commands(each, each_name, context) for each_name, each in below)


GENERATORS = {
    "commands": lambda _: commands(app),
    "profile-fields": lambda _: profile_fields(),
    "profiles": lambda _: profiles(PROFILES),
    "recipes": lambda _: profiles(RECIPES),
    "dataset-keys": lambda before: keys(DatasetSettings, before),
    "feature-keys": lambda before: keys(FeatureSettings, before),
    "thumbnail-keys": lambda before: keys(ThumbnailSettings, before),
    "extractor-keys": lambda before: keys(Recipe, before),
    "experiments": lambda _: experiments(),
    "exit-codes": lambda _: table(("exit code", "meaning"), *sorted(set(EXIT_CODES.values()))),
}


def current(page: str) -> str:
    """A page with its generated parts as the code has them now."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{GENERATORS[block[2]](block[0])}\n{block[3]}", page)


if __name__ == "__main__":
    for path in (Path(__file__).parent / "reference").glob("*.md"):
        path.write_text(current(path.read_text(encoding="utf-8")), encoding="utf-8")
