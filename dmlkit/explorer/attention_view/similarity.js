// Frames against frames: the matrix of their cosine similarity, as a second tab, and similar moments of other videos.

import { digits, seconds } from "./numbers.js";
import { CanvasPainter } from "./painters.js";
import { make, setText } from "./elements.js";

const LEFT = 40, FOOT = 34, BAR = 66, LARGEST = 520, LISTED = 20, TABS = { frames: "Frames", similarity: "Similarity" };

export class Similarity {
  constructor(view) {
    this.view = view;
    const { slider, timeline, name, media } = view, id = (tab, what) => `${name}-${tab}-${what}`;
    this.of = make("select", { "aria-label": "Compare the frames by", onchange: (event) => this.ask(event.target.value) });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.matrix = make("div", { class: "matrix", role: "slider", tabindex: 0, "aria-label": "Compared frame" }, this.canvas);
    this.here = make("p", { class: "pair" }); this.note = make("p");
    this.panels = {
      frames: make("div", {}, timeline.controls, media.node, timeline.map),
      similarity: make("div", {}, make("label", { class: "pick" }, make("span", {}, "Compare by "), this.of), this.matrix, this.here,
        this.note),
    };
    this.tabs = Object.fromEntries(Object.entries(TABS).map(([tab, text]) => [tab,
      make("button", { type: "button", role: "tab", id: id(tab, "tab"),
      "aria-controls": id(tab, "panel"), onclick: () => this.choose(tab) }, text)]));
    const list = make("div", { class: "tabs", role: "tablist", "aria-label": "What is drawn", onkeydown: (event) => this.onKey(event) },
      ...Object.values(this.tabs));
    slider.before(list, this.panels.frames, this.panels.similarity);
    this.panels.frames.append(slider);
    for (const [tab, panel] of Object.entries(this.panels))
      for (const [key, value] of [["role", "tabpanel"], ["id", id(tab, "panel")],
        ["aria-labelledby", id(tab, "tab")]]) panel.setAttribute(key, value);
    const point = (event) => event.buttons & 1 && this.point(event);
    for (const kind of ["pointerdown", "pointermove"]) this.matrix.addEventListener(kind, point);
    this.matrix.addEventListener("pointermove", (event) => { this.over = this.cellAt(event); this.view.invalidate("frame"); });
    this.matrix.addEventListener("pointerleave", () => { this.over = null; this.view.invalidate("frame"); });
    this.matrix.addEventListener("keydown", (event) => timeline.onKey(event));
    this.find = make("button", { type: "button", onclick: () => this.similar() }, "Find similar moments");
    this.list = make("div", { class: "similar", role: "region", "aria-label": "Similar moments", hidden: true });
    view.toggle.before(this.find); view.data.before(this.list);
    new ResizeObserver(() => view.invalidate("frame")).observe(this.panels.similarity);
  }

  get held() { const { scene, state } = this.view; return scene.similarity?.video === state.video ? scene.similarity : null; }
  get kernel() { return Boolean(this.view.hooks.similarity) && ["live", "fixed"].includes(this.view.link); }
  choose(tab) {
    this.view.change({ tab });
    if (tab === "similarity" && !this.held && this.kernel) this.ask("states");
  }
  ask(of) { this.view.showProblem(""); this.asked = true; this.view.hooks.similarity(of); this.view.invalidate("frame"); }
  onKey(event) {
    const names = Object.keys(TABS), at = names.indexOf(this.view.state.tab),
      to = { ArrowRight: 1 - at, ArrowLeft: 1 - at, Home: 0, End: 1 }[event.key];
    if (to === undefined || this.tabs[names[to]].disabled) return;
    this.choose(names[to]); this.tabs[names[to]].focus(); event.preventDefault();
  }

  // ----------------------------------------------------------------------------------------------------- the matrix

  cellAt(event) {
    const box = this.matrix.getBoundingClientRect(), { held, size } = this;
    if (!held || !size) return null;
    const cell = (x) => Math.min(held.cells - 1, Math.max(0, Math.floor((x / size) * held.cells)));
    return [cell(event.clientX - box.left - LEFT), cell(event.clientY - box.top)];
  }
  point(event) {
    const cell = this.cellAt(event), { held, view } = this;
    if (cell) view.timeline.moveTo(Math.min(held.frames - 1, Math.floor((cell[0] + 0.5) * held.step)));
  }
  value(column, row) { return this.values[row * this.held.cells + column] / 127.5 - 1; }
  /** The cells as a picture, orange below 0 and blue above, made once a matrix and theme. */
  picture(colors) {
    const { held } = this, n = held.cells, key = [held.values.u8, colors.ground, colors.up].join();
    if (this.made === key) return this.image;
    this.values = Uint8Array.from(atob(held.values.u8), (c) => c.charCodeAt(0));
    this.image = make("canvas", { width: n, height: n });
    const context = this.image.getContext("2d"), data = context.createImageData(n, n);
    const rgb = (name) => {
      context.fillStyle = colors[name];
      return [1, 3, 5].map((k) => parseInt(context.fillStyle.slice(k, k + 2), 16));
    };
    const ground = rgb("ground"), ends = { up: rgb("up"), down: rgb("down") };
    this.shade = (value) => ground.map((from, k) => Math.round(from + Math.abs(value) * (ends[value < 0 ? "down" : "up"][k] - from)));
    for (let i = 0; i < n * n; i++) data.data.set([...this.shade(this.values[i] / 127.5 - 1), 255], 4 * i);
    context.putImageData(data, 0, 0);
    this.made = key;
    return this.image;
  }
  draw() {
    const { view, held, kernel } = this, { state, lead, colors } = view, open = state.tab === "similarity";
    for (const [tab, button] of Object.entries(this.tabs)) {
      const chosen = tab === state.tab;
      button.setAttribute("aria-selected", String(chosen)); button.tabIndex = chosen ? 0 : -1; this.panels[tab].hidden = !chosen;
    }
    this.tabs.similarity.disabled = !open && !held && !kernel;
    this.tabs.similarity.title = this.tabs.similarity.disabled ? "It takes a kernel, or a page saved with this tab open." : "";
    this.find.hidden = !view.hooks.similar; this.find.disabled = this.seeking || !["live", "fixed"].includes(view.link) || !lead;
    if (!open) return;
    if (held) this.asked = false;
    const names = [...new Set([held?.of ?? "states", ...(kernel ? ["states", ...Object.keys(lead?.base.energy ?? {})] : [])])];
    const offered = [...this.of.options].map((option) => option.value);
    if (names.join() !== offered.join()) this.of.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    this.of.value = held?.of ?? "states"; this.of.disabled = !kernel; this.matrix.hidden = !held || !lead;
    const waits = this.asked && !view.problem.textContent;
    const missing = waits ? "Computing the similarity …" : kernel ? "" : "This page has no similarity matrix of this video.";
    setText(this.note, !held ? missing : held.step > 1 ? `Each cell is the mean over ${held.step} × ${held.step} frames.` : "");
    setText(this.here, held && lead ? this.words(lead.base) : "");
    if (held && lead) this.paint(lead.base, colors);
  }
  words({ times }) {
    const { held, over, view } = this, f = view.state.frame, at = Math.min(held.cells - 1, Math.floor(f / held.step));
    this.picture(view.colors);
    const name = (cell) => `frame ${cell * held.step + 1} (${seconds(times[cell * held.step])})`;
    let best = -1;
    for (let c = 0; c < held.cells; c++)
      if (Math.abs(c - at) * held.step > 2 && !(best >= 0 && this.value(c, at) <= this.value(best, at))) best = c;
    const most = best < 0 ? "" : `: most similar beyond its neighbours is ${name(best)}, ${digits(this.value(best, at), 2)}`;
    const text = `Frame ${f + 1}, at ${seconds(times[f])}${most}.`;
    for (const [key, value] of [["min", 1], ["max", times.length], ["now", f + 1],
      ["text", text]]) this.matrix.setAttribute(`aria-value${key}`, value);
    return over ? `${name(over[0])} and ${name(over[1])}: ${digits(this.value(...over), 2)}` : text;
  }
  paint({ times }, colors) {
    const { held, view } = this, width = Math.max(120, Math.min(this.panels.similarity.clientWidth, LARGEST + LEFT + BAR)),
      size = this.size = width - LEFT - BAR;
    const ratio = Math.min(3, devicePixelRatio || 1), height = size + FOOT, { canvas } = this;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); canvas.style.width = `${width}px`;
    const context = canvas.getContext("2d"), painter = new CanvasPainter(context, colors.family), image = this.picture(colors);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = false; context.drawImage(image, LEFT, 0, size, size);
    painter.path([LEFT, 0, LEFT + size, 0, LEFT + size, size, LEFT, size, LEFT, 0], { stroke: colors.rule });
    for (let k = 0, n = held.frames, ticks = Math.min(n, 5); k < ticks; k++) {
      const t = ticks > 1 ? Math.round((k * (n - 1)) / (ticks - 1)) : 0, place = ((t + 0.5) / n) * size,
        text = String(Number(times[Math.min(t, times.length - 1)].toFixed(1)));
      painter.text(LEFT + place, size + 14, text, colors.ink, { size: 11, anchor: "middle" });
      painter.text(LEFT - 5, Math.min(size - 2, Math.max(10, place + 4)), text, colors.ink, { size: 11, anchor: "end" });
    }
    painter.text(LEFT + size / 2, size + 29, "time in the video (s), both axes", colors.ink, { size: 11, anchor: "middle" });
    for (let y = 0, x = LEFT + size + 14; y < size; y += 2) painter.rects([x, y, 12, 2], `rgb(${this.shade(1 - (2 * y) / size).join()})`);
    for (const [place, text] of [[10, "1"], [size / 2 + 4, "0"], [size, "−1"]]) painter.text(LEFT + size + 30, place, text, colors.ink,
      { size: 11 });
    painter.text(LEFT + size + 14, size + 14, "cosine", colors.ink, { size: 11 });
    const cross = ((view.state.frame + 0.5) / held.frames) * size;
    painter.lines([LEFT + cross, 0, LEFT + cross, size, LEFT, cross, LEFT + size, cross], colors.ink, { width: 1.5 });
  }

  // ------------------------------------------------------------------------------------------------ similar moments

  async similar() {
    const { view } = this, { state } = view, { video } = state, [first, last] = state.range ?? [state.frame, state.frame],
      rows = (found) => found.map((row) => make("tr", {},
      make("th", { scope: "row" }, make("button", { type: "button", title: row.video,
        onclick: () => view.travel.goTo(row.video, row.frame) }, make("span", { class: "name" }, row.video))),
      make("td", { class: "number" }, seconds(row.seconds)), make("td", { class: "number" }, digits(row.similarity, 3))));
    this.seeking = true; this.list.hidden = false; this.list.replaceChildren(make("p", {}, "Looking for similar moments …"));
    view.invalidate("frame");
    try {
      const { rows: found, note } = await view.hooks.similar({ video,
        frames: Array.from({ length: last - first + 1 }, (_, k) => first + k), limit: LISTED });
      const heads = ["video", "time", "similarity"].map((text, k) => make("th", { scope: "col", class: k ? "number" : "" }, text));
      const close = make("button", { type: "button", onclick: () => { this.list.hidden = true; this.find.focus(); } }, "Close");
      const like = first === last ? `frame ${first + 1}` : `frames ${first + 1} to ${last + 1}`;
      this.list.replaceChildren(make("p", {}, make("b", {}, `Moments like ${like} of ${video} `), note, " ", close),
        make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows(found))));
    } catch (error) {
      this.list.replaceChildren(make("p", {}, String(error.message ?? error)));
    }
    this.seeking = false; view.invalidate("frame");
  }
}
