"""GAP@20 of the rungs as bars, with the interval that another draw of videos would give."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dmlkit.plots.given import as_rows, as_runs, headed
from dmlkit.plots.plot import Plot, canvas, nothing, shorten, styled

BAR = "#56B4E9"
ENSEMBLE_BAR = "#E9C46A"


@styled
def ladder(rows: pd.DataFrame | list[dict], dataset=None, *, title: str = "The ladder so far") -> Plot:
    """A bar a rung in the paper's order, with its 95 % interval; where there is no bar, the reason.

    Args:
        rows: `study.ladder()`, `study.beside()` or `study.results(...)`.
        dataset: The data set, to say what data it was.
        title: Over the figure.
    """
    rows = as_rows(rows)
    if rows.empty:
        return nothing("there are no rungs in this table.", title=title)
    figure, (axes,) = canvas(height=1.25 + 0.36 * len(rows), title=headed(title, dataset))
    _bars(axes, rows)
    return Plot(figure, _in_words(title, rows, dataset))


@styled
def ensemble_members(run, members, *, title: str = "The ensemble and its members") -> Plot:
    """GAP@20 of an ensemble beside its members', and the weight of each.

    Args:
        run: The ensemble's run, or None where the data set cannot serve it.
        members: Its members' runs, by name or as a list.
        title: Over the figure.
    """
    if run is None:
        return nothing("there is no ensemble here.", title=title)
    # Members of several seeds share a name, and come in the record's order.
    weights: dict[str, list[float]] = {}
    for member in run.record["members"]:
        weights.setdefault(member["name"], []).append(member["weight"])
    shown = [(member, weights[member.name].pop(0)) for member in as_runs(members) if weights.get(member.name)]
    rows = as_rows([_row(member, f"{member.title} (weight {weight:.3f})") for member, weight in shown])
    rows = pd.concat([rows, as_rows([_row(run, run.title)])], ignore_index=True)
    figure, (axes,) = canvas(height=1.25 + 0.42 * len(rows), title=headed(title, run))
    _bars(axes, rows, ensembles={run.name})
    return Plot(figure, _in_words(title, rows, run))


def _row(run, title: str) -> dict:
    low, high = run.metrics["gap_interval"]
    return {
        "name": run.name, "title": title, "status": "trained", "gap": run.gap, "gap_low": low, "gap_high": high
    }  # fmt: skip


def _bars(axes: Axes, rows: pd.DataFrame, ensembles: set[str] | None = None) -> None:
    places = np.arange(len(rows))
    right = np.nanmax([0.05, *rows["gap"], *rows["gap_high"]])
    for place, row in zip(places, rows.to_dict("records"), strict=True):
        if np.isnan(row["gap"]):
            axes.text(
                0.006 * right,
                place,
                shorten(_absence(row), 88),
                va="center",
                style="italic",
                color="#666666",
                size=9,
            )
            continue
        is_ensemble = row["name"] in (ensembles or ()) or _is_ensemble(row)
        axes.barh(
            place, row["gap"], height=0.62, color=ENSEMBLE_BAR if is_ensemble else BAR, edgecolor="#333333",
            linewidth=0.8, hatch="//" if is_ensemble else None,
        )  # fmt: skip
        end = row["gap"]
        if not np.isnan(row["gap_low"]):
            axes.plot([row["gap_low"], row["gap_high"]], [place, place], color="black", linewidth=1.6)
            axes.plot([row["gap_low"], row["gap_high"]], [place, place], "|", color="black", markersize=9)
            end = row["gap_high"]
        axes.text(end + 0.012 * right, place, f"{row['gap']:.4f}", va="center")
    axes.set_yticks(places, [shorten(title, 44) for title in rows["title"]])
    axes.set_xlim(0, 1.12 * right)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("GAP@20 on the validation part; line: 95 % interval over videos")


def _is_ensemble(row: dict) -> bool:
    return isinstance(row["experiment"], dict) and "members" in row["experiment"]


def _absence(row: dict) -> str:
    status = row["status"] if isinstance(row["status"], str) else "no run"
    return f"{status}: {row['reason']}" if isinstance(row["reason"], str) and row["reason"] else status


def _in_words(title: str, rows: pd.DataFrame, source) -> str:
    said = []
    for row in rows.to_dict("records"):
        if np.isnan(row["gap"]):
            said.append(f"{row['title']} {_absence(row)}")
        elif np.isnan(row["gap_low"]):
            said.append(f"{row['title']} {row['gap']:.4f}")
        else:
            said.append(
                f"{row['title']} {row['gap']:.4f} (interval {row['gap_low']:.4f} to {row['gap_high']:.4f})"
            )
    return f"{headed(title, source)}. Bars of GAP@20: {'; '.join(said)}."
