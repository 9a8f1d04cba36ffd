// Heat maps: what frames add to all classes, whose rows choose the classes drawn; the assignment of frames to clusters.

import { cut, digits, short, signed, visible } from "./numbers.js";
import { fit } from "./painters.js";

const CELL = 13, LOWEST = 5, KEY = 20, MOST_CLUSTERS = 24, TALLEST = 100, COLOURS = 90; // mostly pixels

/** The run whose terms of all classes are mapped: the one chosen, else the first that has any. */
export function heatOf(view) {
  const able = view.shown.filter((run) => !run.now.problem && run.now.explained && labelsOf(run).length);
  return able.find((run) => run.name === view.heat) ?? able[0];
}
const labelsOf = ({ base, now }) => base.classes.filter((label) => now.termClasses.includes(label));

/** A row a class. */
export function mapOfClasses(run, of, hint) {
  const labels = labelsOf(run), columns = labels.map((label) => run.base.classes.indexOf(label));
  return { kind: "heat", run, labels, columns, hint, cell: CELL, height: labels.length * CELL, below: KEY,
    title: `${of}All classes: ${run.now.termsTitle}` };
}

/** A row a cluster, those with the largest shares first. */
export function mapOfClusters(run, of) {
  const { clusters } = run.base, mass = new Float64Array(clusters);
  run.now.assignment.forEach((share, at) => { mass[at % clusters] += share; });
  const columns = Array.from(mass.keys()).sort((a, b) => mass[b] - mass[a]).slice(0, MOST_CLUSTERS);
  const cell = Math.max(LOWEST, Math.min(CELL, TALLEST / columns.length)), some = columns.length < clusters;
  return { kind: "clusters", run, columns, cell, height: columns.length * cell, below: KEY,
    title: `${of}Assignment to clusters${some ? `, the ${columns.length} largest of ${clusters}` : ""}` };
}

const tables = new WeakMap();
/** Colours of −1 … 1 in 256 steps, for each of a cell's four lines: stripes tell negative ones apart, the last line rows. */
export function shades(colors) {
  if (!tables.has(colors)) {
    const { ground, up, down } = colors.rgb;
    tables.set(colors, [1, 0.35, 1, 0.35].map((stripe, line) => Uint32Array.from({ length: 256 }, (_, k) => {
      const share = Math.abs(k - 128) / 127 * (k < 128 ? stripe : 1) * (line === 3 ? 0.75 : 1);
      const bytes = ground.map((from, part) => Math.round(from + ((k < 128 ? down : up)[part] - from) * Math.min(1, share)));
      return new Uint32Array(Uint8Array.of(...bytes, 255).buffer)[0];
    })));
  }
  return tables.get(colors);
}

/** Pixels of the colours of `shades` as a canvas of so many across. */
export function asCanvas(pixels, width) {
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), width);
  const canvas = Object.assign(document.createElement("canvas"), { width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

const pictures = new WeakMap();
/** Columns of rows of numbers as a picture, a pixel wide where frames begin `at`; where they share a pixel the extreme counts.
 *  It is kept until the numbers, the place or the colours are others. */
function pictureOf(values, { columns, each, at, span, peak, left, right, colors }) {
  const key = [columns, span, peak, left, right].join(), kept = pictures.get(values);
  if (kept?.key === key && kept.colors === colors) return kept.canvas;
  const width = Math.max(1, Math.round(right - left)), lines = shades(colors), [first, behind] = visible(at);
  const pixels = new Uint32Array(width * columns.length * lines.length);
  columns.forEach((column, r) => {
    const extremes = new Float32Array(width);
    for (let t = first; t < behind; t++) {
      const v = values[t * each + column] || 0, from = Math.floor(at[t] - left), end = Math.max(from + 1, Math.floor(at[t + 1] - left));
      for (let x = from; x < end && x < width; x++) if (Math.abs(v) > Math.abs(extremes[x])) extremes[x] = v;
    }
    for (let x = 0; x < width; x++) {
      const shade = 128 + Math.round(127 * extremes[x] / (peak || 1));
      lines.forEach((line, k) => { pixels[(r * lines.length + k) * width + x] = line[shade]; });
    }
  });
  const canvas = asCanvas(pixels, width);
  pictures.set(values, { key, colors, canvas });
  return canvas;
}

/** A map's numbers, (frames × `each`), of which `columns` are drawn. */
const valuesOf = ({ run, labels }) =>
  (labels ? { values: run.result.terms, each: run.base.classes.length } : { values: run.now.assignment, each: run.base.clusters });

/** The cells, their rows' names, and the colours with their numbers. */
export function paintHeat(painter, view, row, lay, colors) {
  const { run, columns, labels, cell, top, height } = row, { left, right } = lay, { span } = view, size = 10;
  const { values, each } = valuesOf(row), every = Math.ceil((size + 1) / cell);
  let peak = labels ? 0 : 1;
  for (let t = 0; labels && t < run.base.count; t++) for (const k of columns) peak = Math.max(peak, Math.abs(values[t * each + k]) || 0);
  const cells = pictureOf(values, { columns, each, at: run.at, span, peak, left, right, colors });
  painter.image(cells, left, top, right - left, height);
  columns.forEach((column, r) => {
    const bold = Boolean(labels) && view.state.classes.includes(labels[r]);
    const name = labels ? `${bold ? "✓ " : ""}${cut(view.nameOf(labels[r]))}` : String(column + 1);
    const text = r % every ? "" : fit(name, left - 8, painter.font(size, bold));
    painter.text(left - 4, top + (r + 0.5) * cell + 3.5, text, colors.ink, { size, bold, anchor: "end" });
  });
  if (!peak) return; // nothing is known
  const low = labels ? -peak : 0, step = (peak - low) / COLOURS, y = top + height + 5, from = left + 44, to = from + COLOURS;
  const scale = Float32Array.from({ length: COLOURS }, (_, k) => low + (k + 0.5) * step);
  const at = Array.from({ length: COLOURS + 1 }, (_, k) => from + k);
  painter.image(pictureOf(scale, { columns: [0], each: 1, at, peak, left: from, right: to, colors }), from, y, COLOURS, 9);
  painter.text(from - 5, y + 8, short(low), colors.ink, { size, anchor: "end" });
  const highest = `${labels ? "+" : ""}${short(peak)}   ${labels ? `striped: negative${row.hint}` : "largest first"}`;
  painter.text(to + 5, y + 8, fit(highest, right - to - 5, painter.font(size)), colors.ink, { size });
}

/** The number at a frame: of the row under the pointer, else of the one farthest from zero. */
export function numberOfHeat(view, row, t) {
  const { labels, columns } = row, { values, each } = valuesOf(row), value = (r) => values[t * each + columns[r]];
  const hovered = labels ? labels.indexOf(view.hovered) : -1;
  const farthest = (best, _, other) => (Math.abs(value(other)) > Math.abs(value(best)) ? other : best);
  const r = hovered >= 0 ? hovered : columns.reduce(farthest, 0);
  if (!Number.isFinite(value(r))) return "";
  return labels ? `${signed(value(r), 3)} ${cut(view.nameOf(labels[r]))}` : `most: cluster ${columns[r] + 1}, ${digits(value(r), 2)}`;
}
