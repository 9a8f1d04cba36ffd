// The controls above the figure: which video and runs, what is changed of the weights; and the map of classes as a control.

import { cut, plural } from "./numbers.js";
import { fillSelect, make, makeButton, makeCheckbox, makeSelect, setText, tweak } from "./elements.js";
import { download } from "./exports.js";

const EXPLANATIONS = [["own", "the model's own terms"], ["gradient_input", "gradient × input"],
  ["integrated_gradients", "integrated gradients"], ["occlusion", "occlusion"]];
const NO_SOFTMAX = "No run shown has weights that are a softmax over the frames.";
const unchanged = { temperature: 1, top: null, uniform: false, masked: new Set(), removed: new Set(), muted: {} };

/** Give a view its menus, `order`, `ofClass` and `video` with `id`, its boxes of runs, and what changes the weights. */
export function addControls(view) {
  const { hooks } = view, open = (id) => (hooks.open ? hooks.open(id) : view.change({ video: id }));
  const menu = (label, pick) => {
    const select = makeSelect(label, pick);
    return { select, node: make("label", { class: "pick", hidden: true }, make("span", {}, label), select) };
  };
  const slider = (label, attributes, patch) => {
    const oninput = (event) => view.change(patch(Number(event.target.value)));
    const input = make("input", { type: "range", "aria-label": label, ...attributes, oninput }), output = make("output");
    return { input, output, node: tweak(label, input, output) };
  };
  view.order = menu("Order", (order) => hooks.menu(order, null));
  view.ofClass = menu("Class", (label) => hooks.menu("class", Number(label)));
  view.video = menu("Video", open);
  view.id = make("input", { type: "text", "aria-label": "Id of a video", placeholder: "id", hidden: true,
    onchange: ({ target }) => target.value.trim() && open(target.value.trim()) });
  view.hint = make("p", { class: "hint" }); view.runsBox = make("fieldset", { class: "runs" });
  view.temperature = slider("Temperature", { min: -1, max: 1, step: 0.02 }, (x) => ({ temperature: Number((10 ** x).toPrecision(4)) }));
  view.top = slider("Keep the top frames", { min: 1, step: 1 }, (x) => ({ top: x >= view.lead.base.count ? null : x }));
  view.top.output.className = "count";
  view.uniform = makeCheckbox((uniform) => view.change({ uniform }));
  view.explanation = makeSelect("Effect of the frames", (explanation) => view.explain({ explanation }));
  fillSelect(view.explanation, EXPLANATIONS);
  view.split = makeCheckbox((by_modality) => view.explain({ by_modality }));
  view.common = makeCheckbox((common_scale) => view.change({ common_scale }));
  view.mapRun = makeSelect("Run of the map of all classes", (run) => { view.heat = run; view.invalidate("weights"); });
  view.reset = makeButton("Reset", () => view.change(unchanged));
  view.toggle = makeButton("Data table", () => view.showData(view.data.hidden), { "aria-expanded": "false" });
  const save = (kind) => makeButton(kind, () => download(view, kind.toLowerCase()), { "aria-label": `Save ${kind}` });
  view.acts = make("div", { class: "acts" }, view.toggle, make("span", {}, "Save"), ...["PNG", "SVG", "CSV"].map(save));
  const weights = [view.temperature.node, view.top.node, tweak(view.uniform, "Uniform weights"), view.reset];
  const ticks = [tweak(view.split, "By modality"), tweak(view.common, "Common scale")];
  const terms = [tweak("Effect", view.explanation), ...ticks, tweak("Map of", view.mapRun)];
  // Open from the beginning where there is room, without a line for the summary.
  view.more = make("details", { class: "more" }, make("summary", {}, "Effect of the frames"), make("div", { class: "tweaks" }, ...terms));
  return [make("header", {}, view.title, view.runsBox),
    make("div", { class: "videos" }, view.order.node, view.ofClass.node, view.video.node, view.hint, view.id),
    make("div", { class: "settings" }, make("div", { class: "tweaks" }, ...weights), view.more)];
}

/** The videos that a kernel offers, {order, label, orders, classes, videos, total, all}; without one the scene's. */
export function showMenu(view) {
  const { menu, scene, state, order, ofClass, video } = view, offered = menu?.videos ?? [], known = new Set(offered.map(([id]) => id));
  const videos = [...offered, ...scene.videos.filter(({ id }) => !known.has(id)).map(({ id, label }) => [id, label])];
  fillSelect(video.select, videos, state.video);
  video.node.hidden = (menu?.all ?? videos.length) < 2;
  if (!menu) return;
  fillSelect(order.select, menu.orders, menu.order); fillSelect(ofClass.select, menu.classes, menu.label);
  order.node.hidden = menu.orders.length < 2 || menu.all < 2; ofClass.node.hidden = menu.order !== "class";
  view.id.hidden = menu.order !== "order" || offered.length === menu.all;
  const part = `first ${offered.length} of ${plural(menu.total, "video")}, or`;
  setText(view.hint, menu.total > offered.length ? part : "");
}

export function addRuns(view) {
  const onchange = () => view.change({ shown: view.boxes.filter((box) => box.checked).map((box) => box.value) });
  view.boxes = view.runs.map(({ name }) => make("input", { type: "checkbox", value: name, onchange }));
  const texts = view.runs.map(({ letter, name }) => make("span", {}, make("b", {}, letter), ` ${name}`));
  view.runsBox.replaceChildren(make("legend", {}, "Runs "), ...texts.map((text, k) => make("label", {}, view.boxes[k], text)));
  view.runsBox.hidden = view.runs.length < 2;
}

/** The controls as the state has them; `most` runs may be shown at once. */
export function showControls(view, most) {
  const { state } = view, n = view.lead?.base.count ?? 0, off = !view.shown.some((run) => run.base.reweightable);
  const set = ({ input, output }, value, text) => {
    input.value = value; input.setAttribute("aria-valuetext", text);
    setText(output, text);
  };
  view.top.input.max = Math.max(1, n);
  set(view.temperature, Math.log10(state.temperature), state.temperature.toFixed(2));
  set(view.top, state.top ?? n, state.top == null ? `all ${n}` : `${state.top} of ${n}`);
  view.uniform.checked = state.uniform; view.video.select.value = state.video;
  for (const input of [view.temperature.input, view.top.input, view.uniform]) {
    input.disabled = off || (state.uniform && input === view.temperature.input);
    input.parentElement.title = off ? NO_SOFTMAX : "";
  }
  const able = view.shown.filter((run) => run.now.explained), mapped = able.find(({ name }) => name === view.heat) ?? able[0];
  const live = view.link === "live", split = live || view.shown.some((run) => run.now.modalities?.length > 1);
  const alone = live ? "" : "Other terms take a model and a kernel.";
  Object.assign(view.explanation, { value: state.explanation, disabled: !live, title: alone });
  Object.assign(view.split, { checked: state.by_modality, disabled: !split });
  view.split.parentElement.title = split ? "" : "The terms here are not split by modality.";
  Object.assign(view.common, { checked: state.common_scale, disabled: !state.classes.length });
  fillSelect(view.mapRun, able.map(({ letter, name }) => [name, `${letter} · ${cut(name)}`]), mapped?.name);
  view.mapRun.parentElement.hidden = able.length < 2;
  for (const menu of [view.order.select, view.ofClass.select, view.video.select, view.id]) menu.disabled = view.link === "disconnected";
  for (const box of view.boxes) {
    box.checked = state.shown.includes(box.value); box.disabled = !box.checked && state.shown.length >= most;
  }
}

/** A click on a row of the map of classes draws or hides the class; over it the number follows the pointer. */
export function listenToMap(view) {
  const { slider } = view, on = (kind, act) => slider.addEventListener(kind, act);
  const inGutter = ({ clientX }) => clientX - slider.getBoundingClientRect().left < (view.lay?.left ?? 0);
  const labelAt = ({ clientY }) => {
    const y = clientY - slider.getBoundingClientRect().top, row = view.lay?.rows.find(({ kind }) => kind === "heat");
    return row?.labels[Math.floor((y - row.top) / row.cell)] ?? null;
  };
  const hover = (label) => {
    if (label !== view.hovered) view.invalidate("frame");
    view.hovered = label;
  };
  let from = null;
  on("pointerdown", (event) => {
    from = event;
    if (inGutter(event)) event.stopImmediatePropagation(); // names are no frames
  });
  on("click", (event) => {
    const label = labelAt(event), still = from && Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) < 5;
    if (label !== null && still && !event.shiftKey && (inGutter(event) || view.timeline.tool === "move")) view.toggleClass(label);
  });
  on("pointermove", (event) => hover(labelAt(event)));
  on("pointerleave", () => hover(null));
}
