// What leaves the view: every number drawn as CSV, the figure as PNG and SVG.

import { plural, signed, small, visible } from "./numbers.js";
import { CanvasPainter, fit, SvgPainter } from "./painters.js";
import { EDGE, edges, layout, paintRows, weightsOf } from "./rows.js";
import { make } from "./elements.js";

const WIDTH = 960; // of a figure, in CSS pixels

/** What differs from the model's own weights, in words; "" where nothing does. */
export function changesOf({ state, lead, stale }) {
  const { temperature, top, uniform, masked, removed, muted } = state;
  const frames = (count, what, of = "") => count > 0 && `${of}${plural(count, "frame")} ${what}`;
  return [
    !uniform && temperature !== 1 && `temperature ${temperature.toFixed(2)}`,
    top != null && top < (lead?.base.count ?? 0) && `top ${top} kept`,
    uniform && "uniform weights",
    frames(masked.size, "masked"), frames(removed.size, stale ? "removed (scores stale)" : "removed"),
    ...Object.entries(muted).map(([name, { length }]) => frames(length, "muted", `${name} of `)),
  ].filter(Boolean).join("; ");
}

/** Every number drawn, as [column, of(run)], which gives a function of the frame, or nothing where the run has no such number. */
function columnsOf(view, runs) {
  const { state, lead } = view, union = (names) => [...new Set(runs.flatMap(names))], always = (value) => () => value;
  const listed = (values) => values && ((t) => values[t]), named = state.classes.map((label) => [label, view.nameOf(label)]);
  const groups = union(({ base }) => (base.groups.length > 1 && !base.own ? base.groups : []));
  const split = state.by_modality ? union(({ base }) => (base.modalities.length > 1 ? base.modalities : [])) : [];
  const truth = Object.entries(lead?.base.truth ?? {}).map(([label, frames]) => [view.nameOf(Number(label)), new Set(frames)]);
  // A column stays where nothing is known for the moment.
  const weight = ({ base, result }, values) => (base.weighs && result.known ? values : always(NaN));
  const part = (run, where, at) => at >= 0 && weight(run, weightsOf({ run, [where]: at }, run.result.columns, run.result.weights));
  const share = (run, label, modality) => {
    const k = run.now.classes.indexOf(label), m = modality ? run.base.modalities.indexOf(modality) : null;
    return k < 0 || m === -1 || !run.now.explained ? null : view.valueOf({ run, k, share: m });
  };
  const fate = (run) => (t) => (view.isRemoved(run, t) ? "removed" : view.isMasked(run, t) ? "masked"
    : !run.base.weighs || run.result.weights[t] > 0 ? "kept" : "left out");
  return [
    ["run", (run) => always(run.name)], ["frame", () => (t) => t + 1], ["seconds", ({ base }) => (t) => Number(base.times[t].toFixed(3))],
    ["weight", (run) => weight(run, view.weightsOf(run))],
    ["model weight", (run) => (run.base.weighs ? view.weightsOf(run, "base") : always(NaN))],
    ...groups.map((name) => [`weight ${name}`, (run) => !run.base.own && part(run, "group", run.base.groups.indexOf(name))]),
    ...named.map(([label, name]) => [`weight of ${name}`, (run) => run.base.own && part(run, "k", run.base.classes.indexOf(label))]),
    ["state", fate],
    ...named.flatMap(([label, name]) =>
      ["", ...split].map((modality) => [`${name} share${modality && ` ${modality}`}`, (run) => share(run, label, modality)])),
    ...named.map(([label, name]) => [`${name} gap`, ({ now }) => now.gap && always(now.gap[now.termClasses.indexOf(label)])]),
    ["shares are", ({ base }) => base.explained && always(base.termsTitle)],
    ["attention rollout", ({ now }) => listed(now.rollout)],
    ...union(({ base }) => Object.keys(base.energy)).flatMap((name) =>
      ["energy", "change"].map((signal) => [`${name} ${signal}`, ({ base }) => listed(base[signal][name])])),
    ...truth.map(([name, frames]) => [`ground truth ${name}`, (run) => (t) => Number(frames.has(run.link[t]))]),
  ];
}

const written = (value) => (typeof value !== "number" ? value ?? "" : Number.isFinite(value) ? Number(value.toPrecision(7)) : "");
/** Every number drawn, a row a frame and run; what no run has is no column. */
export function records(view) {
  const runs = view.shown.filter((run) => !run.now.problem), columns = columnsOf(view, runs).filter(([, of]) => runs.some(of));
  const rows = runs.flatMap((run) => {
    const values = columns.map(([, of]) => of(run) || (() => ""));
    return Array.from({ length: run.base.count }, (_, t) => values.map((value) => written(value(t))));
  });
  return { head: columns.map(([name]) => name), rows };
}

// A leading apostrophe keeps spreadsheets from reading a cell as a formula.
const cell = (value) =>
  (typeof value === "number" ? String(value) : `"${value.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
// What was changed is a column, not a line above the head: programs read the file as it is.
function csv(view) {
  const { head, rows } = records(view), changes = changesOf(view) || "nothing";
  return [[...head, "changed"], ...rows.map((row) => [...row, changes])].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** The picture as it stands, with a title: the same painting on another back end. Returns what it shows, in words. */
function picture(view, painter) {
  const { scene, state, lead, colors } = view, changes = changesOf(view), lay = layout(view, WIDTH);
  const title = `${scene.title} on ${scene.data}${scene.generated ? " (generated data)" : ""}`;
  const label = scene.videos.find(({ id }) => id === state.video)?.label ?? "";
  const lines = [
    label, changes ? `Changed: ${changes}` : "Nothing is changed: these are the model's own weights.",
    lay.rows.some((row) => row.kind === "signed") && !state.common_scale && "Each class is drawn to its own scale.",
    state.window && `Frames ${state.window.map((t) => t + 1).join(" to ")} of ${lead?.base.count}.`,
  ].filter(Boolean);
  const head = 26 + 18 * lines.length, write = (text, y, size, bold) =>
    painter.text(EDGE, y, fit(text, WIDTH - 2 * EDGE, painter.font(size, bold)), colors.ink, { size, bold });
  for (const row of lay.rows) { row.y += head; row.top += head; }
  lay.bottom += head; lay.height += head;
  for (const run of view.runs) if (!run.base.problem) run.at = edges(run.base.times, view.span, lay);
  view.invalidate("size"); // the page has other edges
  painter.open?.(lay.height);
  painter.rects([0, 0, WIDTH, lay.height], colors.ground);
  write(title, 18, 14, true);
  lines.forEach((line, k) => write(line, 36 + 18 * k, 12));
  paintRows(painter, view, lay, colors);
  for (const row of lay.rows) if (["weights", "signed"].includes(row.kind) && row.run.result.known) {
    const value = row.value ?? view.valueOf(row);
    let most = 0;
    for (let [t, behind] = visible(row.run.at); t < behind; t++) if (Math.abs(value(t)) > Math.abs(most)) most = value(t);
    painter.text(lay.right, row.y + 12, `largest ${row.value ? small(most) : signed(most, 3)}`, colors.ink, { anchor: "end", size: 11 });
  }
  return { height: lay.height, words: `${title}: ${label}${changes ? ` (${changes})` : ""}` };
}

/** Save the numbers ("csv") or the picture ("svg", "png"); as PNG the matrix of similarities where that is what is drawn. */
export async function download(view, kind) {
  if (view.dirty.weights) view.draw(); // not the numbers before the last change
  const { family } = view.colors, matrix = kind === "png" && view.similarity.drawn ? view.similarity.canvas : null;
  let content;
  if (kind === "csv") content = new Blob(["\ufeff", csv(view)], { type: "text/csv" });
  else if (kind === "svg") {
    const painter = new SvgPainter(family), { height, words } = picture(view, painter);
    content = new Blob([painter.document(WIDTH, height, words)], { type: "image/svg+xml" });
  } else {
    const canvas = matrix ?? document.createElement("canvas"), painter = new CanvasPainter(canvas.getContext("2d"), family);
    painter.open = (height) => { Object.assign(canvas, { width: 2 * WIDTH, height: 2 * height }); painter.context.scale(2, 2); };
    if (!matrix) picture(view, painter);
    content = await new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  const href = URL.createObjectURL(content), name = String(view.state.video).replace(/[^\w.-]+/g, "_");
  make("a", { href, download: `${matrix ? "similarity" : "attention"}-${name}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}
