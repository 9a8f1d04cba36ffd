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
export function show(el, scene, hooks = {}) {
  return new View(el, scene, hooks);
}

const PATIENCE = 15000;
const NULLABLE = ["top", "range", "window"];
// In the order in which Python checks them: the later against the earlier. The video is opened by a message.
const STATE = ["explanation", "by_modality", "shown", "classes", "removed", "muted", "masked", "temperature", "top", "uniform", "frame",
  ...["range", "window", "common_scale", "tab"]];
const LOST = "Disconnected: the kernel is gone. Masking, temperature and the rest still work; "
  + "removing frames and other videos need a kernel.";

function render({ model, el, hooks: { patience = PATIENCE } = {} }) {
  // All views of one model receive its messages: each takes only the answers to its own requests.
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`, pending = {};
  let number = 0, mine = false, unsent = {}, timer = null, computing = null;
  const modelState = () => Object.fromEntries(STATE.map((name) => [name, model.get(name) ?? (NULLABLE.includes(name) ? null : undefined)]));
  const settle = (kind, how, value) => {
    const request = pending[kind];
    clearTimeout(request?.silent);
    delete pending[kind];
    request?.[how](value);
  };
  const silent = () => view.setLink("silent", `The kernel has not answered for ${plural(patience / 1000, "second")}: `
    + "it is busy or gone. What the browser computes still works.");
  // Of each kind one request is under way: a newer one takes its place.
  const ask = (kind, request) => new Promise((resolve, reject) => {
    settle(kind, "reject", new Error(""));
    const late = () => { silent(); settle(kind, "reject", new Error(view.status.textContent)); };
    pending[kind] = { number: ++number, video: request.video, resolve, reject, silent: setTimeout(late, patience) };
    model.send({ ...request, kind, view: id, number });
  });
  const flush = () => {
    clearTimeout(timer);
    timer = null; mine = true;
    for (const name of STATE) if (name in unsent) model.set(name, unsent[name]);
    mine = false; unsent = {};
    if (view.link !== "disconnected") model.save_changes();
  };
  // The kernel hears of changes now and then: each message makes a notebook redraw its status, which costs a drag its flow.
  const changed = (patch) => { unsent = { ...unsent, ...patch }; timer ??= setTimeout(flush, 60); };
  // What the kernel obeys follows the changes before it. `answered`: a new scene comes, or a problem.
  const obey = (kind, message, answered = false) => {
    if (timer) flush();
    clearTimeout(computing);
    if (answered) computing = setTimeout(silent, patience);
    model.send({ kind, ...message });
  };
  const view = show(el, model.get("scene"), {
    changed, state: modelState(),
    evidence: (request) => ask("evidence", request).then((answer) => answer.runs), similar: (request) => ask("similar", request),
    open: (video) => obey("open", { video }, video !== view.state.video), menu: (order, label) => obey("menu", { order, label }),
    classes: (choice) => obey("classes", { choice }), similarity: (of) => obey("similarity", { of }, true),
  });
  const lost = () => {
    heard();
    view.setLink("disconnected", LOST);
    for (const kind of Object.keys(pending)) settle(kind, "reject", new Error(view.status.textContent));
  };
  const heard = () => { clearTimeout(computing); if (view.link === "silent") view.setLink("live"); };
  // What Python sets is newer than changes of the browser, except where it only computed more of the video that is shown.
  const onScene = () => {
    const scene = model.get("scene");
    heard();
    if (scene.videos[0]?.id !== view.state.video) unsent = {};
    view.setScene(scene, { ...modelState(), ...unsent });
  };
  const onState = (name) => { if (mine) return; heard(); delete unsent[name]; view.apply({ [name]: model.get(name) }); if (name === "frame") view.timeline.follow(); };
  const onMessage = (message) => {
    heard();
    const [kind] = Object.entries(pending).find(([, asked]) => message.number === asked.number && message.video === asked.video) ?? [];
    if (!kind || message.view !== id) return;
    if (message.kind === kind) settle(kind, "resolve", message); else settle(kind, "reject", new Error(message.text));
  };
  const onProblem = () => { heard(); view.showProblem(model.get("problem")); };
  const onMenu = () => { heard(); view.setMenu(model.get("menu")); };
  onProblem(); onMenu();
  const listeners = [["change:scene", onScene], ["change:problem", onProblem], ["change:menu", onMenu], ["msg:custom", onMessage],
    ["comm_live_update", lost], ["comm:close", lost], ...STATE.map((name) => [`change:${name}`, () => onState(name)])];
  for (const [event, listener] of listeners) model.on(event, listener);
  // A kernel that dies of itself closes no comm: JupyterLab's manager, where there is one, reports its status.
  const kernel = model.widget_manager?.kernel, gone = ["dead", "restarting", "autorestarting", "terminating", "disconnected"];
  const onStatus = (_, status) => { if (gone.includes(status)) lost(); };
  kernel?.statusChanged?.connect(onStatus); kernel?.connectionStatusChanged?.connect(onStatus);
  return () => {
    clearTimeout(computing); clearTimeout(timer);
    for (const request of Object.values(pending)) clearTimeout(request.silent);
    kernel?.statusChanged?.disconnect(onStatus); kernel?.connectionStatusChanged?.disconnect(onStatus);
    for (const [event, listener] of listeners) model.off(event, listener);
    view.destroy();
  };
}

export { decode, weigh };
export default { render };
