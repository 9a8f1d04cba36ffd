// The rows of the figure: which there are, where they lie on the time axis, and how each is painted.

import { digits, plural, seconds, signed, small } from "./numbers.js";
import { fit, px, textWidth } from "./painters.js";

export const HEAD = 19, GAP = 9, AXIS = 34, EDGE = 6, VOID = 24;
export const HEIGHT = { weights: 96, signed: 46, signal: 34, truth: 9, words: 18 };

/** Which rows there are, from top to bottom, and where: a plain list that painters and input handlers share. */
export function layout(view, width) {
  const rows = [], lead = view.lead;
  const many = view.shown.length > 1, narrow = width < 560;
  for (const run of view.shown) {
    const of = many ? `${run.letter} · ` : "";
    if (run.now.problem) { rows.push({ kind: "words", run, title: many ? of + run.name : "", text: run.now.problem }); continue; }
    rows.push({ kind: "weights", run, title: many && !narrow ? `${of}${run.name}: attention weight` : `${of}Attention weight` });
    for (const label of view.state.classes) {
      const k = run.now.classes.indexOf(label);
      if (k < 0) continue;
      const what = run.now.contributions ? "contribution" : run.now.terms ? "occlusion by masking: score minus score with this frame's weight at zero" : null;
      rows.push(what ? { kind: "signed", run, k, label, title: `${of}${run.now.names[k]}${narrow ? "" : `: ${what}`}` }
        : { kind: "words", run, title: of + run.now.names[k], text: "no contributions were given for this class" });
    }
  }
  if (lead) {
    for (const [label, frames] of Object.entries(lead.base.truth).filter(([, frames]) => frames.length).slice(0, 5))
      rows.push({ kind: "truth", frames, title: `ground truth: ${view.nameOf(Number(label))}` });
    for (const name of Object.keys(lead.base.energy)) rows.push({ kind: "signal", name, title: `${name}: energy (area)${narrow ? "," : " and"} change (line)` });
  }
  let y = 8;
  for (const row of rows) {
    row.y = y; row.top = y + (row.kind === "truth" ? 15 : HEAD); row.height = HEIGHT[row.kind];
    y = row.top + row.height + GAP;
  }
  const staticFrom = rows.find((row) => row.kind === "truth" || row.kind === "signal")?.y ?? y - GAP;
  const key = JSON.stringify([width, ...rows.map((row) => [row.kind, row.title])]);
  return { rows, key, staticFrom, width, left: EDGE, right: width - EDGE, bottom: y - GAP + 4, height: y - GAP + 4 + AXIS };
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
  for (let t = 0; t < count; t++) if (has(t)) { if (found.length && found.at(-1)[1] === t) found.at(-1)[1]++; else found.push([t, t + 1]); }
  return found;
}

export function paintRows(painter, view, lay, colors, until = null) {
  const peak = Math.max(1e-12, ...view.shown.filter((r) => !r.now.problem).map((r) => r.peak));
  for (const row of lay.rows) {
    if (until !== null && row.y >= until) return;
    const { run } = row, room = (lay.right - lay.left) * (row.kind === "signed" ? (run.now.contributions ? 0.5 : 0.82) : 0.64);
    const size = row.kind === "truth" ? 11 : 12, bold = row.kind === "weights" || row.kind === "words";
    painter.text(lay.left, row.y + (row.kind === "truth" ? 10 : 12), fit(row.title, room, painter.font(size, bold)), colors.ink, { size, bold });
    const base = row.top + row.height;
    if (row.kind === "words") painter.text(lay.left, row.top + 12, fit(row.text, lay.right - lay.left, painter.font(12)), colors.ink);
    if (row.kind === "weights") {
      const at = run.at, scale = (row.height - 2) / Math.max(peak, 1.45 / run.base.count);
      // The model's own weights stay behind as a shade, and over higher bars as a tick.
      const own = run.result.neutral && !run.now.missing ? [] : bars((t) => run.base.weights[t], at, base, scale).up;
      painter.rects(own, colors.area);
      for (const [a, b] of stretches(run.base.count, (t) => view.isMasked(run, t))) hatch(painter, at[a], row.top, at[b] - at[a], row.height, colors.soft, false);
      for (const [a, b] of stretches(run.base.count, (t) => run.now.missing?.has(t) || view.isRemoved(run, t))) hatch(painter, at[a], row.top, at[b] - at[a], row.height, colors.down, true);
      painter.rects(bars((t) => run.result.weights[t], at, base, scale).up, colors.up);
      if (own[2] > 4 && run.result.known) painter.rects(own.map((x, i) => (i % 4 === 3 ? 1.5 : x)), colors.ink);
      painter.lines([lay.left, base, lay.right, base], colors.rule);
      if (run.result.kept) {
        const uniform = 1 / run.result.kept, y = base - uniform * scale;
        if (y > row.top) painter.lines([lay.left, y, lay.right, y], colors.ink, { width: 1.25, dash: [6, 4] });
        const label = `dashed: uniform ${small(uniform)}${own.length ? "; shade: the model's own" : ""}`, from = lay.left + textWidth(row.title, painter.font(12, true)) + 14;
        if (from + textWidth(label, painter.font(11)) < lay.right - 140) painter.text(from, row.y + 12, label, colors.ink, { size: 11 });
      }
      if (!run.result.known) {
        const label = "no frame is left: no weights, no scores", x = (lay.left + lay.right) / 2, y = row.top + row.height / 2, w = textWidth(label, painter.font(12, true)) + 20;
        painter.rects([x - w / 2, y - VOID / 2, w, VOID], colors.ground);
        painter.text(x, y + 4, label, colors.ink, { anchor: "middle", bold: true });
      }
    }
    if (row.kind === "signed") {
      // Zero is placed by the range of the values: a class without negative ones uses the whole height.
      const { high, low } = view.extent(row.label), scale = (row.height - 2) / Math.max(high - low, 1e-12), zero = row.top + 1 + (high - low > 0 ? high * scale : row.height - 2);
      const drawn = bars(view.valueOf(row), run.at, zero, scale);
      painter.rects(drawn.up, colors.up); painter.rects(drawn.down, colors.down);
      painter.lines([lay.left, zero, lay.right, zero], colors.rule);
    }
    if (row.kind === "truth") {
      const at = view.lead.at, list = [];
      const truth = new Set(row.frames);
      for (const [a, b] of stretches(view.lead.base.count, (t) => truth.has(t))) if (at[b] > at[a]) list.push(at[a], row.top, Math.max(1.5, at[b] - at[a] - 1), row.height);
      painter.rects(list, colors.truth);
      painter.lines([lay.left, base, lay.right, base], colors.rule);
    }
    if (row.kind === "signal") {
      const { at, base: { count } } = view.lead, muted = new Set(view.state.muted[row.name]);
      paintSignal(painter, view.lead, row, lay, colors);
      for (const [a, b] of stretches(count, (t) => muted.has(t))) hatch(painter, at[a], row.top, at[b] - at[a], row.height, colors.down, true);
    }
  }
  paintAxis(painter, view, lay, colors);
}

export function paintSignal(painter, run, row, lay, colors) {
  const base = row.top + row.height, n = run.base.count, [first, behind] = visible(run.at), step = Math.max(1, Math.floor((behind - first) / (lay.right - lay.left)));
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
    const text = view.readout(row);
    if (text) painter.text(lay.right, row.y + 12, text, colors.ink, { anchor: "end", size: 11 });
  }
  if (inside) painter.lines([x, lay.bottom, x, lay.bottom + 6], colors.ink, { width: 2.5 });
}
