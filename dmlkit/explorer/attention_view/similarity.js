// Frames against frames: the matrix of their cosine similarity, as a second tab, and similar moments of other videos.

import { digits, seconds } from "./numbers.js";
import { painterOf } from "./painters.js";
import { asCanvas, shades } from "./heatmap.js";
import { fillSelect, make, makeButton, makeSelect, makeTable, setText } from "./elements.js";

const LEFT = 40, FOOT = 34, BAR = 66, LARGEST = 520, TICKS = 5, LISTED = 20, TABS = { frames: "Frames", similarity: "Similarity" };

export class Similarity {
  constructor(view) {
    const { slider, timeline, name, media } = this.view = view, redraw = () => view.invalidate("frame");
    this.of = makeSelect("Compare the frames by", (of) => this.ask(of)); this.note = make("p"); this.here = make("p", { class: "pair" });
    this.canvas = make("canvas", { "aria-hidden": "true" });
    const over = (event) => {
      const { held } = this, cell = this.over = this.cellAt(event);
      if (event.buttons & 1 && cell) timeline.moveTo(Math.min(held.frames - 1, Math.floor((cell[0] + 0.5) * held.step)));
      redraw();
    };
    const acts = { onpointerdown: over, onpointermove: over, onpointerleave: () => { this.over = null; redraw(); } };
    this.matrix = make("div", { class: "matrix", role: "slider", tabindex: 0, "aria-label": "Compared frame", ...acts,
      onkeydown: (event) => timeline.onKey(event) }, this.canvas);
    const pick = make("label", { class: "pick" }, make("span", {}, "Compare by "), this.of);
    const contents = { frames: [media.node, timeline.map, slider], similarity: [pick, this.matrix, this.here, this.note] };
    this.tabs = {}; this.panels = {};
    for (const [tab, text] of Object.entries(TABS)) {
      const ids = { tab: `${name}-${tab}-tab`, panel: `${name}-${tab}-panel` };
      this.tabs[tab] = makeButton(text, () => this.choose(tab), { role: "tab", id: ids.tab, "aria-controls": ids.panel });
      this.panels[tab] = make("div", { role: "tabpanel", id: ids.panel, "aria-labelledby": ids.tab });
    }
    const list = { class: "tabs", role: "tablist", "aria-label": "What is drawn", onkeydown: (event) => this.onKey(event) };
    view.bar.prepend(make("div", list, ...Object.values(this.tabs)));
    slider.before(...Object.values(this.panels));
    for (const [tab, nodes] of Object.entries(contents)) this.panels[tab].append(...nodes);
    this.find = makeButton("Similar moments", () => this.similar());
    this.list = make("div", { class: "similar", role: "region", "aria-label": "Similar moments", hidden: true });
    view.toggle.before(this.find); view.data.before(this.list);
    new ResizeObserver(redraw).observe(this.panels.similarity);
  }

  get held() { const { scene, state } = this.view; return scene.similarity?.video === state.video ? scene.similarity : null; }
  get kernel() { return Boolean(this.view.hooks.similarity) && ["live", "fixed"].includes(this.view.link); }
  /** Whether the matrix is what is seen. */
  get drawn() { return Boolean(this.view.state.tab === "similarity" && this.held && this.view.lead); }
  choose(tab) {
    this.view.change({ tab });
    if (tab === "similarity" && !this.held && this.kernel) this.ask("states");
  }
  ask(of) { this.view.showProblem(""); this.asked = true; this.view.hooks.similarity(of); this.view.invalidate("frame"); }
  onKey(event) {
    const names = Object.keys(TABS), at = names.indexOf(this.view.state.tab);
    const to = names[{ ArrowRight: 1 - at, ArrowLeft: 1 - at, Home: 0, End: 1 }[event.key]];
    if (!to || this.tabs[to].disabled) return;
    this.choose(to); this.tabs[to].focus(); event.preventDefault();
  }

  // ----------------------------------------------------------------------------------------------------- the matrix

  /** Column and row of the cell under the pointer. */
  cellAt({ clientX, clientY }) {
    const box = this.matrix.getBoundingClientRect(), { held, size } = this;
    const cell = (x) => Math.min(held.cells - 1, Math.max(0, Math.floor((x / size) * held.cells)));
    return held && size ? [cell(clientX - box.left - LEFT), cell(clientY - box.top)] : null;
  }
  value(column, row) { return this.bytes[row * this.held.cells + column] / 127.5 - 1; }

  draw() {
    const { view, held, kernel, drawn } = this, { state, lead, hooks, link } = view, open = state.tab === "similarity";
    for (const [tab, button] of Object.entries(this.tabs)) {
      const chosen = tab === state.tab;
      button.setAttribute("aria-selected", String(chosen)); button.tabIndex = chosen ? 0 : -1; this.panels[tab].hidden = !chosen;
    }
    const off = this.tabs.similarity.disabled = !open && !held && !kernel;
    this.tabs.similarity.title = off ? "It takes a kernel, or a page saved with this tab open." : "";
    this.find.hidden = !hooks.similar; this.find.disabled = this.seeking || !["live", "fixed"].includes(link) || !lead;
    if (!open) return;
    if (held) this.asked = false;
    const of = held?.of ?? "states", names = new Set([of, ...(kernel ? ["states", ...Object.keys(lead?.base.energy ?? {})] : [])]);
    if (this.of.options.length !== names.size || this.of.value !== of) fillSelect(this.of, [...names].map((each) => [each, each]), of);
    this.of.disabled = !kernel; this.matrix.hidden = !drawn;
    const waits = this.asked && !view.problem.textContent ? "Computing the similarity …" : "";
    const missing = waits || (kernel ? "" : "This page has no similarity matrix of this video.");
    setText(this.note, !held ? missing : held.step > 1 ? `Each cell is the mean over ${held.step} × ${held.step} frames.` : "");
    if (drawn) this.paint(held, lead.base, view.colors);
    setText(this.here, drawn ? this.words(held, lead.base) : "");
  }
  /** The chosen frame and the most similar one; under the pointer the pair of its cell. */
  words({ cells, step }, { times }) {
    const f = this.view.state.frame, at = Math.min(cells - 1, Math.floor(f / step));
    const name = (cell) => `frame ${cell * step + 1} (${seconds(times[cell * step])})`;
    const far = Array.from({ length: cells }, (_, cell) => cell).filter((cell) => Math.abs(cell - at) * step > 2);
    const best = far.reduce((a, b) => (a !== null && this.value(b, at) <= this.value(a, at) ? a : b), null);
    const most = best === null ? "" : `: most similar beyond its neighbours is ${name(best)}, ${digits(this.value(best, at), 2)}`;
    const values = { min: 1, max: times.length, now: f + 1, text: `Frame ${f + 1}, at ${seconds(times[f])}${most}.` };
    for (const [key, value] of Object.entries(values)) this.matrix.setAttribute(`aria-value${key}`, value);
    return this.over ? `${this.over.map(name).join(" and ")}: ${digits(this.value(...this.over), 2)}` : values.text;
  }
  paint(held, { times }, colors) {
    const width = Math.max(120, Math.min(this.panels.similarity.clientWidth, LARGEST + LEFT + BAR)), size = this.size = width - LEFT - BAR;
    if (this.made?.held !== held || this.made.colors !== colors) {
      this.bytes = Uint8Array.from(atob(held.values.u8), (c) => c.charCodeAt(0));
      this.scale = imageOf(Uint8Array.from({ length: 256 }, (_, k) => 255 - k), 1, colors);
      this.picture = imageOf(this.bytes, held.cells, colors); this.made = { held, colors };
    }
    const painter = painterOf(this.canvas, width, size + FOOT, colors.family), right = LEFT + size;
    const write = (x, y, text, anchor) => painter.text(x, y, text, colors.ink, { size: 11, anchor });
    painter.rects([0, 0, width, size + FOOT], colors.ground); // saved as it is
    painter.image(this.picture, LEFT, 0, size, size);
    painter.path([LEFT, 0, right, 0, right, size, LEFT, size, LEFT, 0], { stroke: colors.rule });
    // Ticks are at frames, whose times may be uneven.
    for (let k = 0, ticks = Math.min(held.frames, TICKS); k < ticks; k++) {
      const t = Math.round((k * (held.frames - 1)) / Math.max(1, ticks - 1)), place = ((t + 0.5) / held.frames) * size;
      const text = String(Number(times[Math.min(t, times.length - 1)].toFixed(1)));
      write(LEFT + place, size + 14, text, "middle"); write(LEFT - 5, Math.min(size - 2, Math.max(10, place + 4)), text, "end");
    }
    write(LEFT + size / 2, size + 29, "time in the video (s), both axes", "middle");
    painter.image(this.scale, right + 14, 0, 12, size);
    for (const [y, text] of [[10, "1"], [size / 2 + 4, "0"], [size, "−1"]]) write(right + 30, y, text);
    write(right + 14, size + 14, "cosine");
    const cross = ((this.view.state.frame + 0.5) / held.frames) * size;
    painter.lines([LEFT + cross, 0, LEFT + cross, size, LEFT, cross, right, cross], colors.ink, { width: 1.5 });
  }

  // ------------------------------------------------------------------------------------------------ similar moments

  async similar() {
    const { view, list } = this, { video, range, frame } = view.state, [first, last] = range ?? [frame, frame];
    const row = (found) => {
      const name = make("span", { class: "name", title: found.video }, found.video);
      const number = (text) => make("td", { class: "number" }, text);
      const head = make("th", { scope: "row" }, makeButton(name, () => view.travel.goTo(found.video, found.frame)));
      return make("tr", {}, head, number(seconds(found.seconds)), number(digits(found.similarity, 3)));
    };
    const show = (...nodes) => { list.replaceChildren(...nodes); view.invalidate("frame"); };
    this.seeking = true; list.hidden = false;
    show(make("p", {}, "Looking for similar moments …"));
    try {
      const frames = Array.from({ length: last - first + 1 }, (_, k) => first + k);
      const { rows, note } = await view.hooks.similar({ video, frames, limit: LISTED });
      const close = makeButton("Close", () => { list.hidden = true; this.find.focus(); });
      const like = first === last ? `frame ${first + 1}` : `frames ${first + 1} to ${last + 1}`;
      const table = makeTable(["video", "time", "similarity"], rows.map(row));
      show(make("p", {}, make("b", {}, `Moments like ${like} of ${video} `), note, " ", close), table);
    } catch (error) {
      show(make("p", {}, String(error.message ?? error)));
    }
    this.seeking = false;
  }
}

/** Bytes, 0 … 255 for −1 … 1, as a picture of so many pixels across. */
const imageOf = (bytes, width, colors) => asCanvas(Uint32Array.from(bytes, (byte) => shades(colors)[0][byte]), width);
