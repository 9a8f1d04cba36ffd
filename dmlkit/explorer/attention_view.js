// The attention explorer: which frames of a video a model attends to, and what the scores become without them.
//
// One module without dependencies, used in three ways:
//     export default { render({ model, el }) }    anywidget, in JupyterLab: a kernel may answer
//     export function show(el, scene, hooks)      a saved page: the scene holds everything
//     export function weigh(evidence, state)      the arithmetic, for tests against Python's
//
// A scene is {format, title, data, generated, live, note, videos: [{id, label, runs: [evidence]}], state?}, as
// `dmlkit.explorer.evidence.scene` writes it; a run may be {run, video, problem} where there is nothing to draw.
// Text from data only ever goes through textContent, setAttribute or fillText.
// Sections: numbers · painters · rows · panel · input · exports · entry points.

// ---------------------------------------------------------------------------------------------------- numbers

const unpack = (packed) =>
  packed == null ? null : new Float32Array(Uint8Array.from(atob(packed.f32), (c) => c.charCodeAt(0)).buffer);
const unpackAll = (packed) => Object.fromEntries(Object.entries(packed ?? {}).map(([k, v]) => [k, unpack(v)]));

/** What `Evidence.to_json` wrote, as arrays. Contributions and occlusion are (frames × classes), row by row. */
export function decode(packed) {
  const base = { run: String(packed.run), video: String(packed.video), problem: packed.problem ?? null };
  if (base.problem) return { ...base, count: 0, classes: [], names: [], truth: {}, energy: {}, change: {} };
  const weights = unpack(packed.weights);
  const given = unpack(packed.logits);
  const logits = given ? Float64Array.from(given) : Float64Array.from(weights, Math.log);
  const found = {
    ...base, weights, logits, count: weights.length, times: unpack(packed.times),
    classes: packed.classes, names: packed.names.map(String), scores: unpack(packed.scores), true: packed.true,
    contributions: unpack(packed.contributions), biases: unpack(packed.biases), occlusion: unpack(packed.occlusion),
    truth: packed.ground_truth ?? {}, energy: unpackAll(packed.energy), change: unpackAll(packed.change), missing: null,
  };
  if (!found.count) found.problem = "This video has no frames, so there is nothing to weigh.";
  found.order = Array.from(weights.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  return found;
}

/** Evidence of a video encoded without some frames, expanded to all its frames. */
export function expand(original, part) {
  const n = original.count, c = original.classes.length, there = new Set(part.times);
  const kept = Array.from(original.times.keys()).filter((t) => there.has(original.times[t]));
  const missing = new Set(Array.from(original.times.keys()).filter((t) => !there.has(original.times[t])));
  const laid = (array, width, empty) => {
    if (!array) return null;
    const full = new Float64Array(n * width).fill(empty);
    kept.forEach((t, k) => full.set(array.subarray(k * width, (k + 1) * width), t * width));
    return full;
  };
  return {
    ...original, missing, weights: laid(part.weights, 1, 0), logits: laid(part.logits, 1, -Infinity), scores: part.scores,
    order: part.order.map((k) => kept[k]), biases: part.biases,
    contributions: laid(part.contributions, c, 0), occlusion: laid(part.occlusion, c, 0),
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Weights, logits, scores and entropy under a state {temperature, top, uniform, masked: Set of frames}. */
export function weigh(evidence, { temperature = 1, top = null, uniform = false, masked = new Set() } = {}) {
  const n = evidence.count, weights = new Float64Array(n);
  const remaining = (evidence.order ?? []).filter((t) => !masked.has(t));
  const kept = top == null ? remaining : remaining.slice(0, top);
  const neutral = temperature === 1 && !uniform && kept.length === evidence.order.length;
  let total = 0;
  const highest = kept.length ? evidence.logits[kept[0]] : 0;
  for (const t of kept) {
    weights[t] = neutral ? evidence.weights[t] : uniform ? 1 : Math.exp((evidence.logits[t] - highest) / temperature);
    total += weights[t];
  }
  const known = kept.length > 0 && total > 0 && Number.isFinite(total);
  if (known && !neutral) for (const t of kept) weights[t] /= total;
  let entropy = 0;
  for (const t of kept) if (weights[t] > 0) entropy -= weights[t] * Math.log(weights[t]);
  const result = { weights, kept: kept.length, known, neutral, entropy, logits: null, scores: null };
  if (known && neutral) result.scores = Float64Array.from(evidence.scores);
  if (known && evidence.contributions && evidence.biases) {
    const c = evidence.classes.length;
    result.logits = Float64Array.from(evidence.biases);
    for (const t of kept) for (let k = 0; k < c; k++) result.logits[k] += weights[t] * evidence.contributions[t * c + k];
    if (!neutral) result.scores = result.logits.map(sigmoid);
  }
  return result;
}

/** For each frame of `times`, the nearest of `lead`: runs may have read other frames of the same video. */
function nearest(times, lead) {
  let at = 0;
  return Array.from(times, (time) => {
    while (at + 1 < lead.length && Math.abs(lead[at + 1] - time) <= Math.abs(lead[at] - time)) at++;
    return at;
  });
}

const digits = (x, n = 3) => (Number.isFinite(x) ? x.toFixed(n) : "–");
const signed = (x, n = 2) => (Number.isFinite(x) ? (x < 0 ? "−" : "+") + Math.abs(x).toFixed(n) : "–");
const small = (x) => (x !== 0 && Math.abs(x) < 0.0005 ? x.toExponential(1) : x.toFixed(4));
const seconds = (x) => `${Number(x.toFixed(2))} s`;
const cut = (text) => (text.length > 60 ? text.slice(0, 59) + "…" : text);
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

// --------------------------------------------------------------------------------------------------- painters
// Two back ends of one interface: rects([x, y, w, h, …]), path([x, y, …]), lines([x1, y1, x2, y2, …]), text.

let ruler = null;
function textWidth(text, font) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = font;
  return ruler.measureText(text).width;
}
/** Text cut to a width, with an ellipsis. */
function fit(text, width, font) {
  if (textWidth(text, font) <= width) return text;
  let end = text.length;
  while (end > 1 && textWidth(text.slice(0, end) + "…", font) > width) end--;
  return text.slice(0, end) + "…";
}

const px = (x) => Math.round(x * 100) / 100;

/** Rectangles, lines and text; subclasses draw a path (in SVG syntax) and a text. */
class Painter {
  constructor(family) { this.family = family; }
  font(size, bold) { return `${bold ? 600 : 400} ${size}px ${this.family}`; }
  rects(list, fill) {
    let d = "";
    for (let i = 0; i < list.length; i += 4) d += `M${px(list[i])} ${px(list[i + 1])}h${px(list[i + 2])}v${px(list[i + 3])}h${px(-list[i + 2])}z`;
    if (d) this.draw(d, { fill });
  }
  path(points, style) {
    let d = "";
    for (let i = 0; i < points.length; i += 2) d += `${i ? "L" : "M"}${px(points[i])} ${px(points[i + 1])}`;
    if (d) this.draw(d, style);
  }
  lines(list, stroke, { width = 1, dash = [] } = {}) {
    let d = "";
    for (let i = 0; i < list.length; i += 4) d += `M${px(list[i])} ${px(list[i + 1])}L${px(list[i + 2])} ${px(list[i + 3])}`;
    if (d) this.draw(d, { stroke, width, dash });
  }
}

class CanvasPainter extends Painter {
  constructor(context, family) { super(family); this.context = context; }
  // Hundreds of bars at each move: one path of them would be slower to fill than each by itself.
  rects(list, fill) {
    this.context.fillStyle = fill;
    for (let i = 0; i < list.length; i += 4) this.context.fillRect(list[i], list[i + 1], list[i + 2], list[i + 3]);
  }
  draw(d, { fill, stroke, width = 1, dash = [] }) {
    const c = this.context, path = new Path2D(d);
    if (fill) { c.fillStyle = fill; c.fill(path); }
    if (stroke) { c.strokeStyle = stroke; c.lineWidth = width; c.setLineDash(dash); c.stroke(path); }
  }
  text(x, y, text, fill, { size = 12, anchor = "start", bold = false } = {}) {
    const c = this.context;
    c.font = this.font(size, bold); c.textAlign = anchor === "middle" ? "center" : anchor;
    c.fillStyle = fill; c.fillText(text, x, y);
  }
}

class SvgPainter extends Painter {
  parts = [];
  add(tag, attributes, text = "") {
    const escaped = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\t\n\r -\uffff]/g, "");
    const written = Object.entries(attributes).map(([k, v]) => ` ${k}="${escaped(v)}"`).join("");
    this.parts.push(`<${tag}${written}>${escaped(text)}</${tag}>`);
  }
  draw(d, { fill = "none", stroke = "none", width = 1, dash = [] }) {
    this.add("path", { d, fill, ...(stroke === "none" ? {} : { stroke, "stroke-width": width, "stroke-dasharray": dash.join(" ") || "none" }) });
  }
  text(x, y, text, fill, { size = 12, anchor = "start", bold = false } = {}) {
    this.add("text", { x: px(x), y: px(y), fill, "font-size": size, "text-anchor": anchor, "font-weight": bold ? 600 : 400 }, text);
  }
  document(width, height, title) {
    const body = this.parts.splice(0).join("");
    this.add("title", {}, title);
    // Read from the browser: an address in the script would look as if the page fetched something.
    const space = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
    return `<svg xmlns="${space}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${this.family.replace(/["&<>]/g, "'")}">${this.parts.pop()}${body}</svg>`;
  }
}

// ------------------------------------------------------------------------------------------------------- rows

const HEAD = 19, GAP = 9, AXIS = 34, EDGE = 6, VOID = 24;
const HEIGHT = { weights: 96, signed: 46, signal: 34, truth: 9, words: 18 };

/** Which rows there are, from top to bottom, and where: a plain list that painters and input handlers share. */
function layout(view, width) {
  const rows = [], lead = view.lead;
  const many = view.shown.length > 1, narrow = width < 560;
  for (const run of view.shown) {
    const of = many ? `${run.letter} · ` : "";
    if (run.now.problem) { rows.push({ kind: "words", run, title: many ? of + run.name : "", text: run.now.problem }); continue; }
    rows.push({ kind: "weights", run, title: many && !narrow ? `${of}${run.name}: attention weight` : `${of}Attention weight` });
    for (const label of view.state.classes) {
      const k = run.now.classes.indexOf(label);
      if (k < 0) continue;
      const what = run.now.contributions ? "contribution" : run.now.occlusion ? "occlusion by masking: score minus score with this frame's weight at zero" : null;
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

/** Where each frame begins and ends, in pixels: halfway to its neighbours in time. */
function edges(times, span, lay) {
  const n = times.length, at = new Float64Array(n + 1), half = n > 1 ? (times[n - 1] - times[0]) / (n - 1) / 2 : 0.5;
  const scale = (lay.right - lay.left) / (span[1] - span[0]);
  for (let t = 0; t <= n; t++) {
    const second = t === 0 ? times[0] - half : t === n ? times[n - 1] + half : (times[t - 1] + times[t]) / 2;
    at[t] = lay.left + (second - span[0]) * scale;
  }
  return at;
}

/** Bars up and down from `zero`. Where frames are narrower than a pixel, a pixel shows its frames' extremes. */
function bars(value, at, zero, scale) {
  const up = [], down = [], n = at.length - 1;
  const put = (x, w, high, low) => {
    if (high > 0) up.push(x, zero - high * scale, w, high * scale);
    if (low < 0) down.push(x, zero, w, -low * scale);
  };
  if ((at[n] - at[0]) / n >= 1.5) {
    for (let t = 0; t < n; t++) {
      const w = at[t + 1] - at[t], v = value(t), gap = Math.min(1, w * 0.16);
      put(at[t] + gap / 2, w - gap, Math.max(v, 0), Math.min(v, 0));
    }
    return { up, down };
  }
  for (let t = 0; t < n; ) {
    const pixel = Math.floor(at[t]);
    let high = 0, low = 0;
    for (; t < n && Math.floor(at[t]) === pixel; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
    put(pixel, 1, high, low);
  }
  return { up, down };
}

function hatch(painter, x, y, w, h, colour, upright) {
  const list = [];
  if (upright) for (let k = 2; k < Math.max(w, 3); k += 4) list.push(x + Math.min(k, w), y, x + Math.min(k, w), y + h);
  else for (let k = -h + ((x + h) % 6 ? 6 - ((x + h) % 6) : 0); k < w; k += 6) {
    const a = Math.max(k, 0), b = Math.min(k + h, w);
    if (b > a) list.push(x + a, y + h - (a - k), x + b, y + h - (b - k));
  }
  painter.lines(list, colour, { width: 1 });
}

/** Neighbouring frames of a set, as [first, behind the last]. */
function stretches(count, has) {
  const found = [];
  for (let t = 0; t < count; t++) if (has(t)) { if (found.length && found.at(-1)[1] === t) found.at(-1)[1]++; else found.push([t, t + 1]); }
  return found;
}

function paintRows(painter, view, lay, colors, until = null) {
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
      for (const [a, b] of stretches(view.lead.base.count, (t) => truth.has(t))) list.push(at[a], row.top, Math.max(1.5, at[b] - at[a] - 1), row.height);
      painter.rects(list, colors.truth);
      painter.lines([lay.left, base, lay.right, base], colors.rule);
    }
    if (row.kind === "signal") paintSignal(painter, view.lead, row, lay, colors);
  }
  paintAxis(painter, view, lay, colors);
}

function paintSignal(painter, run, row, lay, colors) {
  const base = row.top + row.height, n = run.base.count, step = Math.max(1, Math.floor(n / (lay.right - lay.left)));
  const line = (values) => {
    let top = 1e-12;
    for (const v of values) if (v > top) top = v;
    const points = [];
    for (let t = 0; t < n; t += step) {
      let v = 0;
      for (let i = t; i < Math.min(n, t + step); i++) v = Math.max(v, values[i]);
      points.push((run.at[t] + run.at[Math.min(n, t + 1)]) / 2, base - (v / top) * row.height);
    }
    return n > 1 ? points : [run.at[0], points[1], run.at[1], points[1]];
  };
  const energy = line(run.base.energy[row.name]);
  painter.path([energy[0], base, ...energy, energy.at(-2), base], { fill: colors.area });
  if (run.base.change[row.name]) painter.path(line(run.base.change[row.name]), { stroke: colors.ink, width: 1.25 });
  painter.lines([lay.left, base, lay.right, base], colors.rule);
}

function paintAxis(painter, view, lay, colors) {
  const [low, high] = view.span, raw = ((high - low) * 80) / (lay.right - lay.left), power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(power * [1, 2, 5, 10].find((f) => f * power >= raw), view.lead?.base.count > 1 ? 0 : 1);
  painter.lines([lay.left, lay.bottom, lay.right, lay.bottom], colors.ink);
  // No tick where there is no frame: before the first and behind the last.
  const [first, last] = view.ends, seen = [];
  for (let k = Math.ceil(first / step - 1e-6); k * step <= last + 1e-6 * step; k++) seen.push(k * step);
  for (const s of seen.length ? seen : [first]) {
    const x = lay.left + ((s - low) / (high - low)) * (lay.right - lay.left);
    painter.lines([x, lay.bottom, x, lay.bottom + 4], colors.ink);
    painter.text(x, lay.bottom + 16, String(Number(s.toFixed(3))), colors.ink, { size: 11, anchor: x < lay.left + 12 ? "start" : x > lay.right - 12 ? "end" : "middle" });
  }
  painter.text((lay.left + lay.right) / 2, lay.bottom + 30, "time in the video (s)", colors.ink, { size: 11, anchor: "middle" });
}

/** What belongs to the chosen frame: its line, and each row's value there. The only thing that moving redraws. */
function paintCursor(painter, view, lay, colors) {
  if (!view.lead) return;
  const { at } = view.lead, f = view.state.frame, x = (at[f] + at[f + 1]) / 2;
  painter.path([x - 5, 0, x + 5, 0, x, 7], { fill: colors.ink });
  for (const row of lay.rows) {
    if (row.kind === "words") continue;
    const top = row.top - 1, base = row.top + row.height, middle = row.top + row.height / 2;
    // Without frames the row shows a message: no line through its text.
    const line = row.kind === "weights" && !row.run.result.known ? [x, top, x, middle - VOID / 2, x, middle + VOID / 2, x, base] : [x, top, x, base];
    painter.lines(line, colors.ink, { width: 1.5 });
  }
  for (const row of lay.rows) {
    const text = view.readout(row);
    if (text) painter.text(lay.right, row.y + 12, text, colors.ink, { anchor: "end", size: 11 });
  }
  painter.lines([x, lay.bottom, x, lay.bottom + 6], colors.ink, { width: 2.5 });
}

// ------------------------------------------------------------------------------------------------------ panel

/** One element: attributes by name, `on…` as listeners, children as nodes or text. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

const MASK_HELP = "The frames' weights become zero and the others share them. The states of the other frames, which were computed with them, stay. Computed in the browser.";
const REMOVE_HELP = "The video is encoded again without these frames, so the states of the others change too. Computed by the kernel.";
const UNAVAILABLE = {
  none: "Not available: this page has no kernel. Run the notebook in JupyterLab.",
  fixed: "Not available: these are arrays, without a model that could encode the video again.",
  disconnected: "Not available: the kernel is disconnected.",
  silent: "Not available: the kernel does not answer.",
};
let views = 0;

class View {
  constructor(el, scene, hooks) {
    this.hooks = hooks; this.name = `dmlkit-av-${++views}-${Math.random().toString(36).slice(2, 7)}`;
    this.link = hooks.remove ? (scene.live ? "live" : "fixed") : "none";
    this.state = { video: null, shown: null, classes: null, frame: 0, temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set() };
    this.tool = "select"; this.dirty = {}; this.requested = null;
    this.build();
    el.replaceChildren(this.root);
    this.watch();
    this.setScene(scene, hooks.state ?? scene.state);
  }

  build() {
    const on = (patch) => (event) => this.change(patch(event.target));
    const range = (label, attributes, patch) => {
      const output = make("output"), input = make("input", { type: "range", "aria-label": label, ...attributes, oninput: on(patch) });
      return { input, output, node: make("label", { class: "tweak" }, make("span", {}, label), input, output) };
    };
    this.title = make("p", { class: "title" });
    const menu = (label, pick) => { const select = make("select", { "aria-label": label, onchange: (event) => pick(event.target.value) }); return { select, node: make("label", { class: "pick", hidden: true }, make("span", {}, `${label} `), select) }; };
    const { hooks } = this, open = (id) => (hooks.open ? hooks.open(id) : this.change({ video: id }));
    this.order = menu("Videos", (order) => hooks.menu(order, null)); this.ofClass = menu("Class", (label) => hooks.menu("class", Number(label))); this.video = menu("Video", open);
    this.id = make("input", { type: "text", "aria-label": "Id of a video", placeholder: "or type an id", hidden: true, onchange: (event) => event.target.value.trim() && open(event.target.value.trim()) });
    this.hint = make("p", { class: "hint" });
    this.runsBox = make("fieldset", { class: "runs" });
    this.temperature = range("Temperature", { min: -1, max: 1, step: 0.02 }, (t) => ({ temperature: Number((10 ** Number(t.value)).toPrecision(4)) }));
    this.top = range("Keep the top frames", { min: 1, step: 1 }, (t) => ({ top: Number(t.value) >= this.lead.base.count ? null : Number(t.value) }));
    this.uniform = make("input", { type: "checkbox", onchange: on((t) => ({ uniform: t.checked })) });
    this.reset = make("button", { type: "button", onclick: () => this.change({ temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set() }) }, "Reset");
    this.tools = Object.fromEntries(["select", "mask", "remove"].map((tool) => [tool, make("input", { type: "radio", name: this.name, value: tool, checked: tool === "select", onchange: () => this.setTool(tool) })]));
    this.unavailable = make("span", { class: "unavailable" });
    const tool = (name, text, ...more) => make("label", { class: `tool ${name}` }, this.tools[name], make("b", {}, text), ...more);
    this.toolBox = make("fieldset", { class: "tools" }, make("legend", {}, "Click or drag over the frames to …"),
      tool("select", "select", make("span", {}, "Select a frame. Keyboard, with the picture focused: arrows, Home, End and Page keys move; Space masks; Shift with an arrow masks on the way.")),
      tool("mask", "mask", make("span", {}, MASK_HELP)), tool("remove", "remove", make("span", {}, REMOVE_HELP + " ", this.unavailable)));
    this.canvas = make("canvas", { "aria-hidden": "true" }); this.cursor = make("canvas", { "aria-hidden": "true" });
    this.slider = make("div", { class: "strips", role: "slider", tabindex: 0, "aria-orientation": "horizontal", "aria-label": "Frame of the video", onkeydown: (e) => this.onKey(e) }, this.canvas, this.cursor);
    for (const kind of ["down", "move", "up", "cancel"]) this.slider.addEventListener(`pointer${kind}`, (e) => this.onPointer(kind, e));
    this.here = make("p", { class: "here" }); this.words = make("div", { class: "words" }); this.most = make("p", { class: "most", "aria-live": "polite" });
    this.scores = make("table", { class: "scores" }); this.data = make("div", { class: "data", hidden: true, tabindex: 0, role: "region", "aria-label": "Data table" });
    this.status = make("p", { class: "status", role: "status" }); this.problem = make("p", { class: "problem loud", role: "alert" }); this.notes = make("div", { class: "notes" });
    this.toggle = make("button", { type: "button", "aria-expanded": "false", onclick: () => this.showData(this.data.hidden) }, "Data table");
    const save = (text, kind) => make("button", { type: "button", onclick: () => download(this, kind) }, text);
    const tweaks = make("div", { class: "tweaks" }, this.temperature.node, this.top.node, make("label", { class: "tweak" }, this.uniform, make("span", {}, "Uniform weights")), this.reset);
    this.root = make("section", { class: "dmlkit-av", "data-lm-suppress-shortcuts": "true", onkeydown: (e) => e.stopPropagation() },
      make("header", {}, this.title, this.order.node, this.ofClass.node, this.video.node, this.id, this.runsBox), this.hint, tweaks,
      this.body = make("div", { class: "body" }, make("div", { class: "main" }, this.slider, this.here, this.status, this.problem, this.toolBox, make("footer", {}, this.toggle, save("Save PNG", "png"), save("Save SVG", "svg"), save("Save CSV", "csv"))), make("div", { class: "side" }, make("div", { class: "scroll" }, this.scores), this.most, this.words)),
      this.data, this.notes);
  }

  /** Redraw when the width or the theme changes. */
  watch() {
    this.sized = new ResizeObserver(() => this.invalidate("size")); this.sized.observe(this.slider);
    this.themed = new MutationObserver(() => this.invalidate("theme"));
    for (const node of [document.documentElement, document.body]) this.themed.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "style"] });
    this.dark = matchMedia("(prefers-color-scheme: dark)"); this.onTheme = () => this.invalidate("theme"); this.dark.addEventListener("change", this.onTheme);
  }
  destroy() { this.sized.disconnect(); this.themed.disconnect(); this.dark.removeEventListener("change", this.onTheme); cancelAnimationFrame(this.ticket); this.destroyed = true; }

  setScene(scene, state = {}) {
    this.scene = scene;
    this.title.replaceChildren(make("b", {}, scene.title), ` on ${scene.data} `, ...(scene.generated ? [make("span", { class: "loud" }, "generated data")] : []));
    this.root.setAttribute("aria-label", `Attention explorer: ${scene.title} on ${scene.data}`);
    this.fillVideos();
    this.notes.replaceChildren(...String(scene.note ?? "").split("\n").filter(Boolean).map((text) => make("p", {}, text)));
    const id = state.video && scene.videos.some((video) => video.id === state.video) ? state.video : scene.videos[0]?.id;
    this.setVideo(id, state);
  }

  /** The videos that a kernel offers, {order, label, orders, classes, videos, total, all}; without one the scene's are offered. */
  setMenu(menu) {
    this.menu = menu;
    for (const [{ select, node }, options, value, hidden] of [[this.order, menu.orders, menu.order, menu.orders.length < 2], [this.ofClass, menu.classes, menu.label, menu.order !== "class"]]) {
      select.replaceChildren(...options.map(([key, text]) => make("option", { value: key }, text))); select.value = value; node.hidden = hidden;
    }
    this.id.hidden = menu.order !== "order" || menu.videos.length === menu.all;
    setText(this.hint, menu.total > menu.videos.length ? `The menu has the first ${menu.videos.length} of ${plural(menu.total, "video")}; type the id of any other.` : "");
    this.fillVideos();
  }
  fillVideos() {
    const videos = [...(this.menu?.videos ?? [])], known = new Set(videos.map(([id]) => id));
    videos.push(...this.scene.videos.filter(({ id }) => !known.has(id)).map(({ id, label }) => [id, label]));
    this.video.select.replaceChildren(...videos.map(([id, label]) => make("option", { value: id }, label)));
    this.video.select.value = this.state.video; this.video.node.hidden = (this.menu?.all ?? videos.length) < 2;
    if (this.menu?.all < 2) this.order.node.hidden = true;
  }

  /** Show a video from its beginning: nothing masked, the frame with the highest weight. */
  setVideo(id, state = {}) {
    const packed = this.scene.videos.find((video) => video.id === id);
    this.runs = (packed?.runs ?? []).map(decode).map((base, k) => ({ name: base.run, letter: String.fromCharCode(65 + k), base, now: base, result: null }));
    this.lead = this.runs.find((run) => !run.base.problem) ?? null;
    const names = this.runs.map((run) => run.name), lead = this.lead;
    let highest = 0;
    lead?.base.weights.forEach((w, t, all) => { if (w > all[highest]) highest = t; });
    for (const run of this.runs) if (!run.base.problem) {
      run.link = nearest(run.base.times, lead.base.times); run.where = nearest(lead.base.times, run.base.times);
    }
    const kept = (this.state.shown ?? []).filter((name) => names.includes(name));
    const known = new Set(this.runs.flatMap((run) => run.base.classes)), classes = (this.wanted ?? []).filter((c) => known.has(c));
    const fallback = lead ? [...new Set([...(lead.base.true ?? []), ...lead.base.classes])].filter((c) => known.has(c)).slice(0, 3) : [];
    Object.assign(this.state, { video: id, frame: highest, masked: new Set(), removed: new Set(), shown: kept.length ? kept : names.slice(0, 3), classes: classes.length || this.wanted?.length === 0 ? classes : fallback });
    this.requested = null; this.generation = (this.generation ?? 0) + 1;
    this.buildRuns();
    this.apply({ ...state, video: undefined });
    this.invalidate("weights"); this.invalidate("size");
  }

  /** Apply a state that a kernel or a page sets, without sending it back. */
  apply(state) {
    const plain = (value) => JSON.stringify(value instanceof Set ? [...value] : value), moved = new Set();
    for (const [name, value] of Object.entries(state)) {
      if (value === undefined || (value === null && name !== "top") || !(name in this.state)) continue;
      const taken = name === "masked" || name === "removed" ? new Set(value) : value;
      if (plain(taken) === plain(this.state[name])) continue;
      this.state[name] = taken; moved.add(name);
    }
    // Without a choice of classes each video shows its own; a choice stays from video to video.
    if (state.classes != null) this.wanted = [...state.classes];
    const last = Math.max(0, (this.lead?.base.count ?? 1) - 1);
    this.state.frame = Math.min(last, Math.max(0, Math.round(this.state.frame) || 0));
    if (moved.has("shown")) this.pickRuns();
    if (moved.has("removed")) this.encode();
    if (moved.delete("frame")) this.invalidate("frame");
    if (moved.size) this.invalidate("weights");
  }

  /** The user changed something: apply it and send it to the kernel. */
  change(patch) {
    if (patch.video !== undefined) { this.setVideo(patch.video); patch = this.state; } else this.apply(patch);
    this.hooks.changed?.(Object.fromEntries(Object.keys(patch).map((name) => [name, this.state[name] instanceof Set ? [...this.state[name]].sort((a, b) => a - b) : this.state[name]])));
  }

  /** Ask the kernel for the video without the removed frames: one request under way, the newest waits. */
  async encode() {
    const { generation } = this, { video, removed } = this.state;
    if (!removed.size || this.allRemoved()) {
      for (const run of this.runs) { run.now = run.base; run.without = null; }
      this.invalidate("weights");
      if (!this.requested) { if (this.link === "live") this.setStatus(""); return; }
    }
    if (!this.hooks.remove || this.link !== "live") { this.invalidate("weights"); return; }
    this.waiting = true;
    if (this.requested) return;
    while (this.waiting && !this.destroyed) {
      this.waiting = false;
      const now = [...this.state.removed].sort((a, b) => a - b);
      if (!now.length || this.allRemoved()) { this.setStatus(""); break; }
      this.requested = now; this.invalidate("weights");
      try {
        const parts = await this.hooks.remove(video, now);
        if (generation !== this.generation) return; // another video, or other classes, has its own requests
        if (this.state.removed.size && !this.allRemoved()) for (const [k, run] of this.runs.entries()) {
          const part = parts[k] && decode(parts[k]);
          if (part && !run.base.problem) { run.now = part.problem ? { ...run.base, problem: part.problem } : expand(run.base, part); run.without = now; }
        }
        this.setStatus("");
      } catch (error) {
        if (generation !== this.generation) return;
        this.setStatus(String(error.message ?? error));
      }
      this.requested = null; this.invalidate("weights");
    }
    this.requested = null;
  }

  setLink(link, text) { if (this.link !== "none" && this.link !== "fixed" && link !== this.link) { this.link = link; if (link !== "live") this.waiting = false; this.setStatus(text ?? ""); if (link === "live") this.encode(); this.invalidate("weights"); } }
  /** An exception of a callback: a line of its own, so that nothing else overwrites it. */
  showProblem(text) { setText(this.problem, text ?? ""); }
  setStatus(text) { setText(this.status, text); this.status.classList.toggle("loud", Boolean(text)); }
  setTool(tool) { this.tool = tool; this.tools[tool].checked = true; this.slider.dataset.tool = tool; }
  invalidate(what) { this.dirty[what] = true; this.ticket ??= requestAnimationFrame(() => this.draw()); }

  nameOf(label) { for (const run of this.runs) { const k = run.base.classes.indexOf(label); if (k >= 0) return run.base.names[k]; } return `class ${label}`; }
  isMasked(run, t) { return this.state.masked.has(run.link[t]); }
  allRemoved() { const { removed } = this.state, n = this.lead?.base.count ?? 0; return n > 0 && removed.size >= n; }
  isRemoved(run, t) { return this.state.removed.has(run.link[t]); }
  extent(label) { return this.extents.get(label) ?? { high: 0, low: 0 }; }
  valueOf({ run, k }) { const { contributions, occlusion, classes } = run.now, c = classes.length, w = run.result.weights; return contributions ? (t) => w[t] * contributions[t * c + k] : (t) => occlusion[t * c + k]; }
  readout(row) {
    if (row.kind === "truth") return "";
    const f = this.state.frame, run = row.run ?? this.lead, t = run.where?.[f] ?? f;
    if (row.kind === "weights") return `${small(run.result.weights[t])}, ${digits(run.result.weights[t] * run.result.kept, 1)} × uniform`;
    if (row.kind === "signed") return `here ${signed(this.valueOf(row)(t), 3)}` + (run.now.contributions && run.result.known ? ` of Σ ${signed(run.result.logits[row.k] - run.now.biases[row.k])}` : "");
    if (row.kind === "signal") return `${digits(run.base.energy[row.name][t], 2)}, ${digits(run.base.change[row.name]?.[t], 2)}`;
    return "";
  }

  buildRuns() {
    this.runsBox.hidden = this.runs.length < 2;
    this.runsBox.replaceChildren(make("legend", {}, "Runs "), ...this.runs.map((run) => make("label", {}, make("input", { type: "checkbox", value: run.name, checked: this.state.shown.includes(run.name), onchange: () => {
      const boxes = [...this.runsBox.querySelectorAll("input")];
      this.change({ shown: boxes.filter((box) => box.checked).map((box) => box.value) });
    } }), make("span", {}, make("b", {}, run.letter), ` ${run.name}`))));
    this.pickRuns();
  }
  pickRuns() { this.shown = this.runs.filter((run) => this.state.shown.includes(run.name)); this.buildScores(); }

  /** The classes with their scores: a row a class, a column a run; a tick draws the class. */
  buildScores() {
    const rows = new Map();
    for (const run of this.shown) run.base.classes.forEach((label, k) => rows.set(label, Math.max(rows.get(label) ?? 0, run.base.scores[k])));
    this.cells = [...rows].sort((a, b) => b[1] - a[1]).map(([label]) => {
      const truth = this.runs.some((run) => run.base.true?.includes(label));
      const box = make("input", { type: "checkbox", onchange: (e) => this.change({ classes: e.target.checked ? [...this.state.classes, label] : this.state.classes.filter((c) => c !== label) }) });
      box.checked = this.state.classes.includes(label);
      const cells = this.shown.map(() => { const text = make("span"), bar = make("i", { class: "share" }); return { text, bar, node: make("td", { class: "number" }, text, bar) }; });
      const name = make("label", {}, box, make("span", { class: "name", title: this.nameOf(label) }, this.nameOf(label)), truth ? make("abbr", { class: "true", title: "true label" }, " ✓") : null);
      return { label, cells, node: make("tr", { class: truth ? "true" : "other" }, make("th", { scope: "row" }, name), ...cells.map((cell) => cell.node)) };
    });
    this.heads = this.shown.map((run) => make("th", { scope: "col", class: "number" }));
    const known = this.runs.some((run) => run.base.true != null);
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, known ? "class (✓ true label)" : "class (truth unknown)"), ...this.heads));
    for (const node of [this.scores, this.body]) node.classList.toggle("many", this.shown.length > 1);
    this.scores.replaceChildren(head, make("tbody", {}, ...this.cells.map((row) => row.node)));
  }

  draw() {
    this.ticket = null;
    const { dirty } = this, width = Math.floor(this.slider.clientWidth);
    if (this.destroyed || width < 40) return;
    this.dirty = {};
    if (dirty.theme || !this.colors) this.colors = colorsOf(this.root);
    if (dirty.weights) this.weighAll();
    if (dirty.weights || dirty.size || dirty.theme) {
      const before = this.lay;
      this.lay = layout(this, width);
      for (const run of [...this.shown, this.lead]) if (run && !run.base.problem) run.at = edges(run.base.times, this.span, this.lay);
      // Planted frames, features and axis follow no control: they stay as they are, unless the rows above them changed.
      const until = !dirty.size && !dirty.theme && before?.key === this.lay.key ? this.lay.staticFrom : null;
      paintRows(this.painter(this.canvas, until), this, this.lay, this.colors, until);
    }
    paintCursor(this.painter(this.cursor), this, this.lay, this.colors);
    if (dirty.weights) this.showScores();
    this.showFrame();
    if (dirty.weights && !this.data.hidden) this.showData(true);
  }

  /** A cleared canvas of the right size; it is only cleared in the frame that paints it. */
  painter(canvas, until = null) {
    const ratio = Math.min(3, devicePixelRatio || 1), { width, height } = this.lay, w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; canvas.style.width = `${width}px`; canvas.style.height = `${height}px`; this.slider.style.height = `${height}px`; }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0); context.clearRect(0, 0, width, until ?? height);
    return new CanvasPainter(context, this.colors.family);
  }

  weighAll() {
    const all = this.runs.filter((run) => !run.base.problem), { state } = this;
    let low = Infinity, high = -Infinity;
    this.extents = new Map();
    for (const run of all) {
      const masked = this.allRemoved() ? new Set(run.link.keys()) : run === this.lead ? state.masked : new Set(run.link.flatMap((f, t) => (state.masked.has(f) ? [t] : [])));
      run.result = weigh(run.now, { ...state, masked }); run.peak = 0;
      if (run.now.problem) run.result.scores = run.result.logits = null; // encoded again, it is no more what it was
      for (let t = 0; t < run.base.count; t++) run.peak = Math.max(run.peak, run.result.weights[t], run.base.weights[t]);
      const n = run.base.count, half = n > 1 ? (run.base.times[n - 1] - run.base.times[0]) / (n - 1) / 2 : 0.5;
      low = Math.min(low, run.base.times[0] - half); high = Math.max(high, run.base.times[n - 1] + half);
      if (this.shown.includes(run) && !run.now.problem) for (const label of state.classes) {
        const k = run.now.classes.indexOf(label);
        if (k < 0 || !(run.now.contributions || run.now.occlusion)) continue;
        const value = this.valueOf({ run, k });
        let { high, low } = this.extent(label);
        for (let t = 0; t < n; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
        this.extents.set(label, { high, low });
      }
    }
    this.span = low < high ? [low, high] : [0, 1];
    this.ends = all.length ? [Math.min(...all.map((run) => run.base.times[0])), Math.max(...all.map((run) => run.base.times.at(-1)))] : [0, 1];
  }

  showScores() {
    const stale = this.stale = this.requested !== null || (this.state.removed.size > 0 && !this.allRemoved() && this.shown.some((run) => !run.without || !same(new Set(run.without), this.state.removed)));
    this.scores.classList.toggle("stale", stale); this.scores.setAttribute("aria-busy", String(this.requested !== null));
    let most = null;
    this.shown.forEach((run, r) => {
      setText(this.heads[r], (this.shown.length > 1 ? `score ${run.letter}` : "score") + (stale ? " (stale)" : ""));
      for (const row of this.cells) {
        const cell = row.cells[r], k = run.now.classes.indexOf(row.label), before = run.base.problem || k < 0 ? NaN : run.base.scores[k], after = run.result?.scores && k >= 0 ? run.result.scores[k] : NaN;
        const moved = !(Math.abs(after - before) < 0.0005) && !Number.isNaN(before);
        const [from, to] = [before, after].map((x) => digits(x, this.shown.length > 1 ? 2 : 3));
        setText(cell.text, moved && from !== to ? `${from} → ${Number.isNaN(after) ? "?" : to}` : from);
        cell.bar.style.transform = `scaleX(${px(Number.isNaN(after) ? before || 0 : after)})`;
        if (moved && Number.isFinite(after) && (!most || Math.abs(after - before) > Math.abs(most.by))) most = { by: after - before, before, after, label: row.label, run };
      }
    });
    for (const row of this.cells) row.node.querySelector("input").checked = this.state.classes.includes(row.label);
    const effect = most ? `largest change: ${cut(this.nameOf(most.label))} ${digits(most.before)} → ${digits(most.after)} (${signed(most.by, 3)})${this.shown.length > 1 ? ` in ${most.run.letter}` : ""}` : "";
    setText(this.most, [changesOf(this), effect].filter(Boolean).join("; ") || "Nothing is changed: these are the model's own scores.");
    const link = this.requested ? `Encoding again without ${plural(this.requested.length, "frame")}; the scores shown are stale until then.` : "";
    if (link) this.setStatus(link);
    this.showWords(this.shown.filter((run) => run.result && !run.now.problem));
    this.showControls();
  }

  factsOf(run) {
    const { result, now } = run, n = run.base.count - (now.missing?.size ?? 0), of = this.shown.length > 1 ? `${run.letter}: ` : "";
    if (!result.known) return [`${of}Every frame is masked or removed, so there are no weights and no scores.`];
    const share = n > 1 ? `, ${Math.round((100 * result.entropy) / Math.log(n))} % of the uniform weights' ${digits(Math.log(n), 2)}` : "";
    const facts = [`${of}Entropy of the weights ${digits(result.entropy, 2)} nats${share}${result.kept < n || n < run.base.count ? `; ${result.kept} of ${plural(run.base.count, "frame")} kept` : ""}.`];
    if (!now.contributions) facts.push(now.occlusion ? `${of}The classifier is not linear, so frames have no share of a logit; drawn is occlusion by masking: the score minus the score with this frame's weight at zero.` : `${of}No contributions were given, so only the weights follow the controls.`,
      ...(result.scores ? [] : [`${of}The new scores cannot be computed here${this.link === "live" ? ": remove the frames instead of masking them." : "."}`]));
    return facts;
  }

  /** Facts, and the sums of a linear classifier. Elements are kept: a drag changes only their text. */
  showWords(runs) {
    const facts = runs.flatMap((run) => this.factsOf(run)), rows = this.state.classes.flatMap((label) => runs.filter((run) => run.now.contributions && run.result.known && run.now.classes.includes(label)).map((run) => this.sum(run, label)));
    if (facts.length !== this.sentences?.length || rows.length !== this.sums?.length) {
      this.sentences = facts.map(() => make("p"));
      this.sums = rows.map(() => [make("span", { class: "name" }), ...[1, 2, 3].map(() => make("td", { class: "number" }))]);
      const heads = ["class", "Σ α (w·h)", "+ bias", "= logit"].map((text, k) => make("th", { scope: "col", class: k ? "number" : "" }, text));
      const table = make("table", { class: "sums" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...this.sums.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells))));
      this.words.replaceChildren(...this.sentences, ...(rows.length ? [make("div", { class: "scroll" }, table)] : []));
    }
    this.sentences.forEach((node, k) => setText(node, facts[k]));
    this.sums.forEach((cells, r) => { cells.forEach((node, k) => setText(node, rows[r][k])); cells[0].title = rows[r][0]; });
  }

  sum(run, label) {
    const k = run.now.classes.indexOf(label), logit = run.result.logits[k], bias = run.now.biases[k];
    return [`${this.shown.length > 1 ? `${run.letter} · ` : ""}${run.now.names[k]}`, ...[logit - bias, bias, logit].map((x) => signed(x))];
  }

  showControls() {
    const { state } = this, n = this.lead?.base.count ?? 0, off = !this.lead;
    const set = ({ input, output }, value, text) => { input.value = value; input.disabled = off; input.setAttribute("aria-valuetext", text); setText(output, text); };
    set(this.temperature, Math.log10(state.temperature), state.temperature.toFixed(2));
    this.top.input.max = Math.max(1, n);
    set(this.top, state.top ?? n, state.top == null ? `all ${n}` : `${state.top} of ${n}`);
    this.uniform.checked = state.uniform; this.uniform.disabled = off; this.temperature.input.disabled = off || state.uniform;
    this.video.select.value = state.video;
    for (const control of [this.order.select, this.ofClass.select, this.video.select, this.id]) control.disabled = this.link === "disconnected";
    for (const box of this.runsBox.querySelectorAll("input")) { box.checked = state.shown.includes(box.value); box.disabled = !box.checked && state.shown.length >= 3; }
    this.tools.remove.disabled = this.link !== "live"; setText(this.unavailable, UNAVAILABLE[this.link] ?? "");
    if (this.link !== "live" && this.tool === "remove") this.setTool("select");
    this.root.dataset.link = this.link;
  }

  showFrame() {
    const { lead, state } = this;
    if (!lead) { setText(this.here, this.runs[0]?.base.problem ?? "There is no video to show."); this.slider.setAttribute("aria-valuetext", this.here.textContent); return; }
    const f = state.frame, w = lead.result.weights[f], truth = Object.entries(lead.base.truth);
    const mark = state.removed.has(f) ? ", removed" : state.masked.has(f) ? ", masked" : "";
    const made = truth.filter(([, frames]) => frames.includes(f)).map(([label]) => this.nameOf(Number(label)));
    setText(this.here, `Frame ${f + 1} of ${lead.base.count.toLocaleString("en")}, at ${seconds(lead.base.times[f])}${mark}: weight ${small(w)}, ${digits(w * lead.result.kept, 1)} × uniform.` + (truth.length ? ` Made by this frame: ${made.join(", ") || "no label"}.` : ""));
    const scores = lead.result.scores ?? [];
    let best = -1;
    scores.forEach((s, k) => { if (Number.isFinite(s) && !(s <= scores[best])) best = k; });
    const top = best >= 0 ? `, top class ${lead.base.names[best]} ${digits(scores[best], 2)}${this.stale ? " (stale)" : ""}` : lead.base.classes.length ? ", scores unknown" : "";
    for (const [name, value] of [["min", 1], ["max", lead.base.count], ["now", f + 1], ["text", `${seconds(lead.base.times[f])}, weight ${small(w)}${mark}${top}`]]) this.slider.setAttribute(`aria-value${name}`, value);
  }

  showData(open) {
    this.data.hidden = !open; this.toggle.setAttribute("aria-expanded", String(open));
    if (!open || !this.lead) return this.data.replaceChildren();
    const { head, rows } = records(this), shown = rows.slice(0, 1000), row = (tag, cells) => make("tr", {}, ...cells.map((c) => make(tag, {}, typeof c === "number" ? String(c) : make("span", { class: "name", title: c }, c))));
    this.data.replaceChildren(make("table", {}, make("thead", {}, row("th", head)), make("tbody", {}, ...shown.map((cells) => row("td", cells)))), ...(shown.length < rows.length ? [make("p", {}, `The first 1,000 of ${plural(rows.length, "row")}; the CSV file has them all.`)] : []));
  }

  // ----------------------------------------------------------------------------------------------------- input

  frameAt(event) {
    const { at } = this.lead, x = event.clientX - this.slider.getBoundingClientRect().left, n = this.lead.base.count;
    let low = 0, high = n - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (at[middle] <= x) low = middle; else high = middle - 1; }
    return low;
  }

  onPointer(kind, event) {
    if (!this.lead?.at || (kind === "down" && event.button !== 0)) return;
    if (kind === "up" || kind === "cancel") { this.drag = null; return; }
    if (kind === "down") {
      this.slider.focus({ preventScroll: true }); this.slider.setPointerCapture(event.pointerId);
      const frame = this.frameAt(event), tool = event.shiftKey && this.tool === "select" ? "mask" : this.tool, set = tool === "remove" ? "removed" : "masked";
      this.drag = { from: frame, set: tool === "select" ? null : set, adds: !this.state[set].has(frame) };
    } else if (!this.drag) return;
    const to = this.frameAt(event);
    if (kind === "move" && to === this.drag.from) return;
    if (this.drag.set) this.paintFrames(this.drag.set, this.drag.from, to, this.drag.adds); else this.change({ frame: to });
    this.drag.from = to;
  }

  paintFrames(set, from, to, adds) {
    const frames = new Set(this.state[set]);
    for (let t = Math.min(from, to); t <= Math.max(from, to); t++) if (adds) frames.add(t); else frames.delete(t);
    this.change({ [set]: frames, frame: to });
  }

  onKey(event) {
    if (!this.lead || event.ctrlKey || event.metaKey || event.altKey) return;
    const f = this.state.frame, last = this.lead.base.count - 1, page = Math.max(1, Math.round(last / 10)), set = this.tool === "remove" ? "removed" : "masked";
    const to = { ArrowRight: f + 1, ArrowUp: f + 1, ArrowLeft: f - 1, ArrowDown: f - 1, PageUp: f + page, PageDown: f - page, Home: 0, End: last }[event.key];
    if (event.key === " ") this.paintFrames(set, f, f, !this.state[set].has(f));
    else if (to === undefined) return;
    else if (event.shiftKey) this.paintFrames(set, f, Math.min(last, Math.max(0, to)), true);
    else this.change({ frame: Math.min(last, Math.max(0, to)) });
    event.preventDefault();
  }
}

const same = (a, b) => a.size === b.size && [...a].every((x) => b.has(x));

/** Colours and type as the page has them now. */
function colorsOf(root) {
  const style = getComputedStyle(root), probe = document.createElement("canvas").getContext("2d"), seen = (name) => style.getPropertyValue(`--av-${name}`).trim();
  probe.fillStyle = "#fff"; probe.fillStyle = seen("ground");
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(probe.fillStyle.slice(k, k + 2), 16));
  root.classList.toggle("on-dark", 0.299 * r + 0.587 * g + 0.114 * b < 128);
  return { ...Object.fromEntries(["ink", "soft", "ground", "rule", "up", "down", "area", "truth"].map((name) => [name, seen(name)])), family: style.fontFamily };
}

// ---------------------------------------------------------------------------------------------------- exports

/** What differs from the model's own weights, in words; "" where nothing does. */
function changesOf({ state, lead, stale }) {
  const { temperature, top, uniform, masked, removed } = state, some = (set, what, other) => set.size && `${other?.size ? set.size : plural(set.size, "frame")} ${what}`;
  return [
    !uniform && temperature !== 1 && `temperature ${temperature.toFixed(2)}`,
    top != null && top < (lead?.base.count ?? 0) && `top ${top} kept`,
    uniform && "uniform weights", some(masked, "masked"), some(removed, stale ? "removed (scores stale)" : "removed", masked),
  ].filter(Boolean).join("; ");
}

/** Every number drawn, a row a frame and run. */
function records(view) {
  const classes = view.state.classes, signals = Object.keys(view.lead?.base.energy ?? {});
  const truth = Object.entries(view.lead?.base.truth ?? {}).map(([label, frames]) => [label, new Set(frames)]);
  const head = ["run", "frame", "seconds", "weight", "model weight", "state", ...classes.map((c) => `${view.nameOf(c)} share`), ...signals.flatMap((s) => [`${s} energy`, `${s} change`]), ...truth.map(([label]) => `ground truth ${view.nameOf(Number(label))}`)];
  const rows = view.shown.filter((run) => !run.now.problem).flatMap((run) => Array.from({ length: run.base.count }, (_, t) => [
    run.name, t + 1, Number(run.base.times[t].toFixed(3)), Number(run.result.weights[t].toPrecision(7)), Number(run.base.weights[t].toPrecision(7)),
    view.isRemoved(run, t) ? "removed" : view.isMasked(run, t) ? "masked" : run.result.weights[t] > 0 ? "kept" : "left out",
    ...classes.map((c) => { const k = run.now.classes.indexOf(c); return k < 0 || !(run.now.contributions || run.now.occlusion) ? "" : Number(view.valueOf({ run, k })(t).toPrecision(7)); }),
    ...signals.flatMap((s) => [run.base.energy[s], run.base.change[s]].map((values) => (values ? Number(values[t].toPrecision(6)) : ""))),
    ...truth.map(([, frames]) => (frames.has(run.link[t]) ? 1 : 0))]));
  return { head, rows };
}

// A leading apostrophe keeps spreadsheets from reading a cell as a formula.
const cell = (value) => (typeof value === "number" ? String(value) : `"${String(value).replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`);
// What was changed is a column, not a line above the head: programs read the file as it is.
const csv = (view) => { const { head, rows } = records(view), changes = changesOf(view) || "nothing"; return [[...head, "changed"], ...rows.map((row) => [...row, changes])].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n"; };

/** The picture as it stands, with a title: the same painting on another back end. */
function picture(view, painter, width) {
  const title = `${view.scene.title} on ${view.scene.data}${view.scene.generated ? " (generated data)" : ""}`, label = view.scene.videos.find((v) => v.id === view.state.video)?.label ?? "";
  const kept = new Map(view.runs.map((run) => [run, run.at])), lay = layout(view, width);
  const changes = changesOf(view), scaled = lay.rows.some((row) => row.kind === "signed");
  const lines = [label, changes ? `Changed: ${changes}` : "Nothing is changed: these are the model's own weights.", scaled ? "Each class is drawn to its own scale." : ""].filter(Boolean), head = 26 + 18 * lines.length;
  for (const row of lay.rows) { row.y += head; row.top += head; }
  lay.bottom += head; lay.height += head;
  for (const run of view.runs) if (!run.base.problem) run.at = edges(run.base.times, view.span, lay);
  painter.open?.(lay.height);
  painter.rects([0, 0, width, lay.height], view.colors.ground);
  painter.text(EDGE, 18, fit(title, width - 2 * EDGE, painter.font(14, true)), view.colors.ink, { size: 14, bold: true });
  lines.forEach((line, k) => painter.text(EDGE, 36 + 18 * k, fit(line, width - 2 * EDGE, painter.font(12)), view.colors.ink));
  paintRows(painter, view, lay, view.colors);
  for (const row of lay.rows) {
    const value = row.kind === "weights" ? (t) => row.run.result.weights[t] : row.kind === "signed" ? view.valueOf(row) : null;
    if (!value || !row.run.result.known) continue;
    let largest = 0;
    for (let t = 0; t < row.run.base.count; t++) if (Math.abs(value(t)) > Math.abs(largest)) largest = value(t);
    painter.text(lay.right, row.y + 12, `largest ${row.kind === "weights" ? small(largest) : signed(largest, 3)}`, view.colors.ink, { anchor: "end", size: 11 });
  }
  for (const [run, at] of kept) run.at = at;
  return { lay, title: `${title}: ${label}${changes ? ` (${changes})` : ""}` };
}

async function download(view, kind) {
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

// ------------------------------------------------------------------------------------------------ entry points

/** Draw a scene into an element. `hooks`: changed(patch), remove(video, frames) → evidence a run, open(video), menu(order, label), state. */
export function show(el, scene, hooks = {}) {
  return new View(el, scene, hooks);
}

const PATIENCE = 15000;
const STATE = ["frame", "masked", "removed", "temperature", "top", "uniform", "classes", "shown"];

function render({ model, el, hooks = {} }) {
  // All views of one model receive its messages: each takes only the answers to its own requests.
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  let number = 0, pending = null, mine = false, unsent = {}, timer = null;
  const modelState = () => Object.fromEntries(STATE.map((name) => [name, model.get(name) ?? (name === "top" ? null : undefined)]));
  const settle = (how, value) => {
    clearTimeout(pending?.silent);
    pending?.[how](value);
    pending = null;
  };
  const remove = (video, frames) => new Promise((resolve, reject) => {
    settle("reject", new Error(""));
    const patience = hooks.patience ?? PATIENCE;
    const silent = setTimeout(() => { view.setLink("silent", `The kernel has not answered for ${plural(patience / 1000, "second")}: it is busy or gone. What the browser computes still works.`); reject(new Error(view.status.textContent)); }, patience);
    pending = { number: ++number, video, frames: String(frames), resolve, reject, silent };
    model.send({ kind: "remove", view: id, number, video, frames });
  });
  // The kernel hears of changes now and then: each message makes a notebook redraw its status, which costs a drag its flow.
  const changed = (patch) => {
    unsent = { ...unsent, ...patch };
    timer ??= setTimeout(() => {
      timer = null; mine = true;
      for (const name of STATE) if (name in unsent) model.set(name, unsent[name]);
      mine = false; unsent = {};
      if (view.link !== "disconnected") model.save_changes();
    }, 60);
  };
  const open = (video) => model.send({ kind: "open", video }), menu = (order, label) => model.send({ kind: "menu", order, label });
  const view = show(el, model.get("scene"), { remove, changed, open, menu, state: modelState() });
  const lost = () => {
    view.setLink("disconnected", "Disconnected: the kernel is gone. Masking, temperature and the rest still work; removing frames and other videos need a kernel.");
    settle("reject", new Error(view.status.textContent));
  };
  // What Python sets is newer than changes in the browser that the kernel has not received yet.
  const onScene = () => { unsent = {}; view.setScene(model.get("scene"), modelState()); };
  const onState = (name) => { if (mine) return; delete unsent[name]; view.apply({ [name]: model.get(name) }); };
  const onMessage = (message) => {
    if (view.link === "silent") view.setLink("live");
    if (!pending || message.view !== id || message.number !== pending.number || message.video !== pending.video || String(message.frames) !== pending.frames) return;
    if (message.kind === "evidence") settle("resolve", message.runs); else settle("reject", new Error(message.text));
  };
  const onProblem = () => view.showProblem(model.get("problem")), onMenu = () => view.setMenu(model.get("menu"));
  onProblem(); onMenu();
  const listeners = [["change:scene", onScene], ["change:problem", onProblem], ["change:menu", onMenu], ["msg:custom", onMessage], ["comm_live_update", lost], ["comm:close", lost], ...STATE.map((name) => [`change:${name}`, () => onState(name)])];
  for (const [event, listener] of listeners) model.on(event, listener);
  // A kernel that dies of itself closes no comm: JupyterLab's manager, where there is one, reports its status.
  const kernel = model.widget_manager?.kernel, onStatus = (_, status) => { if (["dead", "restarting", "autorestarting", "terminating"].includes(status)) lost(); };
  const onConnection = (_, status) => { if (status === "disconnected") lost(); };
  kernel?.statusChanged?.connect(onStatus); kernel?.connectionStatusChanged?.connect(onConnection);
  return () => {
    clearTimeout(pending?.silent);
    kernel?.statusChanged?.disconnect(onStatus); kernel?.connectionStatusChanged?.disconnect(onConnection);
    for (const [event, listener] of listeners) model.off(event, listener);
    view.destroy();
  };
}

export default { render };
