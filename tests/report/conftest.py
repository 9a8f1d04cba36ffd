"""What the tests of a report look at."""

import json
import re

from bs4 import BeautifulSoup

from dmlkit.experiments import find


def statuses(report) -> list[str]:
    """What became of each chapter."""
    return [chapter.status for chapter in report.chapters]


def outside_references(html: str) -> list[str]:
    """Everything that a page fetches from elsewhere; links to click do not count."""
    found = []
    for element in BeautifulSoup(html, "html.parser").find_all(True):
        if element.name not in ("a", "area"):
            names = ("src", "srcset", "poster", "href", "xlink:href", "data")
            found += [element[name] for name in names if element.has_attr(name)]
        style = str(element.get("style", "")) + element.get_text() * (element.name == "style")
        found += re.findall(r"""@import|url\(\s*['"]?(?!data:|#)""", style)
        if element.name == "script" and element.get("type") != "application/json":
            found += re.findall(r"\w+://\S*", element.get_text())
    return [each for each in found if not each.startswith(("data:", "#")) or "://" in each]


def leave_lr(study, leave_run, name="lr", quality=0.5, **changes):
    """The run of `lr`, or of another experiment, that a study finds, trained by nobody."""
    fingerprint = study._fingerprint(find(name), study.seed)
    run = leave_run(study.runs / f"{name}-{fingerprint[:8]}", name=name, quality=quality)
    record = run.record | {"fingerprint": fingerprint, **changes}
    (run.path / "run.json").write_text(json.dumps(record))
    return run
