// The rows of the figure: which there are, where they lie on the time axis, and how each is painted.

import { cut, digits, short, signed, small, visible } from "./numbers.js";
import { fit, textWidth } from "./painters.js";
import { heatOf, mapOfClasses, mapOfClusters, numberOfHeat, paintHeat } from "./heatmap.js";

export const EDGE = 6;
const HEAD = 19, GAP = 9, AXIS = 34, NARROW = 560, MOST_TRUTHS = 5;

/** Of each kind of rows: how it and its number at the cursor are made, its height, and the room kept for that number. */
const KINDS = {
  weights: { paint: paintWeights, number: numberOfWeights, height: 84, room: 140, bold: true },
  rollout: { paint: paintTerms, number: (view, { run }, t) => small(run.now.rollout[t]), height: 40, room: 60, bold: true },
  signed: { paint: paintTerms, number: numberOfTerms, height: 46, room: 125 },
  heat: { paint: paintHeat, number: numberOfHeat, room: 150, bold: true },
  clusters: { paint: paintHeat, number: numberOfHeat, room: 150, bold: true },
  truth: { paint: paintTruth, height: 9, room: 0, size: 11 },
  signal: { paint: paintSignal, number: numberOfSignal, height: 34, room: 70 },
  words: { paint: paintWords, height: 18, room: 0, bold: true },
};

/** Which rows there are, from top to bottom, and where: a plain list that painters and input handlers share. */
export function layout(view, width) {
  const { lead, shown, state } = view, many = shown.length > 1, narrow = width < NARROW, heat = heatOf(view);
  const of = (run) => (many ? `${run.letter} · ` : ""), able = shown.filter((run) => !run.now.problem);
  const made = Object.entries(lead?.base.truth ?? {}).filter(([, frames]) => frames.length).slice(0, MOST_TRUTHS);
  const rows = [
    ...shown.flatMap((run) => weightRows(view, run, of(run), many && !narrow ? `${run.name}: ` : "")),
    ...state.classes.flatMap((label) => able.flatMap((run) => classRows(view, run, label, of(run)))),
    ...(heat ? [mapOfClasses(heat, of(heat), narrow ? "" : "; click a row to draw its class")] : []),
    ...made.map(([label, frames]) => ({ kind: "truth", frames, title: `ground truth: ${cut(view.nameOf(Number(label)))}` })),
    ...Object.keys(lead?.base.energy ?? {}).map((name) =>
      ({ kind: "signal", name, title: `${name}: energy (area)${narrow ? "," : " and"} change (line)` })),
  ];
  let y = 8;
  for (const row of rows) {
    Object.assign(row, { y, top: y + (row.kind === "truth" ? 15 : HEAD), height: row.height ?? KINDS[row.kind].height });
    y = row.top + row.height + GAP + (row.below ?? 0);
  }
  const staticFrom = rows.find((row) => row.kind === "truth" || row.kind === "signal")?.y ?? y - GAP;
  const key = JSON.stringify([width, ...rows.map((row) => [row.kind, row.title, row.height])]);
  const bottom = y - GAP + 4, gutter = !narrow ? 92 : heat ? 76 : 46;
  return { rows, key, staticFrom, width, left: EDGE + gutter, right: width - EDGE, bottom, height: bottom + AXIS };
}

function weightRows(view, run, of, name) {
  const { base, now } = run, rows = [], { own, groups } = base;
  if (now.problem) return [{ kind: "words", run, title: of + run.name, text: now.problem }];
  if (!base.weighs) rows.push({ kind: "words", run, title: of + run.name, text: `${base.title}.` });
  else if (!own || !view.state.classes.some((label) => base.classes.includes(label))) {
    const mean = own ? ", mean over the classes" : groups.length > 1 ? `, mean of ${groups.length}` : "";
    rows.push({ kind: "weights", run, title: of + name + base.title + mean });
    if (groups.length > 1) groups.forEach((each, group) => rows.push({ kind: "weights", run, group, height: 30, title: of + each }));
  }
  if (now.rollout) rows.push({ kind: "rollout", run, title: `${of}Attention rollout (Abnar and Zuidema 2020)` });
  if (now.assignment) rows.push(mapOfClusters(run, of));
  return rows;
}

function classRows(view, run, label, of) {
  const { base, now } = run, k = base.classes.indexOf(label), name = of + cut(base.names[k] ?? ""), rows = [];
  if (k < 0) return rows;
  if (base.own) rows.push({ kind: "weights", run, k, label, title: `${name}: ${base.title[0].toLowerCase()}${base.title.slice(1)}` });
  const at = now.termClasses.indexOf(label), gap = now.gap && at >= 0 && !now.exact ? `, gap ${signed(now.gap[at])}` : "";
  const lacking = now.explained ? "its terms are not computed: draw it with a kernel" : "no contributions were given for this class";
  if (!now.explained || at < 0) return [...rows, { kind: "words", run, title: name, text: lacking }];
  const terms = `${now.exact || now.termsTitle.includes("approx") ? "" : "≈ "}${now.termsTitle}${gap}`;
  const split = view.state.by_modality && now.modalities.length > 1 ? now.modalities : [null];
  return [...rows, ...split.map((modality, m) => ({ kind: "signed", run, k, label, share: modality === null ? null : m,
    title: `${name}: ${modality ? `${modality}, ` : ""}${terms}` }))];
}

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
export function edges(times, [low, high], { left, right }) {
  const scale = (right - left) / (high - low), place = (t) => left + (boundary(times, t) - low) * scale;
  return Float64Array.from({ length: times.length + 1 }, (_, t) => Math.min(right, Math.max(left, place(t))));
}

/** Bars up and down from `zero`. Where frames are narrower than a pixel, a pixel shows its frames' extremes. */
export function bars(value, at, zero, scale) {
  const up = [], down = [], [first, behind] = visible(at), wide = at[behind] - at[first] >= 1.5 * (behind - first);
  for (let t = first; t < behind; ) {
    const x = wide ? at[t] : Math.floor(at[t]);
    let high = 0, low = 0;
    do {
      const v = value(t++);
      if (v > high) high = v; else if (v < low) low = v;
    } while (!wide && t < behind && Math.floor(at[t]) === x);
    const w = wide ? at[t] - x : 1, gap = wide ? Math.min(1, w * 0.16) : 0;
    if (high > 0) up.push(x + gap / 2, zero - high * scale, w - gap, high * scale);
    if (low < 0) down.push(x + gap / 2, zero, w - gap, -low * scale);
  }
  return { up, down };
}

/** Rectangles as high as a row over the neighbouring frames of a set. */
function stretches({ at, base: { count } }, { top, height }, has) {
  const found = [];
  for (let t = 0, end = -1; t < count; t++) if (has(t)) {
    if (end === t) found[found.length - 2] += at[t + 1] - at[t]; else found.push(at[t], top, at[t + 1] - at[t], height);
    end = t + 1;
  }
  return found;
}

/** Zero is placed by the range of the values: a row without negative ones uses the whole height. */
function scaled({ top, height }, { low, high }) {
  const scale = (height - 2) / Math.max(high - low, 1e-12);
  return { low, high, scale, zero: top + 1 + (high > low ? high * scale : height - 2) };
}

/** Bars in the colour and texture of their run, of one run alone in two colours, and a y-axis of round numbers in the gutter. */
function paintBars(painter, view, run, lay, colors, value, { low, high, zero, scale }) {
  const { up, down } = bars(value, run.at, zero, scale), alone = view.shown.length < 2, k = alone ? 0 : view.runs.indexOf(run) % 3;
  painter.rects(up, alone ? colors.up : colors[`run${k}`], k);
  painter.rects(down, alone ? colors.down : colors[`run${k}`], k);
  painter.lines([lay.left, zero, lay.right, zero], colors.rule);
  if (!(high > low)) return;
  const step = roundStep(Math.max(10 / scale, (high - low) / 5)), first = Math.ceil(low / step - 1e-9);
  const round = Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, at) => (first + at) * step);
  // One number is no scale: then the ends have theirs.
  for (const v of round.length > 1 ? round : [low, 0, high].filter((end, at) => at === 1 || end)) {
    const y = zero - v * scale;
    painter.lines([lay.left - 4, y, lay.left, y], colors.soft);
    painter.text(lay.left - 6, y + 3.5, short(v), colors.ink, { size: 10, anchor: "end" });
  }
}
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least);
}

export function paintRows(painter, view, lay, colors, until = null) {
  let peak = 1e-12;
  for (const row of lay.rows) if (row.kind === "weights") {
    const { result, base } = row.run;
    row.value = weightsOf(row, result.columns, result.weights);
    row.own = weightsOf(row, base.columns, base.weights);
    for (let t = 0; t < base.count; t++) peak = Math.max(peak, row.value(t) || 0, row.own(t));
  }
  for (const row of lay.rows) {
    const { paint, room, size = 12, bold = false } = KINDS[row.kind], thick = bold && row.group == null;
    const font = painter.font(size, thick);
    row.heading = fit(row.title, lay.right - EDGE - room, font);
    row.free = EDGE + textWidth(row.heading, font) + 14;
    if (until !== null && row.y >= until) continue;
    painter.text(EDGE, row.y + size - (row.kind === "truth" ? 1 : 0), row.heading, colors.ink, { size, bold: thick });
    paint(painter, view, row, lay, colors, peak);
  }
  if (until === null) paintAxis(painter, view, lay, colors);
}

function paintWords(painter, view, { text, top }, lay, colors) {
  painter.text(EDGE, top + 12, fit(text, lay.right - EDGE, painter.font(12)), colors.ink);
}

function paintWeights(painter, view, row, lay, colors, peak) {
  const { run } = row, { at, result, now } = run, { kept, known } = result;
  const place = scaled(row, { low: 0, high: Math.max(peak, 1.45 / run.base.count) }), { zero, scale } = place;
  // The model's own weights stay behind as a shade, and over higher bars as a tick.
  const own = result.neutral && !now.missing ? [] : bars(row.own, at, zero, scale).up;
  painter.rects(own, colors.area);
  painter.rects(stretches(run, row, (t) => view.isMasked(run, t)), colors.soft, 3);
  painter.rects(stretches(run, row, (t) => now.missing?.has(t) || view.isRemoved(run, t)), colors.down, 4);
  paintBars(painter, view, run, lay, colors, row.value, place);
  if (own[2] > 4 && known) painter.rects(own.map((x, i) => (i % 4 === 3 ? 1.5 : x)), colors.ink);
  const y = zero - scale / kept;
  if (known && y > row.top) painter.lines([lay.left, y, lay.right, y], colors.ink, { width: 1.25, dash: [6, 4] });
  if (row.group != null) return;
  const label = !kept ? "no frame is left: no weights, no scores" : !known ? "what is changed does not follow from these weights"
    : `dashed: uniform ${small(1 / kept)}${own.length ? "; shade: the model's own" : ""}`;
  const room = lay.right - row.free - (known ? KINDS.weights.room : 0), font = painter.font(11, !known);
  if (!known || textWidth(label, font) < room)
    painter.text(row.free, row.y + 12, fit(label, room, font), colors.ink, { size: 11, bold: !known });
}

function paintTerms(painter, view, row, lay, colors) {
  const { rollout } = row.run.now, range = row.kind === "signed" ? view.extent(row) : { low: 0, high: Math.max(...rollout) };
  const value = row.kind === "signed" ? view.valueOf(row) : (t) => rollout[t];
  paintBars(painter, view, row.run, lay, colors, value, scaled(row, range));
}

function paintTruth(painter, view, row, lay, colors) {
  const truth = new Set(row.frames), base = row.top + row.height, found = stretches(view.lead, row, (t) => truth.has(t));
  painter.rects(found.map((x, i) => (i % 4 === 2 && x > 0 ? Math.max(1.5, x) : x)), colors.truth);
  painter.lines([lay.left, base, lay.right, base], colors.rule);
}

function paintSignal(painter, view, row, lay, colors) {
  const { at, base: { count, energy, change } } = view.lead, base = row.top + row.height, [first, behind] = visible(at);
  // A point for two pixels: longer paths are slow to fill.
  const step = Math.max(1, Math.round((2 * (behind - first)) / (lay.right - lay.left))), muted = new Set(view.state.muted[row.name]);
  painter.rects(stretches(view.lead, row, (t) => muted.has(t)), colors.down, 4);
  const line = (values) => {
    const highest = values.reduce((a, b) => Math.max(a, b), 1e-12), points = [];
    for (let t = first; t < behind; t += step) {
      const v = Math.max(0, ...values.subarray(t, Math.min(behind, t + step)));
      points.push((at[t] + at[t + 1]) / 2, base - (v / highest) * row.height);
    }
    return count > 1 ? points : [at[0], points[1], at[1], points[1]];
  };
  const area = line(energy[row.name]);
  painter.path([area[0], base, ...area, area.at(-2), base], { fill: colors.area });
  if (change[row.name]) painter.path(line(change[row.name]), { stroke: colors.ink, width: 1.25 });
  painter.lines([lay.left, base, lay.right, base], colors.rule);
}

function paintAxis(painter, { span: [low, high], ends, lead }, { left, right, bottom }, colors) {
  const step = Math.max(roundStep(((high - low) * 80) / (right - left)), lead?.base.count > 1 ? 0 : 1);
  painter.lines([left, bottom, right, bottom], colors.ink);
  // No tick where there is no frame: before the first and behind the last.
  const first = Math.max(low, ends[0]), last = Math.min(high, ends[1]), seen = [];
  for (let k = Math.ceil(first / step - 1e-6); k * step <= last + 1e-6 * step; k++) seen.push(k * step);
  for (const s of seen.length ? seen : [first]) {
    const x = left + ((s - low) / (high - low)) * (right - left), anchor = x < left + 12 ? "start" : x > right - 12 ? "end" : "middle";
    painter.lines([x, bottom, x, bottom + 4], colors.ink);
    painter.text(x, bottom + 16, String(Number(s.toFixed(3))), colors.ink, { size: 11, anchor });
  }
  painter.text((left + right) / 2, bottom + 30, "time in the video (s)", colors.ink, { size: 11, anchor: "middle" });
}

/** What belongs to the chosen frame: its line, and each row's value there. The only thing that moving redraws. */
export function paintCursor(painter, view, lay, colors) {
  if (!view.lead) return;
  const { at } = view.lead, { frame: f, range } = view.state, x = (at[f] + at[f + 1]) / 2, inside = at[f + 1] > at[f];
  const [from, to] = range ? [at[range[0]], at[range[1] + 1]] : [0, 0];
  if (to > from) {
    painter.rects([from, 0, to - from, lay.bottom], colors.range);
    // Beside the rows only: no line through their titles.
    const ends = ({ kind, top, height }) => (kind === "words" ? [] : [from, to].flatMap((end) => [end, top, end, top + height]));
    painter.lines(lay.rows.flatMap(ends), colors.ink, { dash: [2, 3] });
    painter.rects([from, lay.bottom - 3, to - from, 3], colors.ink);
  }
  if (inside) painter.path([x - 5, 0, x + 5, 0, x, 7], { fill: colors.ink }); // else panned out of the window
  for (const row of lay.rows) {
    const { number } = KINDS[row.kind];
    if (inside && row.kind !== "words") painter.lines([x, row.top - 1, x, row.top + row.height], colors.ink, { width: 1.5 });
    if (!number) continue;
    const text = fit(number(view, row, row.run?.where[f] ?? f), lay.right - row.free, painter.font(11));
    painter.text(lay.right, row.y + 12, text, colors.ink, { anchor: "end", size: 11 });
  }
  if (inside) painter.lines([x, lay.bottom, x, lay.bottom + 6], colors.ink, { width: 2.5 });
}

/** The numbers of rows at a frame. */
function numberOfWeights(view, { value, run }, t) {
  return run.result.known ? `${small(value(t))}, ${digits(value(t) * run.result.kept, 1)} × uniform` : "";
}
function numberOfSignal({ lead: { base: { energy, change } } }, { name }, t) {
  return `${digits(energy[name][t], 2)}, ${digits(change[name]?.[t], 2)}`;
}
function numberOfTerms(view, row, t) {
  const { result, now } = row.run, whole = row.share === null && now.contributions && result.known;
  return signed(view.valueOf(row)(t), 3) + (whole ? ` of Σ ${signed(result.logits[row.k] - now.biases[row.k])}` : "");
}
