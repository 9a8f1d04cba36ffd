// The time axis in the reader's hands: zoom, pan and minimap, selecting and changing frames, playing.

import { CanvasPainter } from "./painters.js";
import { boundary, edges, EDGE } from "./rows.js";
import { make, setText } from "./elements.js";

const TOOLS = ["move", "range", "mask", "remove", "mute"], SETS = { mask: "masked", remove: "removed" };
const SPEEDS = [0.5, 1, 2, 5], MAP = 34, LONG = 200, NARROWEST = 5, GRIP = 8;
const UNAVAILABLE = {
  none: "Removing and muting are not available: this page has no kernel. Run the notebook in JupyterLab.",
  fixed: "Removing and muting are not available: these are arrays, without a model that could encode the video again.",
  disconnected: "Removing and muting are not available: the kernel is disconnected.",
  silent: "Removing and muting are not available: the kernel does not answer.",
};
const MEANING = "Mask: weight 0, the states stay. Remove: encoded again without the frames. Mute: encoded again without the modality there.";
const KEYS = [
  ["← → ↑ ↓, Home, End, Page ↑ ↓", "move the frame"], ["Shift with arrows, Home, End", "select a range"], ["Esc", "no range"],
  ["Space", "apply the tool (else mask)"], ["M R U C", "mask, remove, mute, clear the range or frame"],
  ["+ − 0", "zoom in, out, whole video"], ["Shift with Page ↑ ↓", "pan"], ["P or K, L", "play or pause, loop"], ["B N or [ ]", "previous, next video"],
  ["Ctrl with wheel, pinch; wheel over the axis or the overview", "zoom"], ["Wheel sideways", "pan"], ["Shift with drag", "select a range"],
];
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const ordered = (a, b) => (a < b ? [a, b] : [b, a]);

/** Input over the frames of a view's first run. `onframe(frame, second)` and `onplay(playing, speed)` follow the cursor;
 *  `clock()`, where given, is the second that plays now (a player's), instead of the time since `play()`. */
export class Timeline {
  constructor(view) {
    Object.assign(this, { view, tool: "move", pointers: new Map(), drag: null, playing: false, onframe: null, onplay: null, clock: null });
    const button = (text, label, onclick) => make("button", { type: "button", title: label, "aria-label": label, onclick }, text);
    const group = (label, ...nodes) => make("div", { class: "acts", role: "group", "aria-label": label }, ...nodes);
    this.tools = Object.fromEntries(TOOLS.map((tool) =>
      [tool, make("input", { type: "radio", name: view.name, value: tool, checked: tool === "move", onchange: () => this.setTool(tool) })]));
    this.modality = make("select", { "aria-label": "Modality to mute" });
    this.selected = make("b", { class: "selected" });
    this.acts = { mask: "Mask", remove: "Remove", mute: "Mute" };
    for (const [tool, text] of Object.entries(this.acts)) this.acts[tool] = button(text, `${text} the range or frame`, () => this.act(tool));
    this.speed = make("select", { "aria-label": "Speed", onchange: () => { this.started = null; this.onplay?.(this.playing, this.rate); } },
      ...SPEEDS.map((speed) => make("option", { value: speed, selected: speed === 1 }, `${speed}×`)));
    this.playButton = make("button", { type: "button", class: "play", onclick: () => (this.playing ? this.pause() : this.play()) }, "▶ Play");
    this.unavailable = make("p", { class: "unavailable" });
    this.controls = make("div", { class: "timeline" },
      make("fieldset", { class: "tools" }, make("legend", {}, "Drag to"), ...TOOLS.map((tool) => make("label", {}, this.tools[tool], tool)), this.modality),
      group("Range or frame", this.selected, ...Object.values(this.acts), button("Clear", "Clear what was masked, removed or muted there", () => this.clear()),
        button("Loop", "Play the range again and again", () => this.loop())),
      group("Playing", this.playButton, this.speed),
      group("Zoom", button("−", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)), button("Whole", "The whole video", () => this.show(0, Infinity)),
        button("‹", "Earlier", () => this.pan(-0.8)), button("›", "Later", () => this.pan(0.8))),
      make("details", { class: "help" }, make("summary", { title: "Keys and gestures" }, "?"), make("p", {}, MEANING),
        make("dl", {}, ...KEYS.flatMap(([keys, does]) => [make("dt", {}, keys), make("dd", {}, does)]))),
      this.unavailable);
    this.mapCanvas = make("canvas", { "aria-hidden": "true" });
    this.map = make("div", { class: "minimap", hidden: true }, this.mapCanvas);
    const { slider } = view;
    slider.addEventListener("keydown", (event) => this.onKey(event));
    for (const kind of ["down", "move", "up", "cancel"]) {
      slider.addEventListener(`pointer${kind}`, (event) => this.onPointer(kind, event));
      this.map.addEventListener(`pointer${kind}`, (event) => this.onMap(kind, event));
    }
    slider.addEventListener("wheel", (event) => this.onWheel(event, this.pixel(event, slider, "y") > view.lay?.bottom), { passive: false });
    this.map.addEventListener("wheel", (event) => this.onWheel(event, true), { passive: false });
    this.onHidden = () => document.hidden && this.pause();
    document.addEventListener("visibilitychange", this.onHidden);
    this.setTool("move");
  }
  destroy() { this.pause(); document.removeEventListener("visibilitychange", this.onHidden); }
  get count() { return this.view.lead?.base.count ?? 0; }
  get rate() { return Number(this.speed.value); }
  setTool(tool) { this.tool = tool; this.tools[tool].checked = true; this.view.slider.dataset.tool = tool; this.modality.hidden = tool !== "mute"; }

  // ------------------------------------------------------------------------------------------------------ window

  /** A pair of frames as the state may hold it: ordered, within the video; null where it is none. */
  within(pair) {
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every(Number.isFinite) || !this.count) return null;
    return ordered(...pair.map((t) => clamp(Math.round(t), 0, this.count - 1)));
  }
  /** The seconds that the window covers. */
  span() {
    const { state, lead, whole } = this.view;
    return state.window && lead ? [boundary(lead.base.times, state.window[0]), boundary(lead.base.times, state.window[1] + 1)] : whole;
  }
  /** First frame and number of frames as the gestures left them: a state holds whole frames, a slow pinch moves by less. */
  get exact() {
    const [first, last] = this.view.state.window ?? [0, this.count - 1], size = last - first + 1, kept = this.kept;
    return kept && Math.round(kept[0]) === first && Math.round(kept[0] + kept[1]) === last + 1 ? kept : [first, size];
  }
  sized(size) { return clamp(size, Math.min(NARROWEST, this.count), this.count); }
  show(first, size) {
    const before = this.exact, n = this.count;
    size = this.sized(size); first = clamp(first, 0, n - size);
    if (!n || (before[0] === first && before[1] === size)) return false;
    this.kept = [first, size];
    this.view.change({ window: size >= n ? null : [Math.round(first), Math.round(first + size) - 1] });
    return true;
  }
  zoom(factor, at = null) {
    const [first, size] = this.exact, wide = this.sized(size * factor), cursor = (this.view.state.frame + 0.5 - first) / size;
    at ??= cursor >= 0 && cursor <= 1 ? cursor : 0.5;
    return this.show(first + at * (size - wide), wide);
  }
  pan(share) { const [first, size] = this.exact; return this.show(first + share * size, size); }
  /** The cursor at a frame, and the window with it. */
  moveTo(frame, patch = {}) {
    const { window } = this.view.state, to = clamp(frame, 0, this.count - 1), size = window && window[1] - window[0];
    const follow = !window || (to >= window[0] && to <= window[1]) ? {} : to < window[0] ? { window: [to, to + size] } : { window: [to - size, to] };
    this.view.change({ ...patch, ...follow, frame: to });
  }

  // ------------------------------------------------------------------------------------------- changes of frames

  act(tool, [from, to] = this.view.state.range ?? [this.view.state.frame, this.view.state.frame], adds = null, frame = null) {
    if (this.tools[tool].disabled || !this.count) return;
    const { state } = this.view, name = SETS[tool], frames = new Set(name ? state[name] : state.muted[this.modality.value]);
    adds ??= Array.from({ length: to - from + 1 }, (_, k) => from + k).some((t) => !frames.has(t));
    for (let t = from; t <= to; t++) if (adds) frames.add(t); else frames.delete(t);
    const patch = name ? { [name]: frames } : { muted: this.muting(this.modality.value, frames) };
    this.view.change(frame === null ? patch : { ...patch, frame });
  }
  muting(modality, frames) {
    const { [modality]: _, ...others } = this.view.state.muted;
    return frames.size ? { ...others, [modality]: [...frames].sort((a, b) => a - b) } : others;
  }
  clear() {
    const { state } = this.view, [from, to] = state.range ?? [state.frame, state.frame], outside = (frames) => [...frames].filter((t) => t < from || t > to);
    const muted = Object.entries(state.muted).map(([name, frames]) => [name, outside(frames)]).filter(([, frames]) => frames.length);
    this.view.change({ masked: new Set(outside(state.masked)), removed: new Set(outside(state.removed)), muted: Object.fromEntries(muted) });
  }

  // ------------------------------------------------------------------------------------------------------ playing

  bounds() { return this.view.state.range ?? [0, this.count - 1]; }
  play() {
    const { state } = this.view, [first, last] = this.bounds();
    if (this.playing || !this.count) return;
    if (state.frame < first || state.frame >= last) this.moveTo(first);
    this.playing = true; this.started = null; this.setPlaying();
    requestAnimationFrame((now) => this.tick(now));
  }
  pause() { if (this.playing) { this.playing = false; this.setPlaying(); } }
  setPlaying() { setText(this.playButton, this.playing ? "❚❚ Pause" : "▶ Play"); this.onplay?.(this.playing, this.rate); }
  loop() {
    if (!this.count) return;
    const range = this.view.state.range ?? this.view.state.window ?? [0, this.count - 1];
    this.moveTo(range[0], { range }); this.play();
  }
  tick(now) {
    if (!this.playing) return;
    const { view } = this, { frame, range } = view.state, [first, last] = this.bounds();
    if (view.destroyed || !view.slider.clientWidth || !this.count) { this.pause(); return; }
    const { times } = view.lead.base;
    // Whoever else moves the cursor: playing goes on from there.
    if (this.started?.frame !== frame) this.started = { frame, now, second: times[frame] };
    const second = this.clock?.() ?? this.started.second + ((now - this.started.now) / 1000) * this.rate;
    let to = frame;
    while (to < last && second >= boundary(times, to + 1)) to++;
    if (to === last && second >= boundary(times, last + 1)) {
      if (!range) { this.pause(); return; }
      this.started = null; this.moveTo(first);
    } else if (to !== frame) { this.started.frame = to; this.moveTo(to); }
    requestAnimationFrame((later) => this.tick(later));
  }

  // -------------------------------------------------------------------------------------------------------- input

  pixel(event, node, axis = "x") { const box = node.getBoundingClientRect(); return axis === "x" ? event.clientX - box.left : event.clientY - box.top; }
  share(x) { const { left, right } = this.view.lay; return clamp((x - left) / (right - left), 0, 1); }
  frameAt(x, at = this.view.lead.at, [low, high] = this.view.state.window ?? [0, this.count - 1]) {
    while (low < high) { const middle = (low + high + 1) >> 1; if (at[middle] <= x) low = middle; else high = middle - 1; }
    return low;
  }
  onPointer(kind, event) {
    const { view, pointers } = this, { slider } = view, x = this.pixel(event, slider);
    if (!view.lead?.at || (kind === "down" && event.button !== 0) || (kind === "move" && !pointers.has(event.pointerId))) return;
    if (kind === "up" || kind === "cancel") {
      if (kind === "up" && this.drag && !this.drag.begun) this.dragTo(this.drag.from);
      pointers.delete(event.pointerId); this.drag = this.pinch = null;
      return;
    }
    pointers.set(event.pointerId, x);
    const [a, b] = [...pointers.values()];
    if (kind === "down") {
      slider.focus({ preventScroll: true }); slider.setPointerCapture(event.pointerId);
      const from = this.frameAt(x), tool = event.shiftKey ? "range" : this.tool, set = tool === "mute" ? view.state.muted[this.modality.value] : view.state[SETS[tool]];
      this.drag = pointers.size > 1 ? null : { tool, from, start: from, adds: !new Set(set).has(from), begun: false };
      if (pointers.size === 2) this.pinch = { exact: this.exact, apart: Math.max(1, Math.abs(a - b)), at: this.share((a + b) / 2) };
      // A finger may yet scroll the page or begin a pinch.
      if (this.drag && event.pointerType !== "touch") this.dragTo(from);
    } else if (this.pinch && pointers.size === 2) {
      const [first, size] = this.pinch.exact, wide = this.sized((size * this.pinch.apart) / Math.max(1, Math.abs(a - b)));
      this.show(first + this.pinch.at * size - this.share((a + b) / 2) * wide, wide);
    } else if (this.drag) {
      const to = this.frameAt(x);
      if (to !== this.drag.from || !this.drag.begun) this.dragTo(to);
    }
  }
  dragTo(to) {
    const { drag, view } = this;
    if (drag.tool === "move") view.change({ frame: to });
    else if (drag.tool === "range") view.change({ range: ordered(drag.start, to), frame: to });
    else this.act(drag.tool, ordered(drag.from, to), drag.adds, to);
    drag.from = to; drag.begun = true;
  }
  /** Over the overview: the window moves, either end of it moves, or a new one is drawn; a click centres it. */
  onMap(kind, event) {
    const x = this.pixel(event, this.map), f = this.mapAt && this.frameAt(x, this.mapAt, [0, this.count - 1]);
    if (!this.mapAt || (kind === "down" && event.button !== 0)) return;
    if (kind === "down") {
      const { window } = this.view.state, near = (t) => Math.abs(this.mapAt[t] - x) <= GRIP, [first, size] = this.exact;
      const ends = window && near(window[0]) ? window[1] : window && near(window[1] + 1) ? window[0] : null;
      this.map.setPointerCapture(event.pointerId);
      this.held = window && ends === null && f >= window[0] && f <= window[1] ? { offset: f - first } : { fixed: ends ?? f, click: ends === null, size };
    } else if (kind === "move" && this.held) {
      const { fixed, offset } = this.held;
      if (fixed === undefined) this.show(f - offset, this.exact[1]);
      else if (f !== fixed) { const [a, b] = ordered(fixed, f); this.held.click = false; this.show(a, b - a + 1); }
    } else if (kind !== "move") {
      if (kind === "up" && this.held?.click) { if (this.view.state.window) this.show(f - this.held.size / 2, this.held.size); else this.moveTo(f); }
      this.held = null;
    }
  }
  onWheel(event, zooms) {
    if (!this.count || !this.view.lay) return;
    const unit = event.deltaMode ? 16 : 1, pinch = event.ctrlKey || event.metaKey, sideways = !pinch && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY));
    const by = unit * (sideways && event.deltaX ? event.deltaX : event.deltaY);
    if (!sideways && !pinch && !zooms) return;
    const at = event.currentTarget === this.map ? null : this.share(this.pixel(event, this.view.slider));
    const done = sideways ? this.pan(by / (this.view.lay.right - this.view.lay.left)) : this.zoom(Math.exp(clamp(by * 0.01, -0.3, 0.3)), at);
    // At an end the page scrolls on; with Ctrl it would be magnified instead.
    if (done || pinch) event.preventDefault();
  }
  onKey(event) {
    if (!this.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this, { frame: f, range } = view.state, last = this.count - 1, page = Math.max(1, Math.round(this.exact[1] / 10));
    const to = { ArrowRight: f + 1, ArrowUp: f + 1, ArrowLeft: f - 1, ArrowDown: f - 1, PageUp: f + page, PageDown: f - page, Home: 0, End: last }[event.key];
    const tool = this.tool in SETS || this.tool === "mute" ? this.tool : "mask", key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const video = (by) => () => { const { select } = view.video, k = select.selectedIndex + by; if (select.options[k] && !select.disabled) { select.selectedIndex = k; select.dispatchEvent(new Event("change")); } };
    const toggle = () => (this.playing ? this.pause() : this.play()), away = range?.[0] === f ? range[1] : range?.[1] === f ? range[0] : f;
    const does = {
      " ": () => this.act(tool), m: () => this.act("mask"), r: () => this.act("remove"), u: () => this.act("mute"), c: () => this.clear(), Escape: range && (() => view.change({ range: null })),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "−": () => this.zoom(2), 0: () => this.show(0, Infinity),
      p: toggle, k: toggle, l: () => this.loop(), n: video(1), "]": video(1), b: video(-1), "[": video(-1),
    }[key];
    if (to === undefined && !does) return;
    if (does) does();
    else if (!event.shiftKey) this.moveTo(to);
    else if (event.key.startsWith("Page")) this.pan(event.key === "PageUp" ? 0.8 : -0.8);
    else this.moveTo(to, { range: ordered(away, clamp(to, 0, last)) });
    event.preventDefault();
  }

  // ----------------------------------------------------------------------------------------------------- painting

  showControls() {
    const { view } = this, names = Object.keys(view.lead?.base.energy ?? {}), { frame, range } = view.state;
    if (names.join() !== [...this.modality.options].map((option) => option.value).join()) this.modality.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    const off = { mask: !view.shown.some((run) => run.base.maskable !== false), remove: view.link !== "live", mute: view.link !== "live" || !names.length };
    for (const [tool, disabled] of Object.entries(off)) {
      this.tools[tool].disabled = this.acts[tool].disabled = disabled;
      if (disabled && this.tool === tool) this.setTool("move");
    }
    setText(this.unavailable, UNAVAILABLE[view.link] ?? "");
    setText(this.selected, range ? `Frames ${range[0] + 1} to ${range[1] + 1}` : `Frame ${frame + 1}`);
  }
  /** The overview: the highest weight (else term) of each pixel, the window, the range and the cursor. */
  paint() {
    const { view } = this, { lead, colors, lay } = view, { window, range, frame } = view.state;
    this.showControls();
    this.map.hidden = !lead || !(window || this.count > LONG);
    if (this.map.hidden) { this.mapAt = null; return; }
    const width = lay.width, ratio = Math.min(3, devicePixelRatio || 1), canvas = this.mapCanvas;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(MAP * ratio); canvas.style.width = `${width}px`;
    const context = canvas.getContext("2d"), painter = new CanvasPainter(context, colors.family), at = this.mapAt = edges(lead.base.times, view.whole, lay);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const heights = this.levels(lead.base), top = Math.max(...heights) || 1, tallest = new Float64Array(width + 1), bars = [], base = MAP - 4;
    heights.forEach((height, t) => { for (let x = Math.floor(at[t]); x <= Math.max(at[t], at[t + 1] - 1); x++) tallest[x] = Math.max(tallest[x], height / top); });
    tallest.forEach((height, x) => { if (height) bars.push(x, base - height * (base - 2), 1, height * (base - 2)); });
    painter.rects(bars, colors.up);
    painter.lines([EDGE, base, lay.right, base], colors.rule);
    if (range) painter.rects([at[range[0]], base, Math.max(2, at[range[1] + 1] - at[range[0]]), 4], colors.ink);
    if (window) {
      const [a, b] = [at[window[0]], at[window[1] + 1]];
      painter.rects([0, 0, a, base, b, 0, width - b, base], colors.veil);
      painter.path([a, 1, b, 1, b, base, a, base, a, 1], { stroke: colors.ink, width: 1.5 });
      painter.rects([a - 2, 9, 4, 12, b - 2, 9, 4, 12], colors.ink);
    }
    const x = (at[frame] + at[frame + 1]) / 2;
    painter.path([x - 4, 0, x + 4, 0, x, 6], { fill: colors.ink });
    painter.lines([x, 0, x, base], colors.ink);
  }
  /** Of each frame the largest of its weights, else of its terms' sizes. */
  levels(base) {
    if (this.leveled?.base === base) return this.leveled.heights;
    const values = base.weights ?? base.terms ?? base.contributions ?? base.occlusion ?? [], each = values.length / base.count, heights = new Float64Array(base.count);
    for (let i = 0; i < values.length; i++) { const t = Math.floor(i / each), size = Math.abs(values[i]); if (size > heights[t]) heights[t] = size; }
    this.leveled = { base, heights };
    return heights;
  }
}
