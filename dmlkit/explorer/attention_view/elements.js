// Elements of the page, made and changed.

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
export const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
export const same = (a, b) => a.size === b.size && [...a].every((x) => b.has(x));
