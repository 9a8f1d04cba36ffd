// The time axis in the reader's hands: zoom, pan and minimap, selecting and changing frames, playing.

import { painterOf } from "./painters.js";
import { bars, boundary, edges, EDGE } from "./rows.js";
import { fillSelect, make, makeButton, setText } from "./elements.js";

const MAP = 34, LONG = 200, NARROWEST = 5, GRIP = 8, PULL = 60;
// What a drag does; `holds` is the part of the state with the tool's frames.
const TOOLS = {
  move: { meaning: "" },
  range: { meaning: "Drag: a range, which the buttons change or play again and again." },
  mask: { holds: "masked", meaning: "The frames' weights become zero and the others share them; the states stay." },
  remove: { holds: "removed", meaning: "The video is encoded again without the frames." },
  mute: { holds: "muted", meaning: "The video is encoded again with the modality's missing value in these frames." },
};
const LACKING = {
  none: "this page has no kernel. Run the notebook in JupyterLab.",
  fixed: "these are arrays, without a model that could encode the video again.",
  disconnected: "the kernel is disconnected.", silent: "the kernel does not answer.",
};
// Group of the button (null: only keys), its text, what it does, its keys (each one character), the action.
const ACTIONS = [
  ["Range or frame", "Mask", "mask the range or frame", "m", (timeline) => timeline.act("mask")],
  ["Range or frame", "Remove", "remove the range or frame", "r", (timeline) => timeline.act("remove")],
  ["Range or frame", "Mute", "mute the range or frame", "u", (timeline) => timeline.act("mute")],
  ["Range or frame", "Clear", "Clear what is masked, removed or muted there", "c", (timeline) => timeline.clear()],
  ["Range or frame", "Loop", "Play the range again and again", "l", (timeline) => timeline.loop()],
  ["Playing", "▶ Play", "Play or pause", "pk", (timeline) => timeline.toggle()],
  ["Zoom", "−", "Zoom out", "-", (timeline) => timeline.zoom(2)],
  ["Zoom", "+", "Zoom in", "+=", (timeline) => timeline.zoom(0.5)],
  ["Zoom", "Whole", "Whole video", "0", (timeline) => timeline.show(0, Infinity)],
  ["Zoom", "‹", "Earlier", "", (timeline) => timeline.pan(-0.8)],
  ["Zoom", "›", "Later", "", (timeline) => timeline.pan(0.8)],
  [null, "", "Previous video", "b[", (timeline) => timeline.view.travel.toVideo(-1)],
  [null, "", "Next video", "n]", (timeline) => timeline.view.travel.toVideo(1)],
];
const GESTURES = [
  ["← → ↑ ↓, Home, End, Page ↑ ↓", "move the frame; with Shift: select a range (Page: pan); Esc: no range"],
  ["Space", "apply the tool, else mask"],
  ["Ctrl with the wheel, pinch", "zoom; also the wheel over the axis and the overview"],
  ["Wheel sideways; Shift with a drag", "pan; select a range"],
];
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const ordered = (a, b) => (a < b ? [a, b] : [b, a]);

/** Input over the frames of a view's first run, and the clock that moves its cursor unless a player does. */
export class Timeline {
  constructor(view) {
    Object.assign(this, { view, pointers: new Map(), drag: null, playing: false });
    const { slider } = view, buttons = {}, groups = {};
    for (const [group, text, title, , run] of ACTIONS.filter(([group]) => group)) {
      buttons[text] = makeButton(text, () => run(this), { title, "aria-label": title });
      groups[group] ??= make("div", { class: "acts", role: "group", "aria-label": group });
      groups[group].append(buttons[text]);
    }
    const radio = (tool) => make("input", { type: "radio", name: view.name, value: tool, onchange: () => this.setTool(tool) });
    this.tools = Object.fromEntries(Object.keys(TOOLS).map((tool) => [tool, radio(tool)]));
    this.acts = { mask: buttons.Mask, remove: buttons.Remove, mute: buttons.Mute };
    this.playButton = buttons["▶ Play"]; this.playButton.classList.add("play"); this.playButton.ariaLabel = "▶ Play";
    this.modality = make("select", { "aria-label": "Modality to mute" });
    this.speed = make("select", { "aria-label": "Speed", onchange: () => this.setPlaying(this.playing) });
    fillSelect(this.speed, [0.5, 1, 2, 5].map((speed) => [speed, `${speed}×`]), 1);
    this.selected = make("b", { class: "selected" }); this.meaning = make("p");
    groups["Range or frame"].prepend(this.selected); groups.Playing.append(this.speed);
    this.mapCanvas = make("canvas", { "aria-hidden": "true" }); this.map = make("div", { class: "minimap", hidden: true }, this.mapCanvas);
    const help = [...GESTURES, ...ACTIONS.map(([, , does, keys]) => [[...keys.toUpperCase()].join(" "), does])].filter(([keys]) => keys);
    this.controls = make("div", { class: "timeline" },
      make("fieldset", { class: "tools" }, make("legend", {}, "Drag to"),
        ...Object.entries(this.tools).map(([tool, node]) => make("label", {}, node, tool)), this.modality),
      ...Object.values(groups),
      make("details", { class: "help" }, make("summary", { "aria-label": "Keys and gestures" }, "?"),
        make("dl", {}, ...help.flatMap(([keys, does]) => [make("dt", {}, keys), make("dd", {}, does)]))), this.meaning);
    slider.addEventListener("keydown", (event) => this.onKey(event));
    for (const node of [slider, this.map]) {
      for (const kind of ["down", "move", "up", "cancel"]) node.addEventListener(`pointer${kind}`, (event) => this.onPointer(kind, event));
      node.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    }
    this.onHidden = () => document.hidden && this.pause();
    document.addEventListener("visibilitychange", this.onHidden);
    this.setTool("move");
  }
  destroy() { this.pause(); clearInterval(this.pulling); document.removeEventListener("visibilitychange", this.onHidden); }
  get count() { return this.view.lead?.base.count ?? 0; }
  /** First and last frame of what is played. */
  get played() { return this.view.state.range ?? [0, this.count - 1]; }
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
  /** Zoom to a window, clamped to the video; false where it is shown already. */
  show(from, frames) {
    const before = this.exact.join(), size = this.sized(frames), first = clamp(from, 0, this.count - size);
    this.kept = [first, size];
    if (before === this.kept.join()) return false;
    const window = [Math.round(first), Math.round(first + size) - 1];
    this.view.change({ window: window[1] - window[0] < this.count - 1 ? window : null });
    return true;
  }
  /** About a share of the window, by default the cursor's; it comes to lie at the share `to`. */
  zoom(factor, at = null, to = at) {
    const [first, size] = this.exact, wide = this.sized(size * factor), cursor = (this.view.state.frame + 0.5 - first) / size;
    at ??= cursor >= 0 && cursor <= 1 ? cursor : 0.5;
    return this.show(first + at * size - (to ?? at) * wide, wide);
  }
  pan(share) { const [first, size] = this.exact; return this.show(first + share * size, size); }
  /** The cursor at a frame, as a change of the state: the window follows it. */
  reach(frame) {
    const { window } = this.view.state, to = clamp(frame, 0, this.count - 1), [first, last] = window ?? [0, this.count - 1];
    const by = Math.min(0, to - first) + Math.max(0, to - last);
    return { ...(by ? { window: [first + by, last + by] } : {}), frame: to };
  }
  moveTo(frame, patch = {}) { this.view.change({ ...patch, ...this.reach(frame) }); }
  /** After the kernel moved the cursor: the window alone follows. */
  follow() { const { window } = this.reach(this.view.state.frame); if (window) this.view.change({ window }); }

  /** Mask, remove or mute frames, or undo that where all of them are. */
  act(tool, [from, to] = this.chosen, adds = null, moved = {}) {
    if (this.tools[tool].disabled || !this.count) return;
    const { holds } = TOOLS[tool], frames = this.framesOf(tool), { [this.modality.value]: _, ...others } = this.view.state.muted;
    const some = Array.from({ length: to - from + 1 }, (_, k) => from + k);
    adds ??= some.some((t) => !frames.has(t));
    for (const t of some) if (adds) frames.add(t); else frames.delete(t);
    if (tool === "mute" && frames.size) others[this.modality.value] = [...frames].sort((a, b) => a - b);
    this.view.change({ [holds]: tool === "mute" ? others : frames, ...moved });
  }
  framesOf(tool) {
    const held = this.view.state[TOOLS[tool].holds];
    return new Set(tool === "mute" ? held[this.modality.value] : held);
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
    const { frame } = this.view.state, [first, last] = this.played;
    if (this.playing || !this.count) return;
    if (frame < first || frame >= last) this.moveTo(first);
    this.setPlaying(true);
    requestAnimationFrame((now) => this.tick(now));
  }
  loop() {
    const range = this.view.state.range ?? this.view.state.window ?? this.played;
    if (this.count) { this.moveTo(range[0], { range }); this.play(); }
  }
  setPlaying(playing) {
    this.playing = playing; this.started = null;
    this.playButton.ariaLabel = playing ? "❚❚ Pause" : "▶ Play"; setText(this.playButton, this.playButton.ariaLabel);
    this.view.media.obey(playing, Number(this.speed.value));
  }
  tick(now) {
    const { view } = this, { frame, range } = view.state, [first, last] = this.played;
    if (!view.slider.clientWidth || !this.count) this.pause();
    if (!this.playing) return;
    const { times } = view.lead.base;
    // Whoever else moves the cursor: playing goes on from there.
    if (this.started?.frame !== frame) this.started = { frame, now, second: times[frame] };
    const second = view.media.second ?? this.started.second + ((now - this.started.now) / 1000) * Number(this.speed.value);
    let to = frame;
    while (to <= last && second >= boundary(times, to + 1)) to++;
    if (to > last && !range) this.pause();
    else if (to > last) { this.started = null; this.moveTo(first); }
    else if (to !== frame) { this.started.frame = to; this.moveTo(to); }
    if (this.playing) requestAnimationFrame((later) => this.tick(later));
  }

  pixel(event) { return event.clientX - event.currentTarget.getBoundingClientRect().left; }
  share(x) { const { left, right } = this.view.lay; return clamp((x - left) / (right - left), 0, 1); }
  frameAt(x, at = this.view.lead.at, [low, high] = this.view.state.window ?? [0, this.count - 1]) {
    while (low < high) { const middle = (low + high + 1) >> 1; if (at[middle] <= x) low = middle; else high = middle - 1; }
    return low;
  }
  /** One drag at a time: its `move` goes on to a position, its `end` is what lifting the pointer does. */
  onPointer(kind, event) {
    const { view, pointers } = this, { currentTarget: node, pointerId } = event, x = this.pixel(event), over = node === this.map;
    if (!(over ? this.mapAt : view.lead?.at) || (kind === "down" ? event.button !== 0 : !pointers.has(pointerId))) return;
    if (kind === "up") this.drag?.end?.();
    if (kind === "up" || kind === "cancel") { pointers.delete(pointerId); this.release(); return; }
    pointers.set(pointerId, x);
    if (kind === "down") {
      if (!over) view.slider.focus({ preventScroll: true });
      node.setPointerCapture(pointerId); this.release();
      this.drag = over ? this.dragMap(x) : pointers.size > 1 ? this.pinch() : this.dragFrames(x, event.shiftKey ? "range" : this.tool);
      // A finger may yet scroll the page or begin a pinch.
      if (over || event.pointerType === "touch") return;
    }
    this.drag?.move(x);
  }
  release() { clearInterval(this.pulling); this.drag = this.pulling = null; }
  dragFrames(x, tool) {
    const start = this.frameAt(x), adds = TOOLS[tool].holds && !this.framesOf(tool).has(start);
    let from = start, begun = false, beyond = 0;
    const to = (t) => {
      const frame = clamp(t, 0, this.count - 1), moved = this.reach(frame);
      if (begun && frame === from) return;
      if (TOOLS[tool].holds) this.act(tool, ordered(from, frame), adds, moved);
      else this.view.change({ ...(tool === "range" ? { range: ordered(start, frame) } : {}), ...moved });
      from = frame; begun = true;
    };
    // Beyond an end of the window the frames come to the pointer, also while it rests.
    const pull = () => this.count && to(from + beyond * Math.ceil(this.exact[1] / 50));
    const move = (position) => {
      const { left, right } = this.view.lay;
      beyond = position > right ? 1 : position < left ? -1 : 0;
      if (beyond && begun) this.pulling ??= setInterval(pull, PULL);
      else { clearInterval(this.pulling); this.pulling = null; }
      to(this.frameAt(position));
    };
    return { move, end: () => begun || to(start) };
  }
  /** How far two fingers are apart, and the share of the window between them. */
  get fingers() { const [a, b] = this.pointers.values(); return [Math.max(1, Math.abs(a - b)), this.share((a + b) / 2)]; }
  pinch() {
    let [apart, middle] = this.fingers;
    return { move: () => { const [now, to] = this.fingers; this.zoom(apart / now, middle, to); [apart, middle] = [now, to]; } };
  }
  /** Over the overview: the window moves, either end of it moves, or a new one is drawn; a click centres it. */
  dragMap(x) {
    const { window } = this.view.state, [first, size] = this.exact, near = (t) => Math.abs(this.mapAt[t] - x) <= GRIP;
    const frame = (position) => this.frameAt(position, this.mapAt, [0, this.count - 1]), start = frame(x);
    const fixed = window && (near(window[0]) ? window[1] : near(window[1] + 1) ? window[0] : null);
    if (fixed === null && window && start >= window[0] && start <= window[1])
      return { move: (position) => this.show(first + frame(position) - start, size) };
    let still = fixed === null;
    const move = (position) => {
      const [a, b] = ordered(fixed ?? start, frame(position));
      if (a !== b) { still = false; this.show(a, b - a + 1); }
    };
    return { move, end: () => still && (window ? this.show(start - size / 2, size) : this.moveTo(start)) };
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
  onKey(event) {
    if (!this.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this, { frame: f, range } = view.state, last = this.count - 1, page = Math.max(1, Math.round(this.exact[1] / 10));
    const { key, shiftKey } = event, action = key.length === 1 && ACTIONS.find(([, , , keys]) => keys.includes(key.toLowerCase()));
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -f, End: last - f }[key];
    const to = clamp(f + by, 0, last);
    if (action) action.at(-1)(this);
    else if (key === " ") this.act(this.acts[this.tool] ? this.tool : "mask");
    else if (key === "Escape" && range) view.change({ range: null });
    else if (by === undefined) return;
    else if (!shiftKey) this.moveTo(to);
    else if (key.startsWith("Page")) this.pan(0.8 * Math.sign(by));
    else this.moveTo(to, { range: ordered(range?.[0] === f ? range[1] : range?.[1] === f ? range[0] : f, to) });
    event.preventDefault();
  }

  showControls() {
    const { view } = this, names = Object.keys(view.lead?.base.energy ?? {}), { frame, range } = view.state, off = view.link !== "live";
    if (names.join() !== Array.from(this.modality.options, (option) => option.value).join())
      fillSelect(this.modality, names.map((name) => [name, name]), names[0]);
    const fixed = !view.shown.some((run) => run.base.maskable !== false);
    for (const [tool, disabled] of [["mask", fixed], ["remove", off], ["mute", off || !names.length]]) {
      this.tools[tool].disabled = this.acts[tool].disabled = disabled;
      if (disabled && this.tool === tool) this.setTool("move");
    }
    setText(this.meaning, `${TOOLS[this.tool].meaning}${off ? ` Removing and muting are not available: ${LACKING[view.link]}` : ""}`.trim());
    setText(this.selected, range ? `Frames ${range[0] + 1} to ${range[1] + 1}` : `Frame ${frame + 1}`);
  }
  /** The overview: the highest weight (else term) of each pixel, the window, the range and the cursor. */
  paint() {
    const { view } = this, { lead, colors, lay } = view, { window, range, frame } = view.state;
    this.showControls();
    this.map.hidden = !lead || !(window || this.count > LONG);
    if (this.map.hidden) { this.mapAt = null; return; }
    const painter = painterOf(this.mapCanvas, lay.width, MAP, colors.family), at = this.mapAt = edges(lead.base.times, view.whole, lay);
    const heights = (lead.base.levels ??= levelsOf(lead.base)), highest = heights.reduce((a, b) => Math.max(a, b)) || 1;
    const base = MAP - 4, scale = (base - 2) / highest;
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
}

/** Of each frame the largest of its weights, else of its terms' sizes. */
function levelsOf({ weights, terms, count }) {
  const values = weights?.some((value) => value > 0) ? weights : terms ?? [], levels = new Float64Array(count);
  values.forEach((value, i) => {
    const t = Math.floor((i * count) / values.length);
    levels[t] = Math.max(levels[t], Math.abs(value) || 0);
  });
  return levels;
}
