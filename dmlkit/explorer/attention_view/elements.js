// Elements of the page, made and changed, and its colours.

/** One element: attributes by name, `on…` as listeners, children as nodes or text. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
export const makeButton = (text, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, text);
/** A control and its text, in the order given. */
export const tweak = (...parts) =>
  make("label", { class: "tweak" }, ...parts.map((part) => (typeof part === "string" ? make("span", {}, part) : part)));
export const makeCheckbox = (onchange) => make("input", { type: "checkbox", onchange: (event) => onchange(event.target.checked) });
export const makeSelect = (label, onchange, attributes = {}) =>
  make("select", { "aria-label": label, onchange: (event) => onchange(event.target.value), ...attributes });
/** Options from [value, text]; what was chosen stays where it still is one. */
export function fillSelect(select, options, value = select.value) {
  select.replaceChildren(...options.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value;
}
export const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

const COLORS = ["ink", "soft", "ground", "rule", "up", "down", "run0", "run1", "run2", "area", "truth", "range", "veil"];
/** Colours and type of a view as the page has them now. */
export function colorsOf(root) {
  const style = getComputedStyle(root), probe = document.createElement("canvas").getContext("2d");
  const seen = (name) => style.getPropertyValue(`--av-${name}`).trim();
  const rgb = (name) => {
    probe.fillStyle = "#fff"; probe.fillStyle = seen(name);
    return [1, 3, 5].map((k) => parseInt(probe.fillStyle.slice(k, k + 2), 16));
  };
  const [r, g, b] = rgb("ground");
  root.classList.toggle("on-dark", 0.299 * r + 0.587 * g + 0.114 * b < 128);
  const mixed = Object.fromEntries(["ground", "up", "down"].map((name) => [name, rgb(name)]));
  return { ...Object.fromEntries(COLORS.map((name) => [name, seen(name)])), rgb: mixed, family: style.fontFamily };
}

/** A table whose rows are given, the first column of names and the others of numbers. */
export function makeTable(heads, rows, attributes = {}) {
  const cells = heads.map((text, k) => make("th", { scope: "col", class: k ? "number" : "" }, text));
  return make("table", attributes, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows));
}
