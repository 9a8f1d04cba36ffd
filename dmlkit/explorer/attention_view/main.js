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

/** Draw a scene into an element. `hooks`: changed(patch), evidence({ video, removed, muted, masked }) → evidence a run, open(video), menu(order, label), state. */
export function show(el, scene, hooks = {}) {
  return new View(el, scene, hooks);
}

const PATIENCE = 15000;
const NULLABLE = ["top", "range", "window"];
const STATE = ["frame", "masked", "removed", "temperature", "top", "uniform", "classes", "shown", "muted", "range", "window"];

function render({ model, el, hooks = {} }) {
  // All views of one model receive its messages: each takes only the answers to its own requests.
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  let number = 0, pending = null, mine = false, unsent = {}, timer = null;
  const modelState = () => Object.fromEntries(STATE.map((name) => [name, model.get(name) ?? (NULLABLE.includes(name) ? null : undefined)]));
  const settle = (how, value) => {
    clearTimeout(pending?.silent);
    pending?.[how](value);
    pending = null;
  };
  const evidence = (request) => new Promise((resolve, reject) => {
    settle("reject", new Error(""));
    const patience = hooks.patience ?? PATIENCE;
    const silent = setTimeout(() => { view.setLink("silent", `The kernel has not answered for ${plural(patience / 1000, "second")}: it is busy or gone. What the browser computes still works.`); reject(new Error(view.status.textContent)); }, patience);
    pending = { number: ++number, video: request.video, resolve, reject, silent };
    model.send({ ...request, kind: "evidence", view: id, number });
  });
  // The kernel hears of changes now and then: each message makes a notebook redraw its status, which costs a drag its flow.
  const changed = (patch) => {
    unsent = { ...unsent, ...patch };
    timer ??= setTimeout(() => {
      timer = null; mine = true;
      for (const name of STATE) if (name in unsent) model.set(name, unsent[name]);
      mine = false; unsent = {};
      if (view.link !== "disconnected") model.save_changes();
    }, 60);
  };
  const open = (video) => model.send({ kind: "open", video }), menu = (order, label) => model.send({ kind: "menu", order, label });
  const view = show(el, model.get("scene"), { evidence, changed, open, menu, state: modelState() });
  const lost = () => {
    view.setLink("disconnected", "Disconnected: the kernel is gone. Masking, temperature and the rest still work; removing frames and other videos need a kernel.");
    settle("reject", new Error(view.status.textContent));
  };
  // What Python sets is newer than changes in the browser that the kernel has not received yet.
  const onScene = () => { unsent = {}; view.setScene(model.get("scene"), modelState()); };
  const onState = (name) => { if (mine) return; delete unsent[name]; view.apply({ [name]: model.get(name) }); };
  const onMessage = (message) => {
    if (view.link === "silent") view.setLink("live");
    if (!pending || message.view !== id || message.number !== pending.number || message.video !== pending.video) return;
    if (message.kind === "evidence") settle("resolve", message.runs); else settle("reject", new Error(message.text));
  };
  const onProblem = () => view.showProblem(model.get("problem")), onMenu = () => view.setMenu(model.get("menu"));
  onProblem(); onMenu();
  const listeners = [["change:scene", onScene], ["change:problem", onProblem], ["change:menu", onMenu], ["msg:custom", onMessage], ["comm_live_update", lost], ["comm:close", lost], ...STATE.map((name) => [`change:${name}`, () => onState(name)])];
  for (const [event, listener] of listeners) model.on(event, listener);
  // A kernel that dies of itself closes no comm: JupyterLab's manager, where there is one, reports its status.
  const kernel = model.widget_manager?.kernel, onStatus = (_, status) => { if (["dead", "restarting", "autorestarting", "terminating"].includes(status)) lost(); };
  const onConnection = (_, status) => { if (status === "disconnected") lost(); };
  kernel?.statusChanged?.connect(onStatus); kernel?.connectionStatusChanged?.connect(onConnection);
  return () => {
    clearTimeout(pending?.silent);
    kernel?.statusChanged?.disconnect(onStatus); kernel?.connectionStatusChanged?.disconnect(onConnection);
    for (const [event, listener] of listeners) model.off(event, listener);
    view.destroy();
  };
}

export { decode, weigh };
export default { render };
