"""What a check found, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from dmlkit.data.checking.reports import CLASSES_NAMED, Report, SetReport
from dmlkit.text import counted, one_line, readable_size, shorten

LONGEST_BAR = 30
# Longer lines go on below; but for faults, a line each, which other programs may look for.
WIDTH = 80


def told(report: Report, *, faults: int) -> str:
    """A paragraph a data set, its first faults, and what came of it all.

    Args:
        report: What was found.
        faults: How many faults of a data set are shown.
    """
    lines = [line for each in report.sets for line in (*_set(each, faults), "")]
    read = sum(each.total.bytes for each in report.sets)
    rate = f"{readable_size(read)} in {report.seconds:.1f} s, {readable_size(read / max(report.seconds, 1e-9))}/s"
    if report.whole:
        return "\n".join([*lines, f"Whole: nothing is wrong. Read {rate}."])
    found = sum(each.total.faults.total() for each in report.sets)
    return "\n".join([*lines, f"Damaged: {counted(found, 'fault')}. Read {rate}."])


def _set(each: SetReport, faults: int) -> Iterator[str]:
    expected, total = each.target.expected, each.total
    yield one_line(
        each.target.path
        if each.target.name in each.target.path
        else f"{each.target.name}, {each.target.path}"
    )
    if expected.level is None:
        yield "  layout          no record tells, so only checksums were looked at"
    else:
        features = ", ".join(f"{one_line(f.name)} {f.size:,} ({f.coding})" for f in expected.features)
        release = each.target.release or "a layout of its own"
        said = (
            f"{release}, {expected.level} level: {features}; {counted(each.num_classes, 'class', 'classes')}"
        )
        yield from _wrapped("  layout", said)
    for place, (split, tally) in enumerate(each.splits.items()):
        shards = counted(len(each.target.splits[split]), "shard")
        without = _without_labels(tally.labels[0], tally.good)
        yield f"  {'' if place else 'records':16}{split:9}{tally.records:>10,} in {shards}{without}"
    record = each.to_record()
    for what in ("frames", "labels"):
        if record[what] and (what == "frames" or total.classes):
            yield from _spread(f"{what} a video", record[what], shape=what == "frames")
    if total.classes:
        yield from _classes(each)
    texts = {feature.name for feature in expected.features if not feature.in_frames}
    for modality, videos in record["missing"].items():
        nothing = "no words" if modality in texts else "silence"
        yield f"  missing         {one_line(modality)} in {counted(videos, 'video')}: read as {nothing}"
    if total.unnamed:
        yield f"  no id           {counted(total.unnamed, 'video')}"
    if each.empty_shards:
        yield f"  empty           {counted(each.empty_shards, 'shard')}"
    if each.whole:
        yield "  faults          none"
        return
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in total.faults.most_common())
    yield f"  faults          {total.faults.total():,}: {kinds}"
    yield from (f"    {one_line(fault.text())}" for fault in each.faults[:faults])
    if (more := total.faults.total() - min(faults, len(each.faults))) > 0:
        yield f"    and {more:,} more (--faults N shows more of them, --json all)"


def _without_labels(without: int, videos: int) -> str:
    if not without:
        return ""
    return ", without labels" if without == videos else f", {without:,} of them without labels"


def _spread(what: str, spread: dict, *, shape: bool) -> Iterator[str]:
    if spread["min"] == spread["max"]:
        figures = f"{spread['min']:,} in every one"
    else:
        figures = f"{spread['min']:,} to {spread['max']:,}, median {spread['median']:,g}, mean {spread['mean']:,.1f}"
    yield f"  {what:16}{figures}"
    if not shape or len(spread["bins"]) < 2:
        return
    most = max(each["videos"] for each in spread["bins"])
    for each in spread["bins"]:
        low, high = each["from"], each["to"]
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        bar = "█" * -(-each["videos"] * LONGEST_BAR // most)
        yield f"    {span:>14}{each['videos']:>12,} {bar}".rstrip()


def _classes(each: SetReport) -> Iterator[str]:
    ranked = each.ranked_classes()
    yield f"  classes         {len(ranked):,} of {each.num_classes:,} occur"
    rarest = ranked[CLASSES_NAMED:][::-1][:CLASSES_NAMED]  # none twice
    for word, chosen in (("commonest", ranked[:CLASSES_NAMED]), ("rarest", rarest)):
        if chosen:
            named = ", ".join(f"{shorten(name, 24)} ({videos:,})" for _, name, videos in chosen)
            yield from _wrapped(f"    {word}", named)


def _wrapped(word: str, said: str) -> list[str]:
    """Some words behind one, in the second column."""
    return textwrap.wrap(
        said,
        WIDTH,
        initial_indent=f"{word:18}",
        subsequent_indent=" " * 18,
        break_long_words=False,
        break_on_hyphens=False,
    )
