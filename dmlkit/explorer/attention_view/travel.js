// The state on its way: undo and redo, from video to video, as a link to a saved page or as Python code.

import { make, makeButton, setText } from "./elements.js";

const SMOOTH = ["frame", "window", "range", "temperature", "top"], PAUSE = 1000, STEPS = 200;
let pages = 0;

export const plain = (value) => (value instanceof Set ? [...value].sort((a, b) => a - b) : value);
const asJson = (value) => JSON.stringify(value, (_, each) => plain(each));
export const alike = (a, b) => a === b || asJson(a) === asJson(b);

const PYTHON = { true: "True", false: "False", null: "None", ",": ", ", ":": ": " };
/** JSON as a Python literal: other words and some space, but not within a text. */
const asPython = (json) => json.replace(/"(?:[^"\\]|\\.)*"|true|false|null|[,:]/g, (part) => PYTHON[part] ?? part);

export class Travel {
  constructor(view) {
    Object.assign(this, { view, past: [], future: [], last: {}, waiting: null });
    const button = (text, title, act) => makeButton(text, act, { title, "aria-label": title.split(" (")[0] });
    this.undo = button("↶", "Undo (Ctrl+Z)", () => this.step(this.past, this.future));
    this.redo = button("↷", "Redo (Shift+Ctrl+Z)", () => this.step(this.future, this.past));
    this.videos = [button("‹", "Previous video (B)", () => this.toVideo(-1)), button("›", "Next video (N)", () => this.toVideo(1))];
    this.copy = makeButton("", () => this.copyText()); this.copied = make("output");
    this.field = make("input", { type: "text", class: "copy", readonly: true, hidden: true });
    view.video.node.after(...this.videos);
    view.acts.prepend(this.undo, this.redo); view.acts.append(this.copy, this.copied, this.field);
    view.root.addEventListener("keydown", (event) => this.onKey(event));
    this.page = `dmlkit-view-${view.link === "none" ? ++pages : ""}=`;
    if (view.link === "none") addEventListener("hashchange", () => this.read());
  }

  // ------------------------------------------------------------------------------------------------- undo and redo

  /** After a change: remember the state before it. What one gesture or one series of keys moves is one step. */
  record(before, names) {
    const { view, last } = this, { drag, playing } = view.timeline, key = names.join(), now = performance.now();
    if (this.busy || !before.video || names.every((name) => alike(before[name], view.state[name]))) return;
    const goesOn = playing || (key === last.key && now - last.now < PAUSE);
    const same = (drag && drag === last.drag) || (goesOn && names.every((name) => SMOOTH.includes(name)));
    if (!same || !this.past.length) this.remember(before);
    this.last = { key, drag, now };
  }
  remember(before) {
    this.past = [...this.past, before].slice(-STEPS); this.future = [];
    this.last = {};
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
    const { view } = this, another = video !== undefined && video !== view.state.video;
    this.waiting = another && view.hooks.open ? { video, goal } : null;
    if (this.waiting) { view.hooks.open(video); return; }
    this.busy = true; // no step of its own
    if (another) view.change({ video });
    const patch = Object.fromEntries(Object.entries(goal).filter(([name, value]) => !alike(value, view.state[name])));
    if (Object.keys(patch).length) view.change(patch);
    this.busy = false;
    if ("explanation" in patch || "by_modality" in patch) view.compute();
  }
  /** After a new scene: go on to the state that waited for its video. */
  arrived(before) {
    const { waiting, view } = this;
    if (waiting?.video === view.state.video) this.restore(waiting.goal);
    else if (before.video && before.video !== view.state.video) this.record(before, ["video"]);
    this.waiting = null;
  }

  /** Another video, and a frame of it, as one step. */
  goTo(video, frame) {
    const before = { ...this.view.state };
    this.restore({ video, frame });
    this.remember(before);
  }
  toVideo(by) {
    const { select } = this.view.video;
    if (this.videos[by < 0 ? 0 : 1].disabled) return;
    select.selectedIndex += by; select.dispatchEvent(new Event("change"));
  }
  onKey(event) {
    const key = event.key.toLowerCase(), again = key === "y" || (key === "z" && event.shiftKey);
    if (!(event.ctrlKey || event.metaKey) || event.altKey || !(again || key === "z") || event.target.matches("input[type=text]")) return;
    (again ? this.redo : this.undo).click();
    event.preventDefault();
  }

  // ------------------------------------------------------------------------------------------------ links and code

  async copyText() {
    const { scene, link, state } = this.view, json = asJson(state), { field } = this;
    field.value = link !== "none" ? `${scene.code}, state=${asPython(json)})`
      : `${location.href.split("#")[0]}#${this.page}${encodeURIComponent(json)}`;
    // A page from a file, or without the right to it, has no clipboard.
    const copied = await navigator.clipboard?.writeText(field.value).then(() => true, () => false);
    setText(this.copied, copied ? "Copied." : "Copy it from here:");
    field.hidden = copied;
    if (!copied) { field.focus(); field.select(); }
  }
  /** Show what the address of a saved page holds for this view; what the page does not have stays as it is. */
  read() {
    const { view } = this, fragment = location.hash.slice(1), before = { ...view.state };
    if (view.link !== "none" || !fragment.startsWith(this.page)) return;
    let state = null;
    try { state = JSON.parse(decodeURIComponent(fragment.slice(this.page.length))); } catch { /* no state */ }
    const known = view.scene.videos.some(({ id }) => id === state?.video);
    if (known) this.restore({ video: state.video });
    const fitting = known ? this.fitting(state) : {};
    const lost = known ? Object.keys(state).filter((name) => !Object.hasOwn(fitting, name)) : ["all"];
    view.setStatus(lost.length ? `The link does not fit this page, so this is left as it was: ${lost.join(", ")}.` : "");
    this.restore(fitting);
    if (this.opened && !alike(before, view.state)) this.remember(before);
    view.root.scrollIntoView();
  }
  /** What of a state this page can show of the video that is drawn. */
  fitting(state) {
    const { view } = this, { runs, timeline } = view, frame = (t) => Number.isInteger(t) && t >= 0 && t < timeline.count;
    const list = (test) => (value) => Array.isArray(value) && value.every(test), flag = (value) => typeof value === "boolean";
    const pair = (value) => alike(value, timeline.within(value));
    const tests = {
      frame, masked: list(frame), range: pair, window: pair, uniform: flag, by_modality: flag, common_scale: flag,
      classes: list((label) => runs.some(({ base }) => base.classes.includes(label))),
      shown: list((name) => runs.some((run) => run.name === name)),
      temperature: (value) => Number.isFinite(value) && value > 0, top: (value) => value === null || (Number.isInteger(value) && value > 0),
      tab: (value) => value === "frames" || (value === "similarity" && view.similarity.held),
    };
    const fits = ([name, value]) => (Object.hasOwn(tests, name) ? tests[name](value)
      : Object.hasOwn(view.state, name) && alike(value, view.state[name])); // the others take a kernel
    return Object.fromEntries(Object.entries(state).filter(fits));
  }

  show() {
    const { view } = this, { select, node } = view.video, local = view.link === "none";
    this.undo.disabled = !this.past.length || this.blocked(this.past.at(-1));
    this.redo.disabled = !this.future.length || this.blocked(this.future.at(-1));
    const neighbour = (k) => select.options[select.selectedIndex + (k ? 1 : -1)], off = select.disabled || node.hidden;
    this.videos.forEach((button, k) => Object.assign(button, { hidden: node.hidden, disabled: off || !neighbour(k) }));
    this.copy.hidden = !local && !view.scene.code; setText(this.copy, local ? "Copy link" : "Copy code");
    this.field.setAttribute("aria-label", local ? "Link to this state" : "Code of this state");
  }
}
