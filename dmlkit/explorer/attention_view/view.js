// The view: its controls, its state, and what is painted again when a part of that changes.

import { cut, decode, digits, expand, nearest, plural, seconds, signed, small, weigh } from "./numbers.js";
import { painterOf, px } from "./painters.js";
import { edges, layout, paintCursor, paintRows } from "./rows.js";
import { make, same, setText } from "./elements.js";
import { Media } from "./media.js";
import { Timeline } from "./timeline.js";
import { changesOf, download, records } from "./exports.js";

let views = 0;

export class View {
  constructor(el, scene, hooks) {
    this.hooks = hooks; this.name = `dmlkit-av-${++views}-${Math.random().toString(36).slice(2, 7)}`;
    this.link = hooks.evidence ? (scene.live ? "live" : "fixed") : "none";
    this.state = { video: null, shown: null, classes: null, frame: 0, temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set(), muted: {}, range: null, window: null };
    this.dirty = {}; this.requested = null;
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
    this.reset = make("button", { type: "button", onclick: () => this.change({ temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set(), muted: {} }) }, "Reset");
    this.canvas = make("canvas", { "aria-hidden": "true" }); this.cursor = make("canvas", { "aria-hidden": "true" });
    this.slider = make("div", { class: "strips", role: "slider", tabindex: 0, "aria-orientation": "horizontal", "aria-label": "Frame of the video" }, this.canvas, this.cursor);
    this.timeline = new Timeline(this);
    this.here = make("p", { class: "here" }); this.words = make("div", { class: "words" }); this.most = make("p", { class: "most", "aria-live": "polite" });
    this.scores = make("table", { class: "scores" }); this.data = make("div", { class: "data", hidden: true, tabindex: 0, role: "region", "aria-label": "Data table" });
    this.status = make("p", { class: "status", role: "status" }); this.problem = make("p", { class: "problem loud", role: "alert" }); this.notes = make("div", { class: "notes" });
    this.toggle = make("button", { type: "button", "aria-expanded": "false", onclick: () => this.showData(this.data.hidden) }, "Data table");
    const save = (text, kind) => make("button", { type: "button", onclick: () => download(this, kind) }, text);
    const tweaks = make("div", { class: "tweaks" }, this.temperature.node, this.top.node, make("label", { class: "tweak" }, this.uniform, make("span", {}, "Uniform weights")), this.reset);
    this.root = make("section", { class: "dmlkit-av", "data-lm-suppress-shortcuts": "true", onkeydown: (e) => e.stopPropagation() },
      make("header", {}, this.title, this.order.node, this.ofClass.node, this.video.node, this.id, this.runsBox), this.hint, tweaks,
      this.body = make("div", { class: "body" }, make("div", { class: "main" }, this.timeline.controls, (this.media = new Media(this)).node, this.timeline.map, this.slider, this.here, this.status, this.problem, make("footer", {}, this.toggle, save("Save PNG", "png"), save("Save SVG", "svg"), save("Save CSV", "csv"))), make("div", { class: "side" }, make("div", { class: "scroll" }, this.scores), this.most, this.words)),
      this.data, this.notes);
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
    if (["removed", "muted", "masked"].some((name) => moved.has(name)) && (this.request() || this.runs.some((run) => run.without))) this.encode();
    if (moved.has("muted")) this.invalidate("size");
    if (moved.delete("frame")) { this.invalidate("frame"); this.timeline.onframe?.(this.state.frame); }
    if (moved.delete("range")) this.invalidate("frame");
    if (moved.delete("window")) this.invalidate("size");
    if (moved.size) this.invalidate("weights");
  }

  /** The user changed something: apply it and send it to the kernel. */
  change(patch) {
    if (patch.video !== undefined) { this.setVideo(patch.video); patch = this.state; } else this.apply(patch);
    this.hooks.changed?.(Object.fromEntries(Object.keys(patch).map((name) => [name, this.state[name] instanceof Set ? [...this.state[name]].sort((a, b) => a - b) : this.state[name]])));
  }

  /** What the kernel computes: without frames, without a modality, and masked where scores do not follow from the weights; or null. */
  request() {
    const { removed, muted, masked } = this.state, sorted = (frames) => [...frames].sort((a, b) => a - b);
    const asked = this.link === "live" && masked.size < (this.lead?.base.count ?? 0) && this.runs.some((run) => run.base.maskable && !run.base.reweightable);
    const request = { removed: sorted(removed), muted, masked: asked ? sorted(masked) : [] };
    const some = request.removed.length || request.masked.length || Object.keys(muted).length;
    return some && !this.allRemoved() ? request : null;
  }

  /** Ask the kernel for the video as it is changed: one request under way, the newest waits. */
  async encode() {
    const { generation } = this, { video } = this.state;
    if (!this.request()) {
      for (const run of this.runs) { run.now = run.base; run.without = null; }
      this.invalidate("weights");
      if (!this.requested) { if (this.link === "live") this.setStatus(""); return; }
    }
    if (!this.hooks.evidence || this.link !== "live") { this.invalidate("weights"); return; }
    this.waiting = true;
    if (this.requested) return;
    while (this.waiting && !this.destroyed) {
      this.waiting = false;
      const now = this.request();
      if (!now) { this.setStatus(""); break; }
      this.requested = now; this.invalidate("weights");
      try {
        const parts = await this.hooks.evidence({ video, ...now });
        if (generation !== this.generation) return; // another video, or other classes, has its own requests
        if (this.request()) for (const [k, run] of this.runs.entries()) {
          const part = parts[k] && decode(parts[k]);
          if (part && !run.base.problem) { run.now = part.problem ? { ...run.base, problem: part.problem } : expand(run.base, part); run.without = JSON.stringify(now); }
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
  invalidate(what) { this.dirty[what] = true; this.ticket ??= requestAnimationFrame(() => this.draw()); }

  nameOf(label) { for (const run of this.runs) { const k = run.base.classes.indexOf(label); if (k >= 0) return run.base.names[k]; } return `class ${label}`; }
  isMasked(run, t) { return this.state.masked.has(run.link[t]); }
  allRemoved() { const { removed } = this.state, n = this.lead?.base.count ?? 0; return n > 0 && removed.size >= n; }
  isRemoved(run, t) { return this.state.removed.has(run.link[t]); }
  extent(label) { return this.extents.get(label) ?? { high: 0, low: 0 }; }
  valueOf({ run, k }) { const c = run.now.classes.length, terms = run.result.terms ?? run.now.terms; return (t) => terms[t * c + k]; }
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
      this.lay = layout(this, width); this.span = this.timeline.span();
      for (const run of [...this.shown, this.lead]) if (run && !run.base.problem) run.at = edges(run.base.times, this.span, this.lay);
      // Planted frames, features and axis follow no control: they stay as they are, unless the rows above them changed.
      const until = !dirty.size && !dirty.theme && before?.key === this.lay.key ? this.lay.staticFrom : null;
      const { width: wide, height } = this.lay;
      this.slider.style.height = `${height}px`;
      paintRows(painterOf(this.canvas, wide, height, this.colors.family, until ?? height), this, this.lay, this.colors, until);
    }
    paintCursor(painterOf(this.cursor, this.lay.width, this.lay.height, this.colors.family), this, this.lay, this.colors);
    this.timeline.paint(); this.media.draw();
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
      // The kernel masked what it computed; masking that again would be of unknown scores.
      const done = run.without && !run.now.reweightable && JSON.parse(run.without).masked.length;
      run.result = weigh(run.now, { ...state, masked: done && !this.allRemoved() ? new Set() : masked }); run.peak = 0;
      if (run.now.problem) run.result.scores = run.result.logits = null; // encoded again, it is no more what it was
      for (let t = 0; t < run.base.count; t++) run.peak = Math.max(run.peak, run.result.weights[t], run.base.weights[t]);
      const n = run.base.count, half = n > 1 ? (run.base.times[n - 1] - run.base.times[0]) / (n - 1) / 2 : 0.5;
      low = Math.min(low, run.base.times[0] - half); high = Math.max(high, run.base.times[n - 1] + half);
      if (this.shown.includes(run) && !run.now.problem) for (const label of state.classes) {
        const k = run.now.classes.indexOf(label);
        if (k < 0 || !(run.now.contributions || run.now.terms)) continue;
        const value = this.valueOf({ run, k });
        let { high, low } = this.extent(label);
        for (let t = 0; t < n; t++) { const v = value(t); if (v > high) high = v; if (v < low) low = v; }
        this.extents.set(label, { high, low });
      }
    }
    this.whole = low < high ? [low, high] : [0, 1];
    this.ends = all.length ? [Math.min(...all.map((run) => run.base.times[0])), Math.max(...all.map((run) => run.base.times.at(-1)))] : [0, 1];
  }

  showScores() {
    const request = this.request(), stale = this.stale = this.requested !== null || (request !== null && this.shown.some((run) => run.without !== JSON.stringify(request)));
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
    const link = this.requested ? "The kernel computes the video again; the scores shown are stale until then." : "";
    if (link) this.setStatus(link);
    this.showWords(this.shown.filter((run) => run.result && !run.now.problem));
    this.showControls();
  }

  factsOf(run) {
    const { result, now } = run, n = run.base.count - (now.missing?.size ?? 0), of = this.shown.length > 1 ? `${run.letter}: ` : "";
    if (!result.known) return [`${of}Every frame is masked or removed, so there are no weights and no scores.`];
    const share = n > 1 ? `, ${Math.round((100 * result.entropy) / Math.log(n))} % of the uniform weights' ${digits(Math.log(n), 2)}` : "";
    const facts = [`${of}Entropy of the weights ${digits(result.entropy, 2)} nats${share}${result.kept < n || n < run.base.count ? `; ${result.kept} of ${plural(run.base.count, "frame")} kept` : ""}.`];
    if (!now.contributions) facts.push(now.terms ? `${of}The classifier is not linear, so frames have no share of a logit; drawn is occlusion by masking: the score minus the score with this frame's weight at zero.` : `${of}No contributions were given, so only the weights follow the controls.`,
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
    this.root.dataset.link = this.link;
  }

  showFrame() {
    const { lead, state } = this;
    if (!lead) { setText(this.here, this.runs[0]?.base.problem ?? "There is no video to show."); this.slider.setAttribute("aria-valuetext", this.here.textContent); return; }
    const f = state.frame, w = lead.result.weights[f], truth = Object.entries(lead.base.truth);
    const mark = state.removed.has(f) ? ", removed" : state.masked.has(f) ? ", masked" : "", mute = Object.keys(state.muted).filter((name) => state.muted[name].includes(f)).map((name) => `, ${name} muted`).join("");
    const made = truth.filter(([, frames]) => frames.includes(f)).map(([label]) => this.nameOf(Number(label)));
    setText(this.here, `Frame ${f + 1} of ${lead.base.count.toLocaleString("en")}, at ${seconds(lead.base.times[f])}${mark}${mute}: weight ${small(w)}, ${digits(w * lead.result.kept, 1)} × uniform.` + (truth.length ? ` Made by this frame: ${made.join(", ") || "no label"}.` : ""));
    const scores = lead.result.scores ?? [];
    let best = -1;
    scores.forEach((s, k) => { if (Number.isFinite(s) && !(s <= scores[best])) best = k; });
    const top = best >= 0 ? `, top class ${lead.base.names[best]} ${digits(scores[best], 2)}${this.stale ? " (stale)" : ""}` : lead.base.classes.length ? ", scores unknown" : "";
    for (const [name, value] of [["min", 1], ["max", lead.base.count], ["now", f + 1], ["text", `${seconds(lead.base.times[f])}, weight ${small(w)}${mark}${mute}${top}`]]) this.slider.setAttribute(`aria-value${name}`, value);
  }

  showData(open) {
    this.data.hidden = !open; this.toggle.setAttribute("aria-expanded", String(open));
    if (!open || !this.lead) return this.data.replaceChildren();
    const { head, rows } = records(this), shown = rows.slice(0, 1000), row = (tag, cells) => make("tr", {}, ...cells.map((c) => make(tag, {}, typeof c === "number" ? String(c) : make("span", { class: "name", title: c }, c))));
    this.data.replaceChildren(make("table", {}, make("thead", {}, row("th", head)), make("tbody", {}, ...shown.map((cells) => row("td", cells)))), ...(shown.length < rows.length ? [make("p", {}, `The first 1,000 of ${plural(rows.length, "row")}; the CSV file has them all.`)] : []));
  }
}

/** Colours and type as the page has them now. */
function colorsOf(root) {
  const style = getComputedStyle(root), probe = document.createElement("canvas").getContext("2d"), seen = (name) => style.getPropertyValue(`--av-${name}`).trim();
  probe.fillStyle = "#fff"; probe.fillStyle = seen("ground");
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(probe.fillStyle.slice(k, k + 2), 16));
  root.classList.toggle("on-dark", 0.299 * r + 0.587 * g + 0.114 * b < 128);
  return { ...Object.fromEntries(["ink", "soft", "ground", "rule", "up", "down", "area", "truth", "range", "veil"].map((name) => [name, seen(name)])), family: style.fontFamily };
}
