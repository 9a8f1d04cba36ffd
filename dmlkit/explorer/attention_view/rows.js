// The rows of the figure: which there are, where they lie on the time axis, and how each is painted.

import { cut, digits, seconds, signed, small } from "./numbers.js";
import { fit, textWidth } from "./painters.js";

export const HEAD = 19, GAP = 9, AXIS = 34, EDGE = 6, VOID = 24;
const HEIGHT = { weights: 84, group: 30, rollout: 40, signed: 46, signal: 34, truth: 9, words: 18 };
const CELL = 13, STRIPES = 4, KEY = 20, MOST_CLUSTERS = 24; // of heat maps: pixels a row and of the colour bar

/** Which rows there are, from top to bottom, and where: a plain list that painters and input handlers share. */
export function layout(view, width) {
  const rows = [], { lead, shown, state } = view, many = shown.length > 1, narrow = width < 560;
  const of = (run) => (many ? `${run.letter} · ` : "");
  for (const run of shown) rows.push(...weightRows(view, run, of(run), many && !narrow ? `${run.name}: ` : ""));
  for (const label of state.classes) for (const run of shown) if (!run.now.problem) rows.push(...classRows(view, run, label, of(run)));
  const heat = heatOf(view);
  if (heat) rows.push({ kind: "heat", run: heat, labels: labelsOf(heat), title: `${of(heat)}All classes: ${heat.now.termsTitle}`,
    hint: narrow ? "" : "click a row to draw its class" });
  if (lead) {
    for (const [label, frames] of Object.entries(lead.base.truth).filter(([, frames]) => frames.length).slice(0, 5))
      rows.push({ kind: "truth", frames, title: `ground truth: ${cut(view.nameOf(Number(label)))}` });
    for (const name of Object.keys(lead.base.energy))
      rows.push({ kind: "signal", name, title: `${name}: energy (area)${narrow ? "," : " and"} change (line)` });
  }
  let y = 8;
  for (const row of rows) {
    const cells = row.kind === "heat" ? row.labels : row.kind === "clusters" ? row.ranked : null;
    row.cell = row.kind === "clusters" ? Math.max(5, Math.min(CELL, 100 / cells.length)) : CELL;
    row.y = y; row.top = y + (row.kind === "truth" ? 15 : HEAD);
    row.height = cells ? cells.length * row.cell : HEIGHT[row.group == null ? row.kind : "group"];
    y = row.top + row.height + GAP + (cells ? KEY : 0);
  }
  const staticFrom = rows.find((row) => row.kind === "truth" || row.kind === "signal")?.y ?? y - GAP;
  const key = JSON.stringify([width, ...rows.map((row) => [row.kind, row.title, row.height])]);
  const bottom = y - GAP + 4, gutter = narrow ? 46 : 92;
  return { rows, key, staticFrom, width, left: EDGE + gutter, right: width - EDGE, bottom, height: bottom + AXIS };
}

function weightRows(view, run, of, name) {
  const { base, now } = run, rows = [];
  if (now.problem) return [{ kind: "words", run, title: of + run.name, text: now.problem }];
  const drawn = view.state.classes.some((label) => base.classes.includes(label)), groups = base.groups.length;
  if (!base.weighs) rows.push({ kind: "words", run, title: `${of}${run.name}`, text: `${base.title}.` });
  else if (!base.own || !drawn) {
    const mean = base.own ? ", mean over the classes" : groups > 1 ? `, mean of ${groups}` : "";
    rows.push({ kind: "weights", run, title: `${of}${name}${base.title}${mean}` });
    if (groups > 1) base.groups.forEach((each, group) => rows.push({ kind: "weights", run, group, title: of + each }));
  }
  if (now.rollout) rows.push({ kind: "rollout", run, title: `${of}Attention rollout (Abnar and Zuidema 2020)` });
  if (now.assignment) {
    const mass = new Float64Array(base.clusters);
    now.assignment.forEach((share, at) => { mass[at % base.clusters] += share; });
    const ranked = Array.from(mass.keys()).sort((a, b) => mass[b] - mass[a]).slice(0, MOST_CLUSTERS);
    const first = ranked.length < base.clusters ? `, the ${ranked.length} largest of ${base.clusters}` : "";
    rows.push({ kind: "clusters", run, ranked, title: `${of}Assignment to clusters${first}` });
  }
  return rows;
}

function classRows(view, run, label, of) {
  const { base, now } = run, k = base.classes.indexOf(label), name = cut(base.names[k] ?? ""), rows = [];
  if (k < 0) return rows;
  if (base.own) rows.push({ kind: "weights", run, k, label, title: `${of}${name}: ${base.title[0].toLowerCase()}${base.title.slice(1)}` });
  const at = now.termClasses.indexOf(label), gap = now.gap && at >= 0 && !now.exact ? `, gap ${signed(now.gap[at])}` : "";
  if (!now.explained) rows.push({ kind: "words", run, title: of + name, text: "no contributions were given for this class" });
  else if (at < 0) rows.push({ kind: "words", run, title: of + name, text: "its terms are not computed: draw it with a kernel" });
  else {
    const split = view.state.by_modality && now.modalities.length > 1 ? now.modalities : [null];
    split.forEach((modality, m) => rows.push({ kind: "signed", run, k, label, share: modality === null ? null : m,
      title: `${of}${name}: ${modality ? `${modality}, ` : ""}${now.exact || now.termsTitle.includes("approx") ? "" : "≈ "}${now.termsTitle}${gap}` }));
  }
  return rows;
}

/** The run whose contributions of all classes are drawn, and these classes. */
export const heatOf = (view) => {
  const able = view.shown.filter((run) => !run.now.problem && run.now.explained && labelsOf(run).length);
  return able.find((run) => run.name === view.heat) ?? able[0];
};
const labelsOf = ({ base, now }) => base.classes.filter((label) => now.termClasses.includes(label));

/** A row's weights: of all groups together or one, of all classes alike or one. */
export function weightsOf({ run, group = null, k = null }, columns, mean) {
  const { width, groups, own } = run.base, each = width / groups.length, column = own ? k : 0;
  if (group === null && k === null) return (t) => mean[t];
  const chosen = group === null ? groups.map((_, g) => g) : [group];
  return (t) => chosen.reduce((sum, g) => sum + columns[t * width + g * each + column], 0) / chosen.length;
}

/** The second at which a frame begins: halfway to its neighbour in time. */
export function boundary(times, t) {
  const n = times.length, half = n > 1 ? (times[n - 1] - times[0]) / (n - 1) / 2 : 0.5;
  return t === 0 ? times[0] - half : t === n ? times[n - 1] + half : (times[t - 1] + times[t]) / 2;
}

/** Where each frame begins and ends, in pixels. Frames outside the window lie at its ends, without a width. */
export function edges(times, [low, high], lay) {
  const scale = (lay.right - lay.left) / (high - low);
  return Float64Array.from({ length: times.length + 1 }, (_, t) =>
    Math.min(lay.right, Math.max(lay.left, lay.left + (boundary(times, t) - low) * scale)));
}

/** The frames that have a width, as [first, behind the last]. */
export function visible(at) {
  let first = 0, behind = at.length - 1;
  while (first < behind && at[first + 1] <= at[0]) first++;
  while (behind > first && at[behind - 1] >= at[at.length - 1]) behind--;
  return [first, behind];
}

/** Bars up and down from `zero`. Where frames are narrower than a pixel, a pixel shows its frames' extremes. */
export function bars(value, at, zero, scale) {
  const up = [], down = [], [first, behind] = visible(at);
  const put = (x, w, high, low) => {
    if (high > 0) up.push(x, zero - high * scale, w, high * scale);
    if (low < 0) down.push(x, zero, w, -low * scale);
  };
  if (at[behind] - at[first] >= 1.5 * (behind - first)) {
    for (let t = first; t < behind; t++) {
      const w = at[t + 1] - at[t], v = value(t), gap = Math.min(1, w * 0.16);
      put(at[t] + gap / 2, w - gap, Math.max(v, 0), Math.min(v, 0));
    }
    return { up, down };
  }
  for (let t = first; t < behind; ) {
    const pixel = Math.floor(at[t]);
    let high = 0, low = 0;
    for (; t < behind && Math.floor(at[t]) === pixel; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
    put(pixel, 1, high, low);
  }
  return { up, down };
}

export function hatch(painter, x, y, w, h, colour, upright) {
  if (w <= 0) return;
  const list = [];
  if (upright) for (let k = 2; k < Math.max(w, 3); k += 4) list.push(x + Math.min(k, w), y, x + Math.min(k, w), y + h);
  else for (let k = -h + ((x + h) % 6 ? 6 - ((x + h) % 6) : 0); k < w; k += 6) {
    const a = Math.max(k, 0), b = Math.min(k + h, w);
    if (b > a) list.push(x + a, y + h - (a - k), x + b, y + h - (b - k));
  }
  painter.lines(list, colour, { width: 1 });
}

/** Neighbouring frames of a set, as [first, behind the last]. */
export function stretches(count, has) {
  const found = [];
  for (let t = 0; t < count; t++) if (has(t)) {
    if (found.length && found.at(-1)[1] === t) found.at(-1)[1]++; else found.push([t, t + 1]);
  }
  return found;
}

/** Bars in the colour and texture of their run; of one run alone those below zero have another colour. */
function paintBars(painter, view, { up, down }, run, colors) {
  const k = view.shown.length > 1 ? view.runs.indexOf(run) % 3 : 0, alone = view.shown.length < 2;
  painter.rects(up, alone ? colors.up : colors[`run${k}`], k);
  painter.rects(down, alone ? colors.down : colors[`run${k}`], k);
}

/** A labelled y-axis in the gutter: multiples of a round step, as many as have room. */
function paintScale(painter, lay, colors, { zero, scale, low, high }) {
  const raw = 12 / scale, power = 10 ** Math.floor(Math.log10(raw)), step = power * [1, 2, 5, 10].find((f) => f * power >= raw);
  if (!Number.isFinite(step)) return;
  const first = Math.ceil(low / step - 1e-9), count = Math.floor(high / step + 1e-9) - first + 1;
  // One number is no scale: then the ends have theirs.
  const ticks = count > 1 ? Array.from({ length: count }, (_, k) => (first + k) * step) : [low, 0, high].filter((v, k) => k === 1 || v);
  for (const v of ticks) {
    const y = zero - v * scale, text = String(Number(v.toPrecision(2))).replace("-", "−");
    painter.lines([lay.left - 4, y, lay.left, y], colors.soft);
    painter.text(lay.left - 6, y + 3.5, text, colors.ink, { size: 10, anchor: "end" });
  }
}

export function paintRows(painter, view, lay, colors, until = null) {
  const weights = lay.rows.filter((row) => row.kind === "weights" && !row.run.now.problem);
  let peak = 1e-12;
  for (const row of weights) {
    row.value = weightsOf(row, row.run.result.columns, row.run.result.weights);
    row.own = weightsOf(row, row.run.base.columns, row.run.base.weights);
    for (let t = 0; t < row.run.base.count; t++) peak = Math.max(peak, row.value(t), row.own(t));
  }
  const paint = { weights: paintWeights, rollout: paintRollout, signed: paintSigned, heat: paintHeat, clusters: paintClusters,
    truth: paintTruth, signal: paintSignal, words: paintWords };
  for (const row of lay.rows) {
    if (until !== null && row.y >= until) break;
    const size = row.kind === "truth" ? 11 : 12, bold = ["weights", "words", "heat", "clusters", "rollout"].includes(row.kind) && row.group == null;
    const room = (lay.right - EDGE) * (row.kind === "signed" && row.run.now.contributions ? 0.66 : 0.72);
    row.heading = fit(row.title, row.kind === "words" || row.kind === "truth" ? lay.right - EDGE : room, painter.font(size, bold));
    painter.text(EDGE, row.y + (row.kind === "truth" ? 10 : 12), row.heading, colors.ink, { size, bold });
    paint[row.kind](painter, view, row, lay, colors, peak);
  }
  if (until === null) paintAxis(painter, view, lay, colors);
}

function paintWords(painter, view, row, lay, colors) {
  painter.text(EDGE, row.top + 12, fit(row.text, lay.right - EDGE, painter.font(12)), colors.ink);
}

function paintWeights(painter, view, row, lay, colors, peak) {
  const { run } = row, { at, result, base: { count }, now } = run, zero = row.top + row.height;
  const high = Math.max(peak, 1.45 / count), scale = (row.height - 2) / high;
  // The model's own weights stay behind as a shade, and over higher bars as a tick.
  const own = result.neutral && !now.missing ? [] : bars(row.own, at, zero, scale).up;
  painter.rects(own, colors.area);
  const struck = (has, colour, upright) => {
    for (const [a, b] of stretches(count, has)) hatch(painter, at[a], row.top, at[b] - at[a], row.height, colour, upright);
  };
  struck((t) => view.isMasked(run, t), colors.soft, false);
  struck((t) => now.missing?.has(t) || view.isRemoved(run, t), colors.down, true);
  paintBars(painter, view, bars(row.value, at, zero, scale), run, colors);
  if (own[2] > 4 && result.known) painter.rects(own.map((x, i) => (i % 4 === 3 ? 1.5 : x)), colors.ink);
  painter.lines([lay.left, zero, lay.right, zero], colors.rule);
  paintScale(painter, lay, colors, { zero, scale, low: 0, high });
  if (result.kept) {
    const uniform = 1 / result.kept, y = zero - uniform * scale;
    if (y > row.top) painter.lines([lay.left, y, lay.right, y], colors.ink, { width: 1.25, dash: [6, 4] });
    const label = `dashed: uniform ${small(uniform)}${own.length ? "; shade: the model's own" : ""}`;
    const from = EDGE + textWidth(row.heading, painter.font(12, true)) + 14, fits = from + textWidth(label, painter.font(11)) < lay.right - 140;
    if (fits && row.group == null) painter.text(from, row.y + 12, label, colors.ink, { size: 11 });
  }
  if (result.known || row.group != null) return;
  const label = result.kept ? "not known: what is changed does not follow from these weights" : "no frame is left: no weights, no scores";
  const text = fit(label, lay.right - lay.left - 20, painter.font(12, true)), w = textWidth(text, painter.font(12, true)) + 20;
  const x = (lay.left + lay.right) / 2, y = row.top + row.height / 2;
  painter.rects([x - w / 2, y - VOID / 2, w, VOID], colors.ground);
  painter.text(x, y + 4, text, colors.ink, { anchor: "middle", bold: true });
}

function paintRollout(painter, view, row, lay, colors) {
  const { rollout } = row.run.now, high = Math.max(1e-12, ...rollout), scale = (row.height - 2) / high, zero = row.top + row.height;
  paintBars(painter, view, bars((t) => rollout[t], row.run.at, zero, scale), row.run, colors);
  painter.lines([lay.left, zero, lay.right, zero], colors.rule);
  paintScale(painter, lay, colors, { zero, scale, low: 0, high });
}

/** Zero is placed by the range of the values: a class without negative ones uses the whole height. */
function paintSigned(painter, view, row, lay, colors) {
  const { high, low } = view.extent(row), scale = (row.height - 2) / Math.max(high - low, 1e-12);
  const zero = row.top + 1 + (high > low ? high * scale : row.height - 2);
  paintBars(painter, view, bars(view.valueOf(row), row.run.at, zero, scale), row.run, colors);
  painter.lines([lay.left, zero, lay.right, zero], colors.rule);
  if (high > low) paintScale(painter, lay, colors, { zero, scale, low, high });
}

const mixed = (a, b, share) => a.map((x, k) => x + (b[k] - x) * share);

/** A picture of rows of numbers, a pixel a column, where the extreme counts; stripes make the negative ones known without colour. */
function heatImage(run, count, value, peak, lay, { ground, up, down }) {
  const width = Math.max(1, Math.round(lay.right - lay.left)), grid = new Float64Array(width * count), [first, behind] = visible(run.at);
  for (let t = first; t < behind; t++) {
    const from = Math.floor(run.at[t] - lay.left), to = Math.min(width, Math.max(from + 1, Math.floor(run.at[t + 1] - lay.left)));
    for (let r = 0; r < count; r++) {
      const v = value(t, r);
      for (let x = from; x < to; x++) if (Math.abs(v) > Math.abs(grid[r * width + x])) grid[r * width + x] = v;
    }
  }
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  Object.assign(canvas, { width, height: count * STRIPES });
  const image = context.createImageData(width, count * STRIPES);
  for (let y = 0; y < count * STRIPES; y++) for (let x = 0; x < width; x++) {
    const v = grid[Math.floor(y / STRIPES) * width + x], share = Math.min(1, Math.abs(v) / peak) * (v < 0 && y % 2 ? 0.35 : 1);
    const edge = y % STRIPES === STRIPES - 1 && count < 30 ? 0.75 : 1;
    image.data.set([...mixed(ground, v < 0 ? down : up, share * edge), 255], 4 * (y * width + x));
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The colours with their numbers, under a heat map. */
function paintKey(painter, row, lay, colors, low, high, note) {
  const y = row.top + row.height + 5, wide = 90, from = lay.left + 44, steps = 30, { ground, up, down } = colors.rgb;
  for (let k = 0; k < steps; k++) {
    const v = low + ((high - low) * (k + 0.5)) / steps, colour = mixed(ground, v < 0 ? down : up, Math.abs(v) / high).map(Math.round);
    painter.rects([from + (k * wide) / steps, y, wide / steps + 0.5, 9], `rgb(${colour})`);
  }
  const text = (x, v, anchor) => painter.text(x, y + 8, low < 0 ? signed(v, 2) : digits(v, 2), colors.ink, { size: 10, anchor });
  text(from - 5, low, "end"); text(from + wide + 5, high, "start");
  painter.text(from + wide + 50, y + 8, fit(note, lay.right - from - wide - 50, painter.font(10)), colors.ink, { size: 10 });
}

function paintHeat(painter, view, row, lay, colors) {
  const { run, labels } = row, { terms } = run.result, c = run.base.classes.length, columns = labels.map((label) => run.base.classes.indexOf(label));
  let peak = 1e-12;
  for (let t = 0; t < run.base.count; t++) for (const k of columns) peak = Math.max(peak, Math.abs(terms[t * c + k]) || 0);
  const key = [terms, colors, lay.left, lay.right, run.at[0], run.at.at(-1), ...view.span], cached = view.heated;
  if (!cached || key.some((each, k) => each !== cached.key[k]))
    view.heated = { key, image: heatImage(run, labels.length, (t, r) => terms[t * c + columns[r]] || 0, peak, lay, colors.rgb) };
  painter.image(view.heated.image, lay.left, row.top, lay.right - lay.left, row.height);
  labels.forEach((label, r) => {
    const drawn = view.state.classes.includes(label), name = `${drawn ? "✓ " : ""}${cut(view.nameOf(label))}`, font = painter.font(10, drawn);
    painter.text(lay.left - 4, row.top + (r + 0.75) * row.cell, fit(name, lay.left - EDGE - 4, font), colors.ink, { size: 10, bold: drawn, anchor: "end" });
  });
  paintKey(painter, row, lay, colors, -peak, peak, `striped: negative${row.hint ? `; ${row.hint}` : ""}`);
}

function paintClusters(painter, view, row, lay, colors) {
  const { run, ranked } = row, { assignment } = run.now, count = run.base.clusters;
  const image = heatImage(run, ranked.length, (t, r) => assignment[t * count + ranked[r]], 1, lay, colors.rgb);
  painter.image(image, lay.left, row.top, lay.right - lay.left, row.height);
  const every = Math.ceil(11 / row.cell);
  ranked.forEach((cluster, r) => {
    if (r % every === 0) painter.text(lay.left - 4, row.top + (r + 0.5) * row.cell + 3.5, String(cluster + 1), colors.ink, { size: 10, anchor: "end" });
  });
  paintKey(painter, row, lay, colors, 0, 1, "the largest clusters first");
}

function paintTruth(painter, view, row, lay, colors) {
  const { at } = view.lead, list = [], truth = new Set(row.frames), base = row.top + row.height;
  for (const [a, b] of stretches(view.lead.base.count, (t) => truth.has(t)))
    if (at[b] > at[a]) list.push(at[a], row.top, Math.max(1.5, at[b] - at[a] - 1), row.height);
  painter.rects(list, colors.truth);
  painter.lines([lay.left, base, lay.right, base], colors.rule);
}

function paintSignal(painter, view, row, lay, colors) {
  const run = view.lead, base = row.top + row.height, n = run.base.count, [first, behind] = visible(run.at);
  const step = Math.max(1, Math.floor((behind - first) / (lay.right - lay.left)));
  const muted = new Set(view.state.muted[row.name]);
  for (const [a, b] of stretches(n, (t) => muted.has(t))) hatch(painter, run.at[a], row.top, run.at[b] - run.at[a], row.height, colors.down, true);
  const line = (values) => {
    let top = 1e-12;
    for (const v of values) if (v > top) top = v;
    const points = [];
    for (let t = first; t < behind; t += step) {
      let v = 0;
      for (let i = t; i < Math.min(behind, t + step); i++) v = Math.max(v, values[i]);
      points.push((run.at[t] + run.at[Math.min(n, t + 1)]) / 2, base - (v / top) * row.height);
    }
    return n > 1 ? points : [run.at[0], points[1], run.at[1], points[1]];
  };
  const energy = line(run.base.energy[row.name]);
  painter.path([energy[0], base, ...energy, energy.at(-2), base], { fill: colors.area });
  if (run.base.change[row.name]) painter.path(line(run.base.change[row.name]), { stroke: colors.ink, width: 1.25 });
  painter.lines([lay.left, base, lay.right, base], colors.rule);
}

export function paintAxis(painter, view, lay, colors) {
  const [low, high] = view.span, raw = ((high - low) * 80) / (lay.right - lay.left), power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(power * [1, 2, 5, 10].find((f) => f * power >= raw), view.lead?.base.count > 1 ? 0 : 1);
  painter.lines([lay.left, lay.bottom, lay.right, lay.bottom], colors.ink);
  // No tick where there is no frame: before the first and behind the last.
  const first = Math.max(low, view.ends[0]), last = Math.min(high, view.ends[1]), seen = [];
  for (let k = Math.ceil(first / step - 1e-6); k * step <= last + 1e-6 * step; k++) seen.push(k * step);
  for (const s of seen.length ? seen : [first]) {
    const x = lay.left + ((s - low) / (high - low)) * (lay.right - lay.left);
    painter.lines([x, lay.bottom, x, lay.bottom + 4], colors.ink);
    painter.text(x, lay.bottom + 16, String(Number(s.toFixed(3))), colors.ink, { size: 11, anchor: x < lay.left + 12 ? "start" : x > lay.right - 12 ? "end" : "middle" });
  }
  painter.text((lay.left + lay.right) / 2, lay.bottom + 30, "time in the video (s)", colors.ink, { size: 11, anchor: "middle" });
}

/** What belongs to the chosen frame: its line, and each row's value there. The only thing that moving redraws. */
export function paintCursor(painter, view, lay, colors) {
  if (!view.lead) return;
  const { at } = view.lead, f = view.state.frame, x = (at[f] + at[f + 1]) / 2, { range } = view.state;
  if (range && at[range[1] + 1] > at[range[0]]) {
    const [left, right] = [at[range[0]], at[range[1] + 1]];
    painter.rects([left, 0, right - left, lay.bottom], colors.range);
    painter.lines([left, 0, left, lay.bottom, right, 0, right, lay.bottom], colors.ink, { dash: [2, 3] });
    painter.rects([left, lay.bottom - 3, right - left, 3], colors.ink);
  }
  const inside = at[f + 1] > at[f]; // else panned out of the window
  if (inside) painter.path([x - 5, 0, x + 5, 0, x, 7], { fill: colors.ink });
  for (const row of lay.rows) {
    if (row.kind === "words" || !inside) continue;
    const top = row.top - 1, base = row.top + row.height, middle = row.top + row.height / 2;
    // Without frames the row shows a message: no line through its text.
    const line = row.kind === "weights" && !row.run.result.known ? [x, top, x, middle - VOID / 2, x, middle + VOID / 2, x, base] : [x, top, x, base];
    painter.lines(line, colors.ink, { width: 1.5 });
  }
  for (const row of lay.rows) {
    const text = readout(view, row);
    if (text) painter.text(lay.right, row.y + 12, text, colors.ink, { anchor: "end", size: 11 });
  }
  if (inside) painter.lines([x, lay.bottom, x, lay.bottom + 6], colors.ink, { width: 2.5 });
}

/** The number of a row at the chosen frame. */
function readout(view, row) {
  const f = view.state.frame, run = row.run ?? view.lead, t = run.where?.[f] ?? f;
  if (row.kind === "weights") return `${small(row.value(t))}, ${digits(row.value(t) * run.result.kept, 1)} × uniform`;
  if (row.kind === "rollout") return small(run.now.rollout[t]);
  if (row.kind === "signal") return `${digits(run.base.energy[row.name][t], 2)}, ${digits(run.base.change[row.name]?.[t], 2)}`;
  if (row.kind === "signed") {
    const whole = row.share === null && run.now.contributions && run.result.known;
    return `here ${signed(view.valueOf(row)(t), 3)}` + (whole ? ` of Σ ${signed(run.result.logits[row.k] - run.now.biases[row.k])}` : "");
  }
  if (row.kind === "clusters") {
    const share = (cluster) => run.now.assignment[t * run.base.clusters + cluster], most = row.ranked.reduce((a, b) => (share(b) > share(a) ? b : a));
    return `here most: cluster ${most + 1}, ${digits(share(most), 2)}`;
  }
  if (row.kind !== "heat") return "";
  const value = (label) => run.result.terms[t * run.base.classes.length + run.base.classes.indexOf(label)];
  const label = row.labels.includes(view.hovered) ? view.hovered : row.labels.reduce((a, b) => (Math.abs(value(b)) > Math.abs(value(a)) ? b : a));
  return `here ${signed(value(label), 3)} ${cut(view.nameOf(label)).slice(0, 24)}`;
}
