// The attention explorer: which frames of a video a model attends to, and what the scores become without them.
//
// Modules without dependencies, which Python joins into one and uses in three ways:
//     export default { render({ model, el }) }    anywidget, in JupyterLab: a kernel may answer
//     export function show(el, scene, hooks)      a saved page: the scene holds everything
//     export function weigh(evidence, state)      the arithmetic, for tests against Python's
//
// A scene is written by `dmlkit.explorer.evidence.scene`. Text from data only ever goes through textContent,
// setAttribute or fillText.

import { decode, plural, weigh } from "./numbers.js";
import { View } from "./view.js";

/** Draw a scene into an element. `hooks` are what a kernel does: changed(patch), evidence({ video, removed, muted, masked }) →
 *  evidence a run, similar({ video, frames, limit }) → { rows, note }, open(video), menu(order, label), classes(choice),
 *  similarity(of), and the `state` to begin with. */
export const show = (el, scene, hooks = {}) => new View(el, scene, hooks);

const PATIENCE = 15000, PAUSE_OF_CHANGES = 60; // milliseconds
// In the order in which Python checks them: the later against the earlier. The video is opened by a message.
const STATE = ["explanation", "by_modality", "shown", "classes", "removed", "muted", "masked", "temperature", "top", "uniform", "frame",
  "range", "window", "common_scale", "tab"];
const LOST = "Disconnected: the kernel is gone. Masking, temperature and the rest still work; "
  + "removing frames and other videos need a kernel.";
const GONE = ["dead", "restarting", "autorestarting", "terminating", "disconnected"];

function render({ model, el, hooks: { patience = PATIENCE } = {} }) {
  // All views of one model receive its messages: each takes only the answers to its own requests.
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`, pending = new Map();
  let number = 0, mine = false, unsent = {}, saving = null, silence = null;
  const late = `The kernel has not answered for ${plural(patience / 1000, "second")}: it is busy or gone. `
    + "What the browser computes still works.";
  const modelState = () => Object.fromEntries(STATE.map((name) => [name, model.get(name)]));
  const settle = (kind, how, value) => {
    pending.get(kind)?.[how](value);
    pending.delete(kind);
  };
  const giveUp = (link, text) => {
    clearTimeout(silence);
    view.setLink(link, text);
    for (const kind of [...pending.keys()]) settle(kind, "reject", new Error(text));
  };
  // The patience with a kernel that owes an answer begins again with each word of it.
  const wait = () => { clearTimeout(silence); silence = setTimeout(giveUp, patience, "silent", late); };
  const heard = () => {
    clearTimeout(silence);
    if (view.link === "silent") view.setLink("live");
    if (pending.size) wait();
  };
  // The kernel hears of changes now and then: each message makes a notebook redraw its status, which costs a drag its flow.
  const changed = (patch) => { Object.assign(unsent, patch); saving ??= setTimeout(save, PAUSE_OF_CHANGES); };
  const save = () => {
    clearTimeout(saving);
    saving = null; mine = true;
    for (const name of STATE) if (name in unsent) model.set(name, unsent[name]);
    mine = false; unsent = {};
    if (view.link !== "disconnected") model.save_changes();
  };
  // What the kernel obeys follows the changes before it. `answered`: an answer comes, a new scene or a problem.
  const tell = (kind, message, answered = false) => {
    if (saving) save();
    model.send({ kind, ...message });
    if (answered) wait();
  };
  // Of each kind one request is under way: a newer one takes its place.
  const ask = (kind, request) => new Promise((resolve, reject) => {
    settle(kind, "reject", new Error(""));
    pending.set(kind, { number: ++number, video: request.video, resolve, reject });
    tell(kind, { ...request, view: id, number }, true);
  });
  const view = show(el, model.get("scene"), {
    changed, state: modelState(),
    evidence: (request) => ask("evidence", request).then((answer) => answer.runs), similar: (request) => ask("similar", request),
    open: (video) => tell("open", { video }, video !== view.state.video), menu: (order, label) => tell("menu", { order, label }),
    classes: (choice) => tell("classes", { choice }), similarity: (of) => tell("similarity", { of }, true),
  });
  const on = {
    // What Python sets is newer than changes of the browser, except where it only computed more of the video that is shown.
    "change:scene": () => {
      const scene = model.get("scene");
      if (scene.videos[0]?.id !== view.state.video) unsent = {};
      view.setScene(scene, { ...modelState(), ...unsent });
    },
    "change:problem": () => view.showProblem(model.get("problem")), "change:menu": () => view.setMenu(model.get("menu")),
    "msg:custom": (message) => {
      const asked = [...pending].find(([, each]) => message.number === each.number && message.video === each.video);
      if (!asked || message.view !== id) return;
      if (message.kind === asked[0]) settle(message.kind, "resolve", message);
      else settle(asked[0], "reject", new Error(message.text));
    },
  };
  for (const name of STATE) on[`change:${name}`] = () => {
    delete unsent[name];
    view.apply({ [name]: model.get(name) });
    if (name === "frame") view.timeline.follow();
  };
  on["change:problem"](); on["change:menu"]();
  const lost = () => giveUp("disconnected", LOST), listeners = [["comm_live_update", lost], ["comm:close", lost]];
  for (const [event, act] of Object.entries(on)) listeners.push([event, (...what) => { if (!mine) { act(...what); heard(); } }]);
  for (const [event, listener] of listeners) model.on(event, listener);
  // A kernel that dies of itself closes no comm: JupyterLab's manager, where there is one, reports its status.
  const kernel = model.widget_manager?.kernel, signals = [kernel?.statusChanged, kernel?.connectionStatusChanged];
  const onStatus = (_, status) => { if (GONE.includes(status)) lost(); };
  for (const signal of signals) signal?.connect(onStatus);
  return () => {
    clearTimeout(silence); clearTimeout(saving);
    for (const signal of signals) signal?.disconnect(onStatus);
    for (const [event, listener] of listeners) model.off(event, listener);
    view.destroy();
  };
}

export { decode, weigh };
export default { render };
