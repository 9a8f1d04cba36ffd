// The view: its controls, its state, and what is painted again when a part of that changes.

import { cut, decode, digits, expand, nearest, plural, seconds, signed, small, weigh } from "./numbers.js";
import { painterOf } from "./painters.js";
import { edges, layout, paintCursor, paintRows, weightsOf } from "./rows.js";
import { make, same, setText } from "./elements.js";
import { Classes } from "./classes.js";
import { Media } from "./media.js";
import { Similarity } from "./similarity.js";
import { Timeline } from "./timeline.js";
import { Travel } from "./travel.js";
import { changesOf, download, records } from "./exports.js";

let views = 0;

export class View {
  constructor(el, scene, hooks) {
    this.hooks = hooks; this.name = `dmlkit-av-${++views}-${Math.random().toString(36).slice(2, 7)}`;
    this.link = hooks.evidence ? (scene.live ? "live" : "fixed") : "none";
    this.state = { video: null, shown: null, classes: null, frame: 0, temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set(), muted: {}, range: null, window: null,
      explanation: "own", by_modality: false, common_scale: true, tab: "frames" };
    this.dirty = {}; this.requested = null;
    this.build();
    this.travel = new Travel(this); this.similarity = new Similarity(this);
    el.replaceChildren(this.root);
    this.watch();
    this.setScene(scene, hooks.state ?? scene.state);
    this.travel.read(); this.travel.opened = true;
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
    this.reset = make("button", { type: "button", onclick: () => this.change({ temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set(), muted: {} }) }, "Reset");
    this.canvas = make("canvas", { "aria-hidden": "true" }); this.cursor = make("canvas", { "aria-hidden": "true" });
    this.slider = make("div", { class: "strips", role: "slider", tabindex: 0, "aria-orientation": "horizontal", "aria-label": "Frame of the video" }, this.canvas, this.cursor);
    this.listen(); // before the timeline does
    this.timeline = new Timeline(this); this.classes = new Classes(this);
    this.here = make("p", { class: "here" }); this.words = make("div", { class: "words" }); this.most = make("p", { class: "most", "aria-live": "polite" });
    this.data = make("div", { class: "data", hidden: true, tabindex: 0, role: "region", "aria-label": "Data table" });
    this.status = make("p", { class: "status", role: "status" }); this.problem = make("p", { class: "problem loud", role: "alert" }); this.notes = make("div", { class: "notes" });
    this.toggle = make("button", { type: "button", "aria-expanded": "false", onclick: () => this.showData(this.data.hidden) }, "Data table");
    const save = (text, kind) => make("button", { type: "button", onclick: () => download(this, kind) }, text);
    const tweaks = make("div", { class: "tweaks" }, this.temperature.node, this.top.node, make("label", { class: "tweak" }, this.uniform, make("span", {}, "Uniform weights")), this.reset, ...this.classes.controls);
    this.root = make("section", { class: "dmlkit-av", "data-lm-suppress-shortcuts": "true", onkeydown: (e) => e.stopPropagation() },
      make("header", {}, this.title, this.order.node, this.ofClass.node, this.video.node, this.id, this.runsBox), this.hint, tweaks,
      this.body = make("div", { class: "body" }, make("div", { class: "main" }, this.timeline.controls, (this.media = new Media(this)).node, this.timeline.map, this.slider, this.here, this.status, this.problem, make("footer", {}, this.toggle, save("Save PNG", "png"), save("Save SVG", "svg"), save("Save CSV", "csv"))), make("div", { class: "side" }, this.classes.node, this.most, this.words)),
      this.data, this.notes);
  }

  /** A click on a row of the map of classes draws or hides the class; over it the number follows the pointer. */
  listen() {
    let from = null;
    const { slider } = this, classAt = (event) => {
      const box = slider.getBoundingClientRect(), y = event.clientY - box.top, row = this.lay?.rows.find(({ kind }) => kind === "heat");
      const r = row ? Math.floor((y - row.top) / row.cell) : -1;
      return { label: row?.labels[r] ?? null, gutter: event.clientX - box.left < (this.lay?.left ?? 0) };
    };
    slider.addEventListener("pointerdown", (event) => {
      from = event;
      // Names are no frames.
      if (classAt(event).gutter) event.stopImmediatePropagation();
    });
    slider.addEventListener("click", (event) => {
      const { label, gutter } = classAt(event), still = from && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 5;
      if (label !== null && still && !event.shiftKey && (gutter || this.timeline.tool === "move")) this.toggleClass(label);
    });
    const hover = (label) => { if (label !== this.hovered) { this.hovered = label; this.invalidate("frame"); } };
    slider.addEventListener("pointermove", (event) => hover(classAt(event).label));
    slider.addEventListener("pointerleave", () => hover(null));
  }

  /** Redraw when the width or the theme changes. */
  watch() {
    this.sized = new ResizeObserver(() => this.invalidate("size")); this.sized.observe(this.slider);
    this.themed = new MutationObserver(() => this.invalidate("theme"));
    for (const node of [document.documentElement, document.body]) this.themed.observe(node, { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "style"] });
    this.dark = matchMedia("(prefers-color-scheme: dark)"); this.onTheme = () => this.invalidate("theme"); this.dark.addEventListener("change", this.onTheme);
  }
  destroy() { this.timeline.destroy(); this.media.stop(); this.sized.disconnect(); this.themed.disconnect(); this.dark.removeEventListener("change", this.onTheme); cancelAnimationFrame(this.ticket); this.destroyed = true; }

  setScene(scene, state = {}) {
    const before = { ...this.state };
    this.scene = scene;
    if (this.computing) { this.computing = false; this.setStatus(""); }
    this.title.replaceChildren(make("b", {}, scene.title), ` on ${scene.data} `, ...(scene.generated ? [make("span", { class: "loud" }, "generated data")] : []));
    this.root.setAttribute("aria-label", `Attention explorer: ${scene.title} on ${scene.data}`);
    this.fillVideos();
    this.notes.replaceChildren(...String(scene.note ?? "").split("\n").filter(Boolean).map((text) => make("p", {}, text)));
    const id = state.video && scene.videos.some((video) => video.id === state.video) ? state.video : scene.videos[0]?.id;
    this.setVideo(id, state);
    this.travel.arrived(before);
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
    Object.assign(this.state, { video: id, frame: highest, masked: new Set(), removed: new Set(), muted: {}, range: null, window: null, shown: kept.length ? kept : names.slice(0, 3), classes: classes.length || this.wanted?.length === 0 ? classes : fallback });
    this.requested = null; this.generation = (this.generation ?? 0) + 1;
    this.timeline.pause();
    this.media.open(packed?.media, id);
    this.buildRuns();
    this.apply({ ...state, video: undefined });
    this.invalidate("weights"); this.invalidate("size");
  }

  /** Apply a state that a kernel or a page sets, without sending it back. */
  apply(state) {
    const plain = (value) => JSON.stringify(value instanceof Set ? [...value] : value), moved = new Set();
    for (const [name, value] of Object.entries(state)) {
      if (value === undefined || (value === null && !["top", "range", "window"].includes(name)) || !(name in this.state)) continue;
      const taken = name === "masked" || name === "removed" ? new Set(value) : name === "range" || name === "window" ? this.timeline.within(value) : value;
      if (plain(taken) === plain(this.state[name])) continue;
      this.state[name] = taken; moved.add(name);
    }
    // Without a choice of classes each video shows its own; a choice stays from video to video.
    if (state.classes != null) this.wanted = [...state.classes];
    const last = Math.max(0, (this.lead?.base.count ?? 1) - 1);
    this.state.frame = Math.min(last, Math.max(0, Math.round(this.state.frame) || 0));
    if (moved.has("shown")) this.pickRuns();
    if (["removed", "muted", "masked"].some((name) => moved.has(name))) this.encode();
    if (moved.has("muted")) this.invalidate("size");
    if (moved.delete("frame")) { this.invalidate("frame"); this.timeline.onframe?.(this.state.frame); }
    if (moved.delete("range")) this.invalidate("frame");
    if (moved.delete("window")) this.invalidate("size");
    if (moved.size) this.invalidate("weights");
  }

  /** The user changed something: apply it and send it to the kernel. */
  change(patch) {
    const before = { ...this.state }, names = Object.keys(patch);
    if (patch.video !== undefined) { this.setVideo(patch.video); patch = this.state; } else this.apply(patch);
    this.travel.record(before, names);
    this.hooks.changed?.(Object.fromEntries(Object.keys(patch).map((name) => [name, this.state[name] instanceof Set ? [...this.state[name]].sort((a, b) => a - b) : this.state[name]])));
  }

  /** Draw or hide a class. */
  toggleClass(label) {
    const { classes } = this.state, drawn = classes.includes(label);
    this.change({ classes: drawn ? classes.filter((each) => each !== label) : [...classes, label] });
    const waits = this.shown.some(({ now }) => !now.problem && (now.explained || !now.classes.includes(label)) && !now.termClasses.includes(label));
    if (!drawn && waits && this.link === "live") this.compute();
  }
  /** Another effect of frames, which a kernel computes. */
  explain(patch) {
    this.change(patch);
    if (this.link === "live") this.compute();
  }
  compute() { this.computing = true; this.setStatus("Computing what the frames add …"); }

  /** Whether only the kernel can compute the scores without some frames' weights. */
  byModel({ base }) { return !base.problem && base.maskable && !(base.reweightable && base.contributions); }
  /** What only the kernel can compute: frames removed, muted or, for some runs, masked; null without any. */
  get request() {
    const sorted = (frames) => [...frames].sort((a, b) => a - b), { removed, muted, masked } = this.state;
    const found = { removed: sorted(removed), masked: this.link === "live" && this.runs.some((run) => this.byModel(run)) ? sorted(masked) : [],
      muted: Object.fromEntries(Object.entries(muted).filter(([, frames]) => frames.length).map(([name, frames]) => [name, sorted(frames)])) };
    return (removed.size || found.masked.length || Object.keys(found.muted).length) && !this.allRemoved() ? found : null;
  }

  /** Ask the kernel for the video with these changes: one request under way, the newest waits. */
  async encode() {
    const { generation, request } = this, { video } = this.state;
    if (!request) {
      for (const run of this.runs) { run.now = run.base; run.asked = null; }
      this.invalidate("weights");
      if (!this.requested) { if (this.link === "live" && !this.computing) this.setStatus(""); return; }
    } else if (JSON.stringify(request) === (this.waiting ? null : JSON.stringify(this.requested) ?? this.runs[0]?.asked)) return;
    if (!this.hooks.evidence || this.link !== "live") { this.invalidate("weights"); return; }
    this.waiting = true;
    if (this.requested) return;
    while (this.waiting && !this.destroyed) {
      this.waiting = false;
      const now = this.request;
      if (!now) { this.setStatus(""); break; }
      this.requested = now; this.invalidate("weights");
      try {
        const parts = await this.hooks.evidence({ video, ...now });
        if (generation !== this.generation) return; // another video, or other classes, has its own requests
        if (this.request) for (const [k, run] of this.runs.entries()) this.receive(run, parts[k] && decode(parts[k]), now);
        this.setStatus("");
      } catch (error) {
        if (generation !== this.generation) return;
        this.setStatus(String(error.message ?? error));
      }
      this.requested = null; this.invalidate("weights");
    }
    this.requested = null;
  }
  receive(run, part, request) {
    if (!part || run.base.problem) return;
    run.asked = JSON.stringify(request);
    run.now = part.problem ? { ...run.base, problem: part.problem } : expand(run.base, part);
    const masked = new Set(request.masked);
    if (masked.size && this.byModel(run)) run.now.order = run.now.order?.map((frames) => frames.filter((t) => !masked.has(run.link[t])));
  }

  setLink(link, text) {
    if (this.link === "none" || this.link === "fixed" || link === this.link) return;
    this.link = link; this.computing = false; this.setStatus(text ?? "");
    if (link === "live") this.encode(); else this.waiting = false;
    this.invalidate("weights");
  }
  /** An exception of a callback: a line of its own, so that nothing else overwrites it. */
  showProblem(text) { setText(this.problem, text ?? ""); }
  setStatus(text) { setText(this.status, text); this.status.classList.toggle("loud", Boolean(text)); }
  invalidate(what) { this.dirty[what] = true; this.ticket ??= requestAnimationFrame(() => this.draw()); }

  nameOf(label) {
    for (const run of this.runs) { const k = run.base.classes.indexOf(label); if (k >= 0) return run.base.names[k]; }
    return String(this.scene.vocabulary.names?.[label] ?? `class ${label}`);
  }
  isMasked(run, t) { return this.state.masked.has(run.link[t]); }
  allRemoved() { const { removed } = this.state, n = this.lead?.base.count ?? 0; return n > 0 && removed.size >= n; }
  isRemoved(run, t) { return this.state.removed.has(run.link[t]); }
  /** A run's weights in one number: where each class has its own, those of the first class drawn. */
  weightsOf(run, which = "result") {
    const k = run.base.own ? run.base.classes.indexOf(this.state.classes.find((label) => run.base.classes.includes(label))) : -1;
    return weightsOf({ run, k: k < 0 ? null : k }, run[which].columns, run[which].weights);
  }
  /** The highest and lowest term drawn, at least 0: of all classes with the same kind of terms, or of the row's class. */
  scaleOf({ run, label }) { return `${run.now.termsTitle}\n${this.state.common_scale ? "" : label}`; }
  extent(row) { return this.extents.get(this.scaleOf(row)) ?? { high: 0, low: 0 }; }
  valueOf({ run, k, share = null }) {
    const c = run.base.classes.length, terms = share === null ? run.result.terms : run.result.shares[share];
    return (t) => terms[t * c + k];
  }

  buildRuns() {
    this.runsBox.hidden = this.runs.length < 2;
    this.runsBox.replaceChildren(make("legend", {}, "Runs "), ...this.runs.map((run) => make("label", {}, make("input", { type: "checkbox", value: run.name, checked: this.state.shown.includes(run.name), onchange: () => {
      const boxes = [...this.runsBox.querySelectorAll("input")];
      this.change({ shown: boxes.filter((box) => box.checked).map((box) => box.value) });
    } }), make("span", {}, make("b", {}, run.letter), ` ${run.name}`))));
    this.pickRuns();
  }
  pickRuns() { this.shown = this.runs.filter((run) => this.state.shown.includes(run.name)); this.classes.build(); }

  draw() {
    this.ticket = null;
    const { dirty } = this, width = Math.floor(this.slider.clientWidth || this.similarity.panels.similarity.clientWidth);
    if (this.destroyed || width < 40) return;
    this.dirty = {};
    if (dirty.theme || !this.colors) this.colors = colorsOf(this.root);
    if (dirty.weights) this.weighAll();
    if (dirty.weights || dirty.size || dirty.theme) {
      const before = this.lay;
      this.lay = layout(this, width); this.span = this.timeline.span();
      for (const run of [...this.shown, this.lead]) if (run && !run.base.problem) run.at = edges(run.base.times, this.span, this.lay);
      // Planted frames, features and axis follow no control: they stay as they are, unless the rows above them changed.
      const until = !dirty.size && !dirty.theme && before?.key === this.lay.key ? this.lay.staticFrom : null;
      const { width: wide, height } = this.lay;
      this.slider.style.height = `${height}px`;
      paintRows(painterOf(this.canvas, wide, height, this.colors.family, until ?? height), this, this.lay, this.colors, until);
    }
    paintCursor(painterOf(this.cursor, this.lay.width, this.lay.height, this.colors.family), this, this.lay, this.colors);
    this.timeline.paint(); this.media.draw(); this.travel.show(); this.similarity.draw();
    if (dirty.weights) this.showScores();
    this.showFrame();
    if (dirty.weights && !this.data.hidden) this.showData(true);
  }

  weighAll() {
    const all = this.runs.filter((run) => !run.base.problem), { state } = this;
    let low = Infinity, high = -Infinity;
    this.extents = new Map();
    for (const run of all) {
      const masked = this.allRemoved() ? new Set(run.link.keys()) : run === this.lead ? state.masked : new Set(run.link.flatMap((f, t) => (state.masked.has(f) ? [t] : [])));
      run.result = weigh(run.now, { ...state, masked: this.link === "live" && run.asked && this.byModel(run) ? new Set() : masked });
      if (run.now.problem) run.result.scores = run.result.logits = null; // encoded again, it is no more what it was
      const n = run.base.count, half = n > 1 ? (run.base.times[n - 1] - run.base.times[0]) / (n - 1) / 2 : 0.5;
      low = Math.min(low, run.base.times[0] - half); high = Math.max(high, run.base.times[n - 1] + half);
      if (this.shown.includes(run) && !run.now.problem) for (const label of state.classes) {
        const k = run.base.classes.indexOf(label), split = state.by_modality ? run.now.modalities.length : 1;
        if (k < 0 || !run.now.explained) continue;
        for (let m = 0; m < split; m++) {
          const row = { run, k, label, share: split > 1 ? m : null }, value = this.valueOf(row);
          let { high, low } = this.extent(row);
          for (let t = 0; t < n; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
          this.extents.set(this.scaleOf(row), { high, low });
        }
      }
    }
    this.whole = low < high ? [low, high] : [0, 1];
    this.ends = all.length ? [Math.min(...all.map((run) => run.base.times[0])), Math.max(...all.map((run) => run.base.times.at(-1)))] : [0, 1];
  }

  showScores() {
    const asked = this.request && JSON.stringify(this.request), late = (run) => !run.base.problem && run.asked !== asked;
    const stale = this.stale = this.requested !== null || (asked !== null && this.shown.some(late)), most = this.classes.show(stale);
    const effect = most ? `largest change: ${cut(this.nameOf(most.label))} ${digits(most.before)} → ${digits(most.after)} (${signed(most.by, 3)})${this.shown.length > 1 ? ` in ${most.run.letter}` : ""}` : "";
    setText(this.most, [changesOf(this), effect].filter(Boolean).join("; ") || "Nothing is changed: these are the model's own scores.");
    if (this.requested) {
      const { removed, muted, masked } = this.requested, quiet = Object.values(muted).flat().length;
      const what = [[removed.length, "removed"], [quiet, "muted"], [masked.length, "masked"]].filter(([n]) => n).map(([n, how]) => `${plural(n, "frame")} ${how}`);
      this.setStatus(`Encoding again with ${what.join(", ")}; the scores shown are stale until then.`);
    }
    this.showWords(this.shown.filter((run) => run.result && !run.now.problem));
    this.showControls();
  }

  factsOf(run) {
    const { result, now, base } = run, n = base.count - (now.missing?.size ?? 0), of = this.shown.length > 1 ? `${run.letter}: ` : "";
    if (!result.kept) return [`${of}Every frame is masked or removed, so there are no weights and no scores.`];
    const facts = [], kept = result.kept < n || n < base.count ? `; ${result.kept} of ${plural(base.count, "frame")} kept` : "";
    if (!base.weighs) facts.push(`${of}${base.title}.`);
    else if (result.known) {
      const whole = digits(Math.log(n), 2), share = n > 1 ? `, ${Math.round((100 * result.entropy) / Math.log(n))} % of the uniform weights' ${whole}` : "";
      facts.push(`${of}Entropy of the ${base.width > 1 ? "mean " : ""}weights ${digits(result.entropy, 2)} nats${share}${kept}.`);
    }
    if (!now.explained) facts.push(`${of}No contributions were given, so only the weights follow the controls.`);
    else if (!now.contributions) {
      const gap = now.exact || !now.gap ? "" : " The gap is the sum of the terms minus what they should sum to.";
      facts.push(`${of}Drawn: ${now.termsTitle}; it does not follow the weights in the browser.${gap}`);
    }
    if (!result.scores) facts.push(`${of}The scores after this change cannot be computed here${this.link === "live" ? ": mask, remove or mute frames" : ""}.`);
    return facts;
  }

  /** Facts, and the sums of a linear classifier. Elements are kept: a drag changes only their text. */
  showWords(runs) {
    const summed = (run, label) => run.result.logits && run.now.termClasses.includes(label), outputs = new Set(runs.map((run) => run.base.link));
    const facts = runs.flatMap((run) => this.factsOf(run));
    const rows = this.state.classes.flatMap((label) => runs.filter((run) => summed(run, label)).map((run) => this.sum(run, label)));
    if (facts.length !== this.sentences?.length || rows.length !== this.sums?.length) {
      this.sentences = facts.map(() => make("p"));
      this.sums = rows.map(() => [make("span", { class: "name" }), ...[1, 2, 3].map(() => make("td", { class: "number" }))]);
      const output = outputs.size > 1 ? "= output" : outputs.has("identity") ? "= score" : "= logit";
      const heads = ["class", "Σ terms", "+ bias", output].map((text, k) => make("th", { scope: "col", class: k ? "number" : "" }, text));
      const body = this.sums.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells));
      const table = make("table", { class: "sums" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
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
    const { state } = this, n = this.lead?.base.count ?? 0, off = !this.shown.some((run) => run.base.reweightable);
    const why = off ? "No run shown has weights that are a softmax over the frames." : "";
    const set = ({ input, output, node }, value, text) => {
      Object.assign(input, { value, disabled: off }); node.title = why;
      input.setAttribute("aria-valuetext", text); setText(output, text);
    };
    set(this.temperature, Math.log10(state.temperature), state.temperature.toFixed(2));
    this.top.input.max = Math.max(1, n);
    set(this.top, state.top ?? n, state.top == null ? `all ${n}` : `${state.top} of ${n}`);
    Object.assign(this.uniform, { checked: state.uniform, disabled: off }); this.uniform.parentElement.title = why;
    this.temperature.input.disabled = off || state.uniform;
    this.video.select.value = state.video;
    for (const control of [this.order.select, this.ofClass.select, this.video.select, this.id]) control.disabled = this.link === "disconnected";
    for (const box of this.runsBox.querySelectorAll("input")) {
      box.checked = state.shown.includes(box.value); box.disabled = !box.checked && state.shown.length >= 3;
    }
    this.root.dataset.link = this.link;
  }

  showFrame() {
    const { lead, state } = this;
    if (!lead) { setText(this.here, this.runs[0]?.base.problem ?? "There is no video to show."); this.slider.setAttribute("aria-valuetext", this.here.textContent); return; }
    const f = state.frame, w = this.weightsOf(lead)(f), truth = Object.entries(lead.base.truth), kept = lead.result.kept;
    const muted = Object.entries(state.muted).filter(([, frames]) => frames.includes(f)).map(([name]) => `, ${name} muted`).join("");
    const mark = (state.removed.has(f) ? ", removed" : state.masked.has(f) ? ", masked" : "") + muted;
    const made = truth.filter(([, frames]) => frames.includes(f)).map(([label]) => this.nameOf(Number(label)));
    const weight = lead.base.weighs && lead.result.known ? `: weight ${small(w)}, ${digits(w * kept, 1)} × uniform.` : ".";
    const at = `Frame ${f + 1} of ${lead.base.count.toLocaleString("en")}, at ${seconds(lead.base.times[f])}${mark}`;
    setText(this.here, at + weight + (truth.length ? ` Made by this frame: ${made.join(", ") || "no label"}.` : ""));
    const scores = lead.result.scores ?? [];
    let best = -1;
    scores.forEach((s, k) => { if (Number.isFinite(s) && !(s <= scores[best])) best = k; });
    const top = best >= 0 ? `, top class ${lead.base.names[best]} ${digits(scores[best], 2)}${this.stale ? " (stale)" : ""}` : lead.base.classes.length ? ", scores unknown" : "";
    for (const [name, value] of [["min", 1], ["max", lead.base.count], ["now", f + 1], ["text", `${seconds(lead.base.times[f])}${lead.base.weighs ? `, weight ${small(w)}` : ""}${mark}${top}`]]) this.slider.setAttribute(`aria-value${name}`, value);
  }

  showData(open) {
    this.data.hidden = !open; this.toggle.setAttribute("aria-expanded", String(open));
    if (!open || !this.lead) return this.data.replaceChildren();
    const { head, rows } = records(this), shown = rows.slice(0, 1000), many = this.shown.length > 1;
    const row = (tag, cells) => cells.map((c) => make(tag, { class: typeof c === "number" ? "number" : null },
      typeof c === "number" ? String(Number.isInteger(c) ? c : Number(c.toPrecision(4))) : make("span", { class: "name", title: c }, c)));
    // The frame, with the letter of its run, stays in sight when the table is scrolled.
    const first = ([name, frame]) => (many ? `${this.runs.find((run) => run.name === name).letter} · ${frame}` : frame);
    const body = shown.map((cells) => make("tr", {}, make("th", { scope: "row", title: cells[0] }, String(first(cells))), ...row("td", cells.slice(2))));
    this.data.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...row("th", ["frame", ...head.slice(2)]))), make("tbody", {}, ...body)),
      ...(shown.length < rows.length ? [make("p", {}, `The first 1,000 of ${plural(rows.length, "row")}; the CSV file has them all.`)] : []));
  }
}

const NAMES = ["ink", "soft", "ground", "rule", "up", "down", "run0", "run1", "run2", "area", "truth", "range", "veil"];
/** Colours and type as the page has them now. */
function colorsOf(root) {
  const style = getComputedStyle(root), probe = document.createElement("canvas").getContext("2d"), seen = (name) => style.getPropertyValue(`--av-${name}`).trim();
  const rgb = (name) => {
    probe.fillStyle = "#fff"; probe.fillStyle = seen(name);
    return [1, 3, 5].map((k) => parseInt(probe.fillStyle.slice(k, k + 2), 16));
  };
  const [r, g, b] = rgb("ground");
  root.classList.toggle("on-dark", 0.299 * r + 0.587 * g + 0.114 * b < 128);
  return { ...Object.fromEntries(NAMES.map((name) => [name, seen(name)])), rgb: { ground: rgb("ground"), up: rgb("up"), down: rgb("down") }, family: style.fontFamily };
}
