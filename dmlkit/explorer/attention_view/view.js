// The view: its state, the scene that it shows, what it asks of a kernel, and what is painted again when a part of that changes.

import { cut, decode, digits, expand, nearest, plural, signed, weigh } from "./numbers.js";
import { painterOf } from "./painters.js";
import { boundary, edges, layout, paintCursor, paintRows, weightsOf } from "./rows.js";
import { colorsOf, make, setText } from "./elements.js";
import { Classes } from "./classes.js";
import { Media } from "./media.js";
import { Similarity } from "./similarity.js";
import { Timeline } from "./timeline.js";
import { alike, plain, Travel } from "./travel.js";
import { changesOf } from "./exports.js";
import { addControls, addRuns, listenToMap, showControls, showMenu } from "./controls.js";
import { dataTable, madeBy, reserveFrame, showFrame, showWords } from "./words.js";

const BLANK = { video: null, frame: 0, shown: null, classes: null, range: null, window: null, temperature: 1, top: null,
  uniform: false, explanation: "own", by_modality: false, common_scale: true, tab: "frames" };
const WITHOUT = ["top", "range", "window"], MOST = 3; // runs at once, and classes to begin with
const everyFrame = () => ({ masked: new Set(), removed: new Set(), muted: {} });
const readable = (run) => !run.base.problem;
let views = 0;

export class View {
  constructor(el, scene, hooks) {
    this.hooks = hooks; this.name = `dmlkit-av-${++views}-${Math.random().toString(36).slice(2, 7)}`;
    this.link = hooks.evidence ? (scene.live ? "live" : "fixed") : "none";
    this.state = { ...BLANK, ...everyFrame() };
    this.dirty = {}; this.requested = null;
    this.build();
    this.travel = new Travel(this); this.similarity = new Similarity(this);
    el.replaceChildren(this.root);
    this.watch();
    this.setScene(scene, hooks.state ?? scene.state);
    this.travel.read(); this.travel.opened = true;
  }

  build() {
    const part = (name, attributes = {}, tag = "p") => make(tag, { class: name, ...attributes });
    this.title = part("title"); this.here = part("here"); this.most = part("most", { "aria-live": "polite" });
    this.status = part("status", { role: "status" }); this.problem = part("problem loud", { role: "alert" });
    this.words = part("words", {}, "div"); this.notes = part("notes", {}, "div");
    this.data = part("data", { hidden: true, tabindex: 0, role: "region", "aria-label": "Data table" }, "div");
    this.canvas = make("canvas", { "aria-hidden": "true" }); this.cursor = make("canvas", { "aria-hidden": "true" });
    this.slider = make("div", { class: "strips", role: "slider", tabindex: 0, "aria-orientation": "horizontal",
      "aria-label": "Frame of the video" }, this.canvas, this.cursor);
    listenToMap(this); // before the timeline listens
    this.timeline = new Timeline(this); this.classes = new Classes(this); this.media = new Media(this);
    const main = make("div", { class: "main" }, this.media.node, this.timeline.map, this.slider,
      make("div", { class: "room" }, this.here), this.status, this.problem);
    this.body = make("div", { class: "body" }, main, make("div", { class: "side" }, this.classes.node, this.most, this.words));
    this.root = make("section", { class: "dmlkit-av", "data-lm-suppress-shortcuts": "true", onkeydown: (event) => event.stopPropagation() },
      ...addControls(this), this.bar = make("div", { class: "bar" }, this.acts), this.timeline.controls, this.body, this.data, this.notes);
  }

  /** Redraw when the width or the theme changes. */
  watch() {
    const onTheme = () => this.invalidate("theme"), sized = new ResizeObserver(() => this.invalidate("size"));
    const themed = new MutationObserver(onTheme), dark = matchMedia("(prefers-color-scheme: dark)");
    const attributeFilter = ["class", "data-jp-theme-light", "data-jp-theme-name", "style"];
    for (const node of [document.documentElement, document.body]) themed.observe(node, { attributes: true, attributeFilter });
    sized.observe(this.slider); dark.addEventListener("change", onTheme);
    this.unwatch = () => { sized.disconnect(); themed.disconnect(); dark.removeEventListener("change", onTheme); };
  }
  destroy() {
    this.timeline.destroy(); this.media.stop(); this.unwatch(); cancelAnimationFrame(this.ticket);
    this.destroyed = true;
  }

  // ---------------------------------------------------------------------------------------------- the scene and its videos

  setScene(scene, state = {}) {
    const before = { ...this.state }, { videos } = scene;
    this.scene = scene;
    this.computed();
    const generated = scene.generated ? make("span", { class: "loud" }, "generated data") : "";
    this.title.replaceChildren(make("b", {}, scene.title), ` on ${scene.data} `, generated);
    this.root.setAttribute("aria-label", `Attention explorer: ${scene.title} on ${scene.data}`);
    showMenu(this);
    this.notes.replaceChildren(...String(scene.note ?? "").split("\n").filter(Boolean).map((text) => make("p", {}, text)));
    this.setVideo((videos.find(({ id }) => id === state.video) ?? videos[0])?.id, state);
    this.travel.arrived(before);
  }

  setMenu(menu) { this.menu = menu; showMenu(this); }

  /** Show a video from its beginning: nothing masked, the frame with the highest weight. */
  setVideo(id, state = {}) {
    const packed = this.scene.videos.find((video) => video.id === id), letter = (k) => String.fromCharCode(65 + k);
    this.runs = (packed?.runs ?? []).map(decode).map((base, k) => ({ name: base.run, letter: letter(k), base, now: base, result: null }));
    const { runs, wanted } = this, lead = this.lead = runs.find(readable) ?? null, names = runs.map((run) => run.name);
    for (const run of runs.filter(readable)) {
      run.link = nearest(run.base.times, lead.base.times); run.where = nearest(lead.base.times, run.base.times);
    }
    const highest = lead ? lead.base.weights.reduce((best, w, t, all) => (w > all[best] ? t : best), 0) : 0;
    const kept = (this.state.shown ?? []).filter((name) => names.includes(name));
    const known = new Set(runs.flatMap((run) => run.base.classes)), asked = (wanted ?? []).filter((label) => known.has(label));
    const first = [...new Set([...(lead?.base.true ?? []), ...(lead?.base.classes ?? [])])].filter((label) => known.has(label));
    Object.assign(this.state, everyFrame(), { video: id, frame: highest, range: null, window: null,
      shown: kept.length ? kept : names.slice(0, MOST), classes: asked.length || wanted?.length === 0 ? asked : first.slice(0, MOST) });
    this.made = madeBy(this);
    this.requested = null; this.generation = (this.generation ?? 0) + 1;
    this.timeline.pause();
    this.media.open(packed?.media, id);
    addRuns(this);
    this.pickRuns();
    this.apply({ ...state, video: undefined });
    this.invalidate("weights"); this.invalidate("size");
  }
  pickRuns() { this.shown = this.runs.filter((run) => this.state.shown.includes(run.name)); this.classes.build(); }

  // ---------------------------------------------------------------------------------------------------------- the state

  /** Apply a state that a kernel or a page sets, without sending it back. */
  apply(state) {
    const moved = new Set();
    for (const [name, value] of Object.entries(state)) {
      if (value === undefined || (value === null && !WITHOUT.includes(name)) || !(name in this.state)) continue;
      const pair = name === "range" || name === "window", frames = name === "masked" || name === "removed";
      const taken = frames ? new Set(value) : pair ? this.timeline.within(value) : value;
      if (alike(taken, this.state[name])) continue;
      this.state[name] = taken; moved.add(name);
    }
    // Without a choice of classes each video shows its own; a choice stays from video to video.
    if (state.classes != null) this.wanted = [...state.classes];
    const last = Math.max(0, (this.lead?.base.count ?? 1) - 1);
    this.state.frame = Math.min(last, Math.max(0, Math.round(this.state.frame) || 0));
    if (moved.has("shown")) this.pickRuns();
    if (["removed", "muted", "masked"].some((name) => moved.has(name))) this.encode();
    if (moved.has("muted") || moved.delete("window")) this.invalidate("size");
    if (moved.delete("frame")) this.invalidate("frame");
    if (moved.delete("range")) this.invalidate("frame");
    if (moved.size) this.invalidate("weights");
  }
  /** The user changed something: apply it and send it to the kernel. */
  change(patch) {
    const before = { ...this.state }, names = Object.keys(patch);
    if (patch.video !== undefined) { this.setVideo(patch.video); patch = this.state; } else this.apply(patch);
    this.travel.record(before, names);
    this.hooks.changed?.(Object.fromEntries(Object.keys(patch).map((name) => [name, plain(this.state[name])])));
  }

  /** Draw or hide a class. */
  toggleClass(label) {
    const { classes } = this.state, drawn = classes.includes(label);
    this.change({ classes: drawn ? classes.filter((each) => each !== label) : [...classes, label] });
    const lacks = ({ now }) => !now.problem && (now.explained || !now.classes.includes(label)) && !now.termClasses.includes(label);
    if (!drawn && this.shown.some(lacks)) this.compute();
  }
  /** Another effect of frames, which a kernel computes. */
  explain(patch) { this.change(patch); this.compute(); }
  compute() {
    if (this.link !== "live") return;
    this.computing = true; this.setStatus("Computing what the frames add …");
  }
  /** A new scene came, or a problem. */
  computed() {
    if (this.computing) this.setStatus("");
    this.computing = false;
  }

  // ------------------------------------------------------------------------------------------- what only a kernel computes

  /** Whether only the kernel can compute the scores without some frames' weights. */
  byModel({ base }) { return !base.problem && base.maskable && !(base.reweightable && base.contributions); }
  /** Frames removed, muted or, for some runs, masked; null without any. */
  get request() {
    const { state } = this, some = Object.entries(state.muted).filter(([, frames]) => frames.length);
    const muted = Object.fromEntries(some.map(([name, frames]) => [name, plain(new Set(frames))]));
    const masked = this.link === "live" && this.runs.some((run) => this.byModel(run)) ? plain(state.masked) : [];
    const found = { removed: plain(state.removed), masked, muted };
    return (found.removed.length || masked.length || some.length) && !this.allRemoved() ? found : null;
  }

  /** Ask the kernel for the video with these changes: one request under way, the newest waits. */
  async encode() {
    const { generation, request, requested } = this, { video } = this.state;
    this.invalidate("weights");
    if (!request) {
      for (const run of this.runs) Object.assign(run, { now: run.base, asked: null, masked: null });
      if (!requested && this.link === "live" && !this.computing) this.setStatus("");
      if (!requested) return;
    } else if (!this.waiting && JSON.stringify(request) === (requested ? JSON.stringify(requested) : this.runs[0]?.asked)) return;
    if (!this.hooks.evidence || this.link !== "live") return;
    this.waiting = true;
    if (requested) return;
    while (this.waiting && !this.destroyed) {
      this.waiting = false;
      const now = this.request;
      let problem = "";
      this.requested = now; this.invalidate("weights");
      if (now) try {
        const parts = await this.hooks.evidence({ video, ...now });
        if (generation === this.generation && this.request) this.runs.forEach((run, k) => this.receive(run, parts[k], now));
      } catch (error) {
        problem = String(error.message ?? error);
      }
      if (generation !== this.generation) return; // another video, or other classes, has its own requests
      this.setStatus(problem);
      this.requested = null; this.invalidate("weights");
    }
  }
  receive(run, packed, { removed, muted, masked }) {
    if (!packed || run.base.problem) return;
    const part = decode(packed), there = this.maskedIn(run, new Set(masked));
    run.asked = JSON.stringify({ removed, masked, muted }); run.masked = null;
    run.now = part.problem ? { ...run.base, problem: part.problem } : expand(run.base, part);
    if (part.problem || !masked.length || !this.byModel(run)) return;
    // The weights of the other frames hold what temperature and the like need, where they are a softmax.
    const order = run.now.order.map((frames) => frames.filter((t) => !there.has(t)));
    Object.assign(run.now, { order, reweightable: run.base.reweightable });
    run.masked = there;
    run.unmasked = removed.length || Object.keys(muted).length ? run.now : run.base;
  }
  maskedIn(run, masked) { return run === this.lead ? masked : new Set(run.link.flatMap((f, t) => (masked.has(f) ? [t] : []))); }
  /** A run's weights and scores as the state has them. What the model masked for its scores is not masked again. */
  weighed(run) {
    const { state } = this, masked = this.allRemoved() ? new Set(run.link.keys()) : this.maskedIn(run, state.masked);
    if (!run.masked) return weigh(run.now, { ...state, masked });
    if (!run.base.reweightable || alike(run.masked, masked)) return weigh(run.now, { ...state, masked: new Set() });
    return weigh(run.unmasked, { ...state, masked }); // until the answer comes
  }

  setLink(link, text) {
    if (this.link === "none" || this.link === "fixed" || link === this.link) return;
    this.link = link; this.computing = false; this.setStatus(text ?? "");
    if (link === "live") this.encode(); else this.waiting = false;
    this.invalidate("weights");
  }
  /** An exception of a callback or of the kernel: a line of its own, so that nothing else overwrites it. */
  showProblem(text) {
    setText(this.problem, text ?? "");
    if (text) this.computed();
  }
  setStatus(text) { setText(this.status, text); this.status.classList.toggle("loud", Boolean(text)); }

  // ------------------------------------------------------------------------------------------- what the modules ask of it

  nameOf(label) {
    for (const { base } of this.runs) if (base.classes.includes(label)) return base.names[base.classes.indexOf(label)];
    return String(this.scene.vocabulary.names?.[label] ?? `class ${label}`);
  }
  isMasked(run, t) { return this.state.masked.has(run.link[t]); }
  isRemoved(run, t) { return this.state.removed.has(run.link[t]); }
  allRemoved() { const n = this.lead?.base.count ?? 0; return n > 0 && this.state.removed.size >= n; }
  /** A run's weights in one number: where each class has its own, those of the first class drawn. */
  weightsOf(run, which = "result") {
    const { classes, own } = run.base, k = own ? classes.indexOf(this.state.classes.find((label) => classes.includes(label))) : -1;
    return weightsOf({ run, k: k < 0 ? null : k }, run[which].columns, run[which].weights);
  }
  /** The highest and lowest term drawn, at least 0: of all classes with the same kind of terms, or of the row's class. */
  scaleOf({ run, label }) { return `${run.now.termsTitle}\n${this.state.common_scale ? "" : label}`; }
  extent(row) { return this.extents.get(this.scaleOf(row)) ?? { high: 0, low: 0 }; }
  valueOf({ run, k, share = null }) {
    const c = run.base.classes.length, terms = share === null ? run.result.terms : run.result.shares[share];
    return (t) => terms[t * c + k];
  }

  // ------------------------------------------------------------------------------------------------------------ drawing

  invalidate(what) { this.dirty[what] = true; this.ticket ??= requestAnimationFrame(() => this.draw()); }
  draw() {
    this.ticket = null;
    const { dirty } = this, width = Math.floor(this.slider.clientWidth || this.similarity.panels.similarity.clientWidth);
    if (this.destroyed || width < 40) return;
    this.dirty = {};
    if (!this.colors) this.more.open = this.root.clientWidth >= 700;
    if (dirty.theme || !this.colors) this.colors = colorsOf(this.root);
    if (dirty.weights) this.weighAll();
    if (dirty.weights || dirty.size || dirty.theme) this.paint(width, !dirty.size && !dirty.theme);
    paintCursor(painterOf(this.cursor, this.lay.width, this.lay.height, this.colors.family), this, this.lay, this.colors);
    this.timeline.paint(); this.media.draw(); this.travel.show(); this.similarity.draw();
    if (dirty.weights) this.showScores();
    showFrame(this);
    if (dirty.weights && !this.data.hidden) this.showData(true);
  }
  paint(width, same) {
    const before = this.lay, lay = this.lay = layout(this, width);
    this.span = this.timeline.span();
    for (const run of [...this.shown, this.lead]) if (run && readable(run)) run.at = edges(run.base.times, this.span, lay);
    // Planted frames, features and axis follow no control: they stay as they are, unless the rows above them changed.
    const until = same && before?.key === lay.key ? lay.staticFrom : null;
    this.slider.style.height = `${lay.height}px`;
    paintRows(painterOf(this.canvas, lay.width, lay.height, this.colors.family, until ?? lay.height), this, lay, this.colors, until);
  }

  weighAll() {
    const all = this.runs.filter(readable), series = all.map((run) => run.base.times);
    this.extents = new Map();
    for (const run of all) {
      run.result = this.weighed(run);
      if (run.now.problem) run.result.scores = run.result.logits = null; // encoded again, it is no more what it was
      else if (this.shown.includes(run) && run.now.explained) for (const label of this.state.classes) this.measure(run, label);
    }
    const over = (first, last) => [Math.min(...series.map(first)), Math.max(...series.map(last))];
    const whole = over((times) => boundary(times, 0), (times) => boundary(times, times.length));
    this.whole = whole[0] < whole[1] ? whole : [0, 1];
    this.ends = all.length ? over((times) => times[0], (times) => times.at(-1)) : [0, 1];
  }
  measure(run, label) {
    const k = run.base.classes.indexOf(label), split = this.state.by_modality ? run.now.modalities.length : 1;
    for (let m = 0; k >= 0 && m < split; m++) {
      const row = { run, k, label, share: split > 1 ? m : null }, value = this.valueOf(row);
      let { high, low } = this.extent(row);
      for (let t = 0; t < run.base.count; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
      this.extents.set(this.scaleOf(row), { high, low });
    }
  }

  showScores() {
    const asked = this.request && JSON.stringify(this.request), late = (run) => readable(run) && run.asked !== asked;
    this.stale = this.requested !== null || (asked !== null && this.shown.some(late));
    const most = this.classes.show(this.stale), where = this.shown.length > 1 ? ` in ${most?.run.letter}` : "";
    const moved = most && `${digits(most.before)} → ${digits(most.after)} (${signed(most.by, 3)})${where}`;
    const effect = most && `largest change: ${cut(this.nameOf(most.label))} ${moved}`;
    setText(this.most, [changesOf(this), effect].filter(Boolean).join("; ") || "Nothing is changed: these are the model's own scores.");
    if (this.requested) {
      const { removed, muted, masked } = this.requested, sets = { removed, muted: Object.values(muted).flat(), masked };
      const what = Object.entries(sets).map(([how, { length }]) => length && `${plural(length, "frame")} ${how}`);
      this.setStatus(`Encoding again with ${what.filter(Boolean).join(", ")}; the scores shown are stale until then.`);
    }
    showWords(this); reserveFrame(this); showControls(this, MOST);
    this.root.dataset.link = this.link;
  }
  showData(open) {
    this.data.hidden = !open; this.toggle.setAttribute("aria-expanded", String(open));
    this.data.replaceChildren(...(open && this.lead ? dataTable(this) : []));
  }
}
