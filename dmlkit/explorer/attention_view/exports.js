// What leaves the view: every number drawn as CSV, the figure as PNG and SVG.

import { plural, signed, small, visible } from "./numbers.js";
import { CanvasPainter, fit, SvgPainter } from "./painters.js";
import { EDGE, edges, layout, paintRows, weightsOf } from "./rows.js";
import { make } from "./elements.js";

/** What differs from the model's own weights, in words; "" where nothing does. */
export function changesOf({ state, lead, stale }) {
  const { temperature, top, uniform, masked, removed, muted } = state,
    some = (set, what, other) => set.size && `${other?.size ? set.size : plural(set.size, "frame")} ${what}`;
  return [
    !uniform && temperature !== 1 && `temperature ${temperature.toFixed(2)}`,
    top != null && top < (lead?.base.count ?? 0) && `top ${top} kept`,
    uniform && "uniform weights", some(masked, "masked"), some(removed, stale ? "removed (scores stale)" : "removed", masked),
    ...Object.entries(muted).map(([name, frames]) => `${name} of ${plural(frames.length, "frame")} muted`),
  ].filter(Boolean).join("; ");
}

const number = (x, n = 7) => (Number.isFinite(x) ? Number(x.toPrecision(n)) : "");
const union = (runs, names) => [...new Set(runs.flatMap(names))];
/** Every number drawn of a frame of a run, as [column, value(run, t)]. */
function columnsOf(view) {
  const { state, nameOf } = view, runs = view.shown.filter((run) => !run.now.problem), columns = [],
    add = (name, value) => columns.push([name, value]);
  const weight = (run, which, row, t) => (run.base.weighs && (which === "base" || run.result.known) ? row(t) : NaN);
  add("run", (run) => run.name); add("frame", (_, t) => t + 1); add("seconds", (run, t) => Number(run.base.times[t].toFixed(3)));
  for (const [name, which] of [["weight", "result"], ["model weight", "base"]])
    add(name, (run, t) => number(weight(run, which, view.weightsOf(run, which), t)));
  const part = (run, where, t) => number(weight(run, "result", weightsOf({ run, ...where }, run.result.columns, run.result.weights), t));
  for (const name of union(runs, ({ base }) => (base.weighs && base.groups.length > 1 ? base.groups : [])))
    add(`weight ${name}`, (run, t) => (run.base.groups.includes(name) && !run.base.own ? part(run,
      { group: run.base.groups.indexOf(name) }, t) : ""));
  if (runs.some(({ base }) => base.own)) for (const label of state.classes)
    add(`weight of ${nameOf.call(view, label)}`, (run, t) => (run.base.own && run.base.classes.includes(label) ? part(run,
      { k: run.base.classes.indexOf(label) }, t) : ""));
  add("state", (run, t) => (view.isRemoved(run, t) ? "removed" : view.isMasked(run, t) ? "masked"
    : !run.base.weighs || run.result.weights[t] > 0 ? "kept" : "left out"));
  const modalities = union(runs, ({ base }) => (state.by_modality && base.modalities?.length > 1 ? base.modalities : []));
  for (const label of state.classes) for (const modality of ["", ...modalities])
    add(`${nameOf.call(view, label)} share${modality && ` ${modality}`}`, (run, t) => {
      const k = run.now.classes.indexOf(label), share = modality ? run.base.modalities.indexOf(modality) : null;
      return k < 0 || share === -1 || !run.now.explained ? "" : number(view.valueOf({ run, k, share })(t));
    });
  if (runs.some(({ now }) => now.gap)) for (const label of state.classes)
    add(`${nameOf.call(view, label)} gap`, ({ now }) => number(now.gap?.[now.termClasses.indexOf(label)]));
  if (runs.some(({ base }) => base.explained)) add("shares are", ({ base }) => (base.explained ? base.termsTitle : ""));
  if (runs.some(({ now }) => now.rollout)) add("attention rollout", ({ now }, t) => number(now.rollout?.[t]));
  for (const name of union(runs, ({ base }) => Object.keys(base.energy)))
    for (const signal of ["energy", "change"]) add(`${name} ${signal}`, ({ base }, t) => number(base[signal][name]?.[t], 6));
  for (const [label, frames] of Object.entries(view.lead?.base.truth ?? {}))
    add(`ground truth ${nameOf.call(view, Number(label))}`, (run, t) => (frames.includes(run.link[t]) ? 1 : 0));
  return { columns, runs };
}
/** Every number drawn, a row a frame and run. */
export function records(view) {
  const { columns, runs } = columnsOf(view), values = columns.map(([, value]) => value);
  const rows = runs.flatMap((run) => Array.from({ length: run.base.count }, (_, t) => values.map((value) => value(run, t))));
  return { head: columns.map(([name]) => name), rows };
}

// A leading apostrophe keeps spreadsheets from reading a cell as a formula.
export const cell = (value) => (typeof value === "number" ? String(value)
  : `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
// What was changed is a column, not a line above the head: programs read the file as it is.
export function csv(view) {
  const { head, rows } = records(view), changes = changesOf(view) || "nothing";
  return [[...head, "changed"], ...rows.map((row) => [...row, changes])].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** The picture as it stands, with a title: the same painting on another back end. */
export function picture(view, painter, width) {
  const title = `${view.scene.title} on ${view.scene.data}${view.scene.generated ? " (generated data)" : ""}`,
    label = view.scene.videos.find((v) => v.id === view.state.video)?.label ?? "";
  const kept = new Map(view.runs.map((run) => [run, run.at])), lay = layout(view, width);
  const changes = changesOf(view), scaled = lay.rows.some((row) => row.kind === "signed");
  const lines = [label, changes ? `Changed: ${changes}` : "Nothing is changed: these are the model's own weights.",
    scaled && !view.state.common_scale ? "Each class is drawn to its own scale." : "",
    view.state.window ? `Frames ${view.state.window.map((t) => t + 1).join(" to ")} of ${view.lead?.base.count}.` : ""].filter(Boolean),
      head = 26 + 18 * lines.length;
  for (const row of lay.rows) { row.y += head; row.top += head; }
  lay.bottom += head; lay.height += head;
  for (const run of view.runs) if (!run.base.problem) run.at = edges(run.base.times, view.span, lay);
  painter.open?.(lay.height);
  painter.rects([0, 0, width, lay.height], view.colors.ground);
  painter.text(EDGE, 18, fit(title, width - 2 * EDGE, painter.font(14, true)), view.colors.ink, { size: 14, bold: true });
  lines.forEach((line, k) => painter.text(EDGE, 36 + 18 * k, fit(line, width - 2 * EDGE, painter.font(12)), view.colors.ink));
  paintRows(painter, view, lay, view.colors);
  for (const row of lay.rows) {
    const value = row.kind === "weights" ? row.value : row.kind === "signed" ? view.valueOf(row) : null;
    if (!value || !row.run.result.known) continue;
    let largest = 0;
    for (let [t, behind] = visible(row.run.at); t < behind; t++) if (Math.abs(value(t)) > Math.abs(largest)) largest = value(t);
    painter.text(lay.right, row.y + 12, `largest ${row.kind === "weights" ? small(largest) : signed(largest, 3)}`, view.colors.ink,
      { anchor: "end", size: 11 });
  }
  for (const [run, at] of kept) run.at = at;
  return { lay, title: `${title}: ${label}${changes ? ` (${changes})` : ""}` };
}

export async function download(view, kind) {
  if (view.dirty.weights) view.draw(); // not the numbers before the last change
  const width = 960;
  let blob;
  if (kind === "csv") blob = new Blob(["\ufeff", csv(view)], { type: "text/csv" });
  else if (kind === "svg") {
    const painter = new SvgPainter(view.colors.family), { lay, title } = picture(view, painter, width);
    blob = new Blob([painter.document(width, lay.height, title)], { type: "image/svg+xml" });
  } else {
    const canvas = document.createElement("canvas"), painter = new CanvasPainter(canvas.getContext("2d"), view.colors.family);
    painter.open = (height) => { canvas.width = 2 * width; canvas.height = 2 * height; painter.context.scale(2, 2); };
    picture(view, painter, width);
    blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: `attention-${String(view.state.video).replace(/[^\w.-]+/g, "_")}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
