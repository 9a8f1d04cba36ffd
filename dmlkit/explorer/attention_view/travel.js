// The state on its way: undo and redo, from video to video, as a link to a saved page or as Python code.

import { make, setText } from "./elements.js";

const SMOOTH = ["frame", "window", "range", "temperature", "top"], PAUSE = 1000, STEPS = 200;
let pages = 0;

export const plain = (value) => (value instanceof Set ? [...value].sort((a, b) => a - b) : value);
export const alike = (a, b) => a === b || JSON.stringify(plain(a)) === JSON.stringify(plain(b));

/** A value that JSON can hold as a Python literal. */
export function pythonLiteral(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${pythonLiteral(each)}`).join(", ")}}`;
}

export class Travel {
  constructor(view) {
    Object.assign(this, { view, past: [], future: [], last: {}, waiting: null });
    const button = (text, title, onclick) => make("button", { type: "button", title, "aria-label": title.split(" (")[0], onclick }, text);
    this.undo = button("↶ Undo", "Undo (Ctrl+Z)", () => this.step(this.past, this.future));
    this.redo = button("↷ Redo", "Redo (Shift+Ctrl+Z)", () => this.step(this.future, this.past));
    this.videos = [button("‹", "Previous video (B)", () => this.toVideo(-1)), button("›", "Next video (N)", () => this.toVideo(1))];
    this.copy = make("button", { type: "button", onclick: () => this.copyText() });
    this.copied = make("output"); this.field = make("input", { type: "text", class: "copy", readonly: true, hidden: true });
    view.reset.after(this.undo, this.redo); view.video.node.after(...this.videos);
    view.toggle.parentElement.append(this.copy, this.copied, this.field);
    view.root.addEventListener("keydown", (event) => this.onKey(event));
    this.page = `dmlkit-view-${view.link === "none" ? ++pages : ""}=`;
    if (view.link === "none") addEventListener("hashchange", () => this.read());
  }

  // ------------------------------------------------------------------------------------------------- undo and redo

  /** After a change: remember the state before it. What one gesture or one series of keys moves is one step. */
  record(before, names) {
    const { view, last } = this, key = names.join(), { drag, playing } = view.timeline, now = performance.now();
    if (this.busy || !before.video || names.every((name) => alike(before[name], view.state[name]))) return;
    const goes = SMOOTH.some((name) => key.includes(name)) && names.every((name) => SMOOTH.includes(name));
    const same = (drag && drag === last.drag) || (goes && (key === last.key || playing) && (playing || now - last.now < PAUSE));
    this.last = { key: playing ? last.key : key, drag, now };
    if (same && this.past.length) return;
    this.past.push(before); this.future = [];
    if (this.past.length > STEPS) this.past.shift();
    this.show();
  }
  step(from, to) {
    const goal = from.at(-1);
    if (!goal || this.blocked(goal)) return;
    from.pop(); to.push({ ...this.view.state });
    this.last = {};
    this.restore(goal);
    this.show();
  }
  blocked(goal) { return goal.video !== this.view.state.video && ["disconnected", "silent"].includes(this.view.link); }
  /** Set a state, or some of it; another video is opened first, by the kernel where there is one. */
  restore({ video, ...goal }) {
    const { view } = this;
    this.waiting = null;
    if (video !== undefined && video !== view.state.video) {
      if (view.hooks.open) { this.waiting = { video, goal }; view.hooks.open(video); return; }
      this.quietly(() => view.change({ video }));
    }
    const patch = Object.fromEntries(Object.entries(goal).filter(([name, value]) => !alike(value, view.state[name])));
    if (Object.keys(patch).length) this.quietly(() => view.change(patch));
    if (view.link === "live" && ("explanation" in patch || "by_modality" in patch)) view.compute?.();
  }
  /** After a new scene: go on to the state that waited for its video. */
  arrived(before) {
    const { waiting, view } = this;
    if (waiting?.video === view.state.video) this.restore(waiting.goal);
    else if (before.video && before.video !== view.state.video) this.record(before, ["video"]);
    this.waiting = null;
  }
  quietly(act) { this.busy = true; try { act(); } finally { this.busy = false; } }

  /** Another video, and a frame of it, as one step. */
  goTo(video, frame) {
    const before = { ...this.view.state };
    this.last = {};
    this.restore({ video, frame });
    this.past.push(before); this.future = [];
    this.show();
  }
  toVideo(by) {
    const { select } = this.view.video, to = select.selectedIndex + by;
    if (!select.options[to] || select.disabled) return;
    select.selectedIndex = to; select.dispatchEvent(new Event("change"));
  }
  onKey(event) {
    const key = event.key.toLowerCase(), again = key === "y" || (key === "z" && event.shiftKey);
    if (!(event.ctrlKey || event.metaKey) || event.altKey || !(again || key === "z") || event.target.matches("input[type=text]")) return;
    if (again) this.redo.click(); else this.undo.click();
    event.preventDefault();
  }

  // ------------------------------------------------------------------------------------------------ links and code

  copyText() {
    const state = Object.fromEntries(Object.entries(this.view.state).map(([name, value]) => [name, plain(value)])),
      { scene, link } = this.view;
    const text = link === "none" ? `${location.href.split("#")[0]}#${this.page}${encodeURIComponent(JSON.stringify(state))}`
      : `${scene.code}, state=${pythonLiteral(state)})`;
    const shown = (copied) => {
      setText(this.copied, copied ? "Copied." : "Copy it from here:");
      this.field.hidden = copied; this.field.value = text;
      if (!copied) { this.field.focus(); this.field.select(); }
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => shown(true), () => shown(false)); else shown(false);
  }
  /** The state that the address of a saved page holds for this view. */
  read() {
    const { view } = this, fragment = location.hash.slice(1);
    if (view.link !== "none" || !fragment.startsWith(this.page)) return;
    let state = null;
    try { state = JSON.parse(decodeURIComponent(fragment.slice(this.page.length))); } catch { /* no state */ }
    const wrong = this.wrongIn(state);
    view.setStatus(wrong ? `The link's state does not fit this page (${wrong}), so it is ignored.` : "");
    if (wrong) return;
    const before = { ...view.state };
    this.restore(state);
    if (this.opened) { this.past.push(before); this.future = []; }
    this.last = {};
    this.show(); view.root.scrollIntoView();
  }
  /** What of a state a saved page cannot show; "" where it can show all of it. */
  wrongIn(state) {
    const { view } = this, runs = view.scene.videos.find((video) => video.id === state?.video)?.runs;
    if (!runs) return "its video";
    const lead = runs.find((run) => !run.problem), count = lead ? atob(lead.times.f32).length / 4 : 1;
    const known = new Set(runs.flatMap((run) => run.classes ?? [])), names = runs.map((run) => run.run);
    const frame = (t) => Number.isInteger(t) && t >= 0 && t < count, each = (test) => (value) => Array.isArray(value) && value.every(test);
    const pair = (value) => value === null || (each(frame)(value) && value.length === 2 && value[0] <= value[1]),
      flag = (value) => typeof value === "boolean";
    const tests = {
      video: () => true, frame, classes: each((label) => known.has(label)), shown: each((name) => names.includes(name)),
      masked: each(frame),
      removed: (value) => alike(value, []), muted: (value) => alike(value, {}), temperature: (value) => Number.isFinite(value) && value > 0,
      top: (value) => value === null || (Number.isInteger(value) && value > 0), uniform: flag, range: pair, window: pair,
      explanation: (value) => value === view.state.explanation, by_modality: flag, common_scale: flag,
      tab: (value) => value === "frames" || (value === "similarity" && view.scene.similarity?.video === state.video),
    };
    return Object.keys(state).find((name) => !(Object.hasOwn(tests, name) && tests[name](state[name]))) ?? "";
  }

  show() {
    const { view } = this, { select } = view.video, off = select.disabled || view.video.node.hidden, local = view.link === "none";
    this.undo.disabled = !this.past.length || this.blocked(this.past.at(-1));
    this.redo.disabled = !this.future.length || this.blocked(this.future.at(-1));
    this.videos.forEach((button, k) => {
      button.hidden = view.video.node.hidden;
      button.disabled = off || !select.options[select.selectedIndex + (k ? 1 : -1)];
    });
    this.copy.hidden = !local && !view.scene.code; setText(this.copy, local ? "Copy link" : "Copy code");
    this.field.setAttribute("aria-label", local ? "Link to this state" : "Code of this state");
  }
}
