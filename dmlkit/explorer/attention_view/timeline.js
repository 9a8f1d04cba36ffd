// The time axis in the reader's hands: zoom, pan and minimap, selecting and changing frames, playing.

import { painterOf } from "./painters.js";
import { bars, boundary, edges, EDGE } from "./rows.js";
import { make, setText } from "./elements.js";

const TOOLS = {
  move: "Click or drag: the cursor.", range: "Drag: a range, which the buttons change or play again and again.",
  mask: "The frames' weights become zero and the others share them; the states stay.",
  remove: "The video is encoded again without the frames.",
  mute: "The video is encoded again with the modality's missing value in these frames.",
};
const SETS = { mask: "masked", remove: "removed" }, MAP = 34, LONG = 200, NARROWEST = 5, GRIP = 8;
const LACKING = {
  none: "this page has no kernel. Run the notebook in JupyterLab.",
  fixed: "these are arrays, without a model that could encode the video again.",
  disconnected: "the kernel is disconnected.", silent: "the kernel does not answer.",
};
const KEYS = [
  ["← → ↑ ↓, Home, End, Page ↑ ↓", "move the frame; with Shift: select a range (Page: pan); Esc: no range"],
  ["Space; M R U C", "apply the tool, else mask; mask, remove, mute, clear the range or frame"],
  ["P or K; L", "play or pause; loop the range"], ["+ − 0", "zoom in, out, the whole video"], ["B N or [ ]", "previous, next video"],
  ["Ctrl with the wheel, pinch", "zoom; also the wheel over the axis and the overview"],
  ["Wheel sideways; Shift with a drag", "pan; select a range"],
];
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const ordered = (a, b) => (a < b ? [a, b] : [b, a]);

/** Input over the frames of a view's first run. `onframe(frame, second)` and `onplay(playing, speed)` follow the cursor;
 *  `clock()`, where given, is the second that plays now (a player's), instead of the time since `play()`. */
export class Timeline {
  constructor(view) {
    Object.assign(this, { view, pointers: new Map(), drag: null, playing: false, onframe: null, onplay: null, clock: null });
    const { slider } = view, names = Object.keys(TOOLS);
    const button = (text, label, onclick) => make("button", { type: "button", title: label, "aria-label": label, onclick }, text);
    const group = (label, ...nodes) => make("div", { class: "acts", role: "group", "aria-label": label }, ...nodes);
    const radio = (tool) => make("input", { type: "radio", name: view.name, value: tool, onchange: () => this.setTool(tool) });
    const change = (tool) => button(tool[0].toUpperCase() + tool.slice(1), `${tool} the range or frame`, () => this.act(tool));
    this.tools = Object.fromEntries(names.map((tool) => [tool, radio(tool)]));
    this.acts = Object.fromEntries(["mask", "remove", "mute"].map((tool) => [tool, change(tool)]));
    this.modality = make("select", { "aria-label": "Modality to mute" }); this.selected = make("b", { class: "selected" });
    this.speed = make("select", { "aria-label": "Speed", onchange: () => this.setPlaying(this.playing) },
      ...[0.5, 1, 2, 5].map((speed) => make("option", { value: speed, selected: speed === 1 }, `${speed}×`)));
    this.playButton = make("button", { type: "button", class: "play", onclick: () => this.toggle() }, "▶ Play");
    this.meaning = make("p"); this.mapCanvas = make("canvas", { "aria-hidden": "true" });
    this.map = make("div", { class: "minimap", hidden: true }, this.mapCanvas);
    this.controls = make("div", { class: "timeline" },
      make("fieldset", { class: "tools" }, make("legend", {}, "Drag to"), ...names.map((tool) => make("label", {}, this.tools[tool], tool)), this.modality),
      group("Range or frame", this.selected, ...Object.values(this.acts),
        button("Clear", "Clear what is masked, removed or muted there", () => this.clear()),
        button("Loop", "Play the range again and again", () => this.loop())),
      group("Playing", this.playButton, this.speed),
      group("Zoom", button("−", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)),
        button("Whole", "Whole video", () => this.show(0, Infinity)),
        button("‹", "Earlier", () => this.pan(-0.8)), button("›", "Later", () => this.pan(0.8))),
      make("details", { class: "help" }, make("summary", { "aria-label": "Keys and gestures" }, "?"),
        make("dl", {}, ...KEYS.flatMap(([keys, does]) => [make("dt", {}, keys), make("dd", {}, does)]))), this.meaning);
    slider.addEventListener("keydown", (event) => this.onKey(event));
    for (const kind of ["down", "move", "up", "cancel"]) {
      slider.addEventListener(`pointer${kind}`, (event) => this.onPointer(kind, event));
      this.map.addEventListener(`pointer${kind}`, (event) => this.onMap(kind, event));
    }
    for (const node of [slider, this.map]) node.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.onHidden = () => document.hidden && this.pause();
    document.addEventListener("visibilitychange", this.onHidden);
    this.setTool("move");
  }
  destroy() { this.pause(); document.removeEventListener("visibilitychange", this.onHidden); }
  get count() { return this.view.lead?.base.count ?? 0; }
  get chosen() { const { range, frame } = this.view.state; return range ?? [frame, frame]; }
  setTool(tool) {
    this.tool = tool; this.tools[tool].checked = true; this.view.slider.dataset.tool = tool; this.modality.hidden = tool !== "mute";
    this.view.invalidate?.("frame");
  }

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
    const window = [Math.round(first), Math.round(first + size) - 1];
    this.view.change({ window: window[1] - window[0] < n - 1 ? window : null });
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
    const { window } = this.view.state, to = clamp(frame, 0, this.count - 1), [first, last] = window ?? [0, this.count - 1];
    const by = Math.min(0, to - first) + Math.max(0, to - last);
    this.view.change({ ...patch, ...(by ? { window: [first + by, last + by] } : {}), frame: to });
  }

  /** Mask, remove or mute frames, or undo that where all of them are. */
  act(tool, [from, to] = this.chosen, adds = null, moved = {}) {
    if (this.tools[tool].disabled || !this.count) return;
    const { state } = this.view, name = SETS[tool], { [this.modality.value]: muted, ...others } = state.muted;
    const frames = new Set(name ? state[name] : muted);
    const some = Array.from({ length: to - from + 1 }, (_, k) => from + k);
    adds ??= some.some((t) => !frames.has(t));
    for (const t of some) if (adds) frames.add(t); else frames.delete(t);
    if (!name && frames.size) others[this.modality.value] = [...frames].sort((a, b) => a - b);
    this.view.change({ ...(name ? { [name]: frames } : { muted: others }), ...moved });
  }
  clear() {
    const { masked, removed, muted } = this.view.state, [from, to] = this.chosen;
    const outside = (frames) => [...frames].filter((t) => t < from || t > to);
    const still = Object.entries(muted).map(([name, frames]) => [name, outside(frames)]).filter(([, frames]) => frames.length);
    this.view.change({ masked: new Set(outside(masked)), removed: new Set(outside(removed)), muted: Object.fromEntries(still) });
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }
  pause() { if (this.playing) this.setPlaying(false); }
  play() {
    const { frame, range } = this.view.state, [first, last] = range ?? [0, this.count - 1];
    if (this.playing || !this.count) return;
    if (frame < first || frame >= last) this.moveTo(first);
    this.setPlaying(true);
    requestAnimationFrame((now) => this.tick(now));
  }
  loop() {
    const { range, window } = this.view.state, frames = range ?? window ?? [0, this.count - 1];
    if (this.count) { this.moveTo(frames[0], { range: frames }); this.play(); }
  }
  setPlaying(playing) {
    this.playing = playing; this.started = null;
    setText(this.playButton, playing ? "❚❚ Pause" : "▶ Play"); this.onplay?.(playing, Number(this.speed.value));
  }
  tick(now) {
    const { view } = this, { frame, range } = view.state, [first, last] = range ?? [0, this.count - 1];
    if (!this.playing) return;
    if (view.destroyed || !view.slider.clientWidth || !this.count) { this.pause(); return; }
    const { times } = view.lead.base;
    // Whoever else moves the cursor: playing goes on from there.
    if (this.started?.frame !== frame) this.started = { frame, now, second: times[frame] };
    const second = this.clock?.() ?? this.started.second + ((now - this.started.now) / 1000) * Number(this.speed.value);
    let to = frame;
    while (to <= last && second >= boundary(times, to + 1)) to++;
    if (to > last && !range) { this.pause(); return; }
    if (to > last) { this.started = null; this.moveTo(first); } else if (to !== frame) { this.started.frame = to; this.moveTo(to); }
    requestAnimationFrame((later) => this.tick(later));
  }

  pixel(event) { return event.clientX - event.currentTarget.getBoundingClientRect().left; }
  share(x) { const { left, right } = this.view.lay; return clamp((x - left) / (right - left), 0, 1); }
  frameAt(x, at = this.view.lead.at, [low, high] = this.view.state.window ?? [0, this.count - 1]) {
    while (low < high) { const middle = (low + high + 1) >> 1; if (at[middle] <= x) low = middle; else high = middle - 1; }
    return low;
  }
  onPointer(kind, event) {
    const { view, pointers } = this, x = this.pixel(event);
    if (!view.lead?.at || (kind === "down" ? event.button !== 0 : !pointers.has(event.pointerId))) return;
    if (kind === "up" && this.drag && !this.drag.begun) this.dragTo(this.drag.from);
    if (kind === "up" || kind === "cancel") { pointers.delete(event.pointerId); this.drag = this.pinch = null; return; }
    pointers.set(event.pointerId, x);
    const [a, b = a] = pointers.values(), apart = Math.max(1, Math.abs(a - b)), middle = this.share((a + b) / 2);
    if (kind === "down") {
      view.slider.focus({ preventScroll: true }); view.slider.setPointerCapture(event.pointerId);
      const from = this.frameAt(x), tool = event.shiftKey ? "range" : this.tool, { state } = view;
      const frames = tool === "mute" ? state.muted[this.modality.value] : state[SETS[tool]];
      this.drag = pointers.size === 1 ? { tool, from, start: from, adds: !new Set(frames).has(from) } : null;
      this.pinch = pointers.size === 2 ? { exact: this.exact, apart, middle } : null;
      // A finger may yet scroll the page or begin a pinch.
      if (this.drag && event.pointerType !== "touch") this.dragTo(from);
    } else if (this.pinch) {
      const [first, size] = this.pinch.exact, wide = this.sized((size * this.pinch.apart) / apart);
      this.show(first + this.pinch.middle * size - middle * wide, wide);
    } else if (this.drag && (!this.drag.begun || this.frameAt(x) !== this.drag.from)) this.dragTo(this.frameAt(x));
  }
  dragTo(to) {
    const { drag, view } = this;
    if (drag.tool === "move") view.change({ frame: to });
    else if (drag.tool === "range") view.change({ range: ordered(drag.start, to), frame: to });
    else this.act(drag.tool, ordered(drag.from, to), drag.adds, { frame: to });
    drag.from = to; drag.begun = true;
  }
  /** Over the overview: the window moves, either end of it moves, or a new one is drawn; a click centres it. */
  onMap(kind, event) {
    if (!this.mapAt || (kind === "down" ? event.button !== 0 : !this.held)) return;
    const x = this.pixel(event), f = this.frameAt(x, this.mapAt, [0, this.count - 1]), { window } = this.view.state;
    const [first, size] = this.exact;
    if (kind === "down") {
      const near = (t) => Math.abs(this.mapAt[t] - x) <= GRIP;
      const fixed = window && (near(window[0]) ? window[1] : near(window[1] + 1) ? window[0] : null);
      this.map.setPointerCapture(event.pointerId);
      const inside = fixed == null && window && f >= window[0] && f <= window[1];
      this.held = inside ? { offset: f - first } : { fixed: fixed ?? f, click: fixed == null };
    } else if (kind === "move") {
      const { fixed, offset } = this.held, [a, b] = ordered(fixed ?? f, f);
      if (offset !== undefined) this.show(f - offset, size);
      else if (a !== b) { this.held.click = false; this.show(a, b - a + 1); }
    } else {
      if (this.held.click && kind === "up") { if (window) this.show(f - size / 2, size); else this.moveTo(f); }
      this.held = null;
    }
  }
  onWheel(event) {
    const { lay } = this.view, over = event.currentTarget === this.map, pinch = event.ctrlKey || event.metaKey, { deltaX, deltaY } = event;
    if (!this.count || !lay) return;
    const sideways = !pinch && (event.shiftKey || Math.abs(deltaX) > Math.abs(deltaY));
    const by = (event.deltaMode ? 16 : 1) * ((sideways && deltaX) || deltaY);
    const low = event.clientY - event.currentTarget.getBoundingClientRect().top > lay.bottom;
    if (!sideways && !pinch && !over && !low) return;
    const at = over ? null : this.share(this.pixel(event));
    const done = sideways ? this.pan(by / (lay.right - lay.left)) : this.zoom(Math.exp(clamp(by * 0.01, -0.3, 0.3)), at);
    // At an end the page scrolls on; with Ctrl it would be magnified instead.
    if (done || pinch) event.preventDefault();
  }
  openVideo(by) {
    const { select } = this.view.video, k = select.selectedIndex + by;
    if (select.options[k] && !select.disabled) { select.selectedIndex = k; select.dispatchEvent(new Event("change")); }
  }
  onKey(event) {
    if (!this.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this, { frame: f, range } = view.state, last = this.count - 1, page = Math.max(1, Math.round(this.exact[1] / 10));
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -f, End: last - f }[event.key];
    const to = clamp(f + by, 0, last);
    const act = (tool) => () => this.act(tool), zoom = (factor) => () => this.zoom(factor);
    const open = (step) => () => this.openVideo(step), toggle = () => this.toggle();
    const does = {
      " ": act(this.acts[this.tool] ? this.tool : "mask"), m: act("mask"), r: act("remove"), u: act("mute"), c: () => this.clear(),
      escape: range && (() => view.change({ range: null })), "+": zoom(0.5), "=": zoom(0.5), "-": zoom(2), 0: () => this.show(0, Infinity),
      p: toggle, k: toggle, l: () => this.loop(), n: open(1), "]": open(1), b: open(-1), "[": open(-1),
    }[event.key.toLowerCase()];
    if (does) does();
    else if (by === undefined) return;
    else if (!event.shiftKey) this.moveTo(to);
    else if (event.key.startsWith("Page")) this.pan(event.key === "PageUp" ? 0.8 : -0.8);
    else this.moveTo(to, { range: ordered(range?.[0] === f ? range[1] : range?.[1] === f ? range[0] : f, to) });
    event.preventDefault();
  }

  showControls() {
    const { view } = this, names = Object.keys(view.lead?.base.energy ?? {}), { frame, range } = view.state, off = view.link !== "live";
    if (names.join() !== Array.from(this.modality.options, (option) => option.value).join())
      this.modality.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    const fixed = !view.shown.some((run) => run.base.maskable !== false);
    for (const [tool, disabled] of [["mask", fixed], ["remove", off], ["mute", off || !names.length]]) {
      this.tools[tool].disabled = this.acts[tool].disabled = disabled;
      if (disabled && this.tool === tool) this.setTool("move");
    }
    setText(this.meaning, TOOLS[this.tool] + (off ? ` Removing and muting are not available: ${LACKING[view.link]}` : ""));
    setText(this.selected, range ? `Frames ${range[0] + 1} to ${range[1] + 1}` : `Frame ${frame + 1}`);
  }
  /** The overview: the highest weight (else term) of each pixel, the window, the range and the cursor. */
  paint() {
    const { view } = this, { lead, colors, lay } = view, { window, range, frame } = view.state;
    this.showControls();
    this.map.hidden = !lead || !(window || this.count > LONG);
    if (this.map.hidden) { this.mapAt = null; return; }
    const painter = painterOf(this.mapCanvas, lay.width, MAP, colors.family), at = this.mapAt = edges(lead.base.times, view.whole, lay);
    const heights = this.levels(lead.base), base = MAP - 4, scale = (base - 2) / (heights.reduce((a, b) => Math.max(a, b)) || 1);
    painter.rects(bars((t) => heights[t], at, base, scale).up, colors.up);
    painter.lines([EDGE, base, lay.right, base], colors.rule);
    if (range) painter.rects([at[range[0]], base, Math.max(2, at[range[1] + 1] - at[range[0]]), 4], colors.ink);
    if (window) {
      const [a, b] = [at[window[0]], at[window[1] + 1]];
      painter.rects([0, 0, a, base, b, 0, lay.width - b, base], colors.veil);
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
    const some = (values) => values?.some((value) => value > 0) && values;
    const values = some(base.weights) || base.terms || [], each = values.length / base.count, heights = new Float64Array(base.count);
    values.forEach((value, i) => { heights[Math.floor(i / each)] = Math.max(heights[Math.floor(i / each)], Math.abs(value) || 0); });
    this.leveled = { base, heights };
    return heights;
  }
}
