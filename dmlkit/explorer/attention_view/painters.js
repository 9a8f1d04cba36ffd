// Two back ends of one interface, a canvas and an SVG file: rects([x, y, w, h, …]), path([x, y, …]), lines([x1, y1, x2, y2, …]),
// text, image(canvas, x, y, w, h). Rectangles may have a texture: 0 for none, 1 for diagonals, 2 for level lines; 3 and 4 are
// diagonals and upright lines with nothing behind them.

let ruler = null, ruled = null;
export function textWidth(text, font) {
  ruler ??= document.createElement("canvas").getContext("2d");
  if (font !== ruled) ruler.font = ruled = font; // slow to set
  return ruler.measureText(text).width;
}
/** Text cut to a width, with an ellipsis. */
export function fit(text, width, font) {
  let end = text.length, shown = text;
  while (end > 1 && textWidth(shown, font) > width) shown = `${text.slice(0, --end)}…`;
  return shown;
}

export const px = (x) => Math.round(x * 100) / 100;

/** The lines of a texture, in a tile of 6 × 6 pixels, their width and the opacity of what is behind them. */
const DIAGONAL = "M-1 4L4 -1M2 7L7 2";
const TEXTURES = [null, [DIAGONAL, 1.5, 0.45], ["M0 1.5H6M0 4.5H6", 1.5, 0.45], [DIAGONAL, 1, 0], ["M1.5 0V6M4.5 0V6", 1, 0]];

/** Subclasses draw a path (in the syntax of SVG) and a text, and make a pattern. */
class Painter {
  constructor(family, patterns) { Object.assign(this, { family, patterns }); }
  font(size, bold) { return `${bold ? 600 : 400} ${size}px ${this.family}`; }
  /** A pattern is made once and fills as fast as a colour. */
  textured(fill, texture) {
    if (!texture) return fill;
    const key = `texture${texture}${fill.replace(/\W/g, "-")}`;
    if (!this.patterns.has(key)) this.patterns.set(key, this.pattern(key, fill, ...TEXTURES[texture]));
    return this.patterns.get(key);
  }
  rects(list, fill, texture = 0) {
    let d = "";
    for (let i = 0; i < list.length; i += 4)
      d += `M${px(list[i])} ${px(list[i + 1])}h${px(list[i + 2])}v${px(list[i + 3])}h${px(-list[i + 2])}z`;
    if (d) this.draw(d, { fill: this.textured(fill, texture) });
  }
  path(points, style, each = points.length) {
    let d = "";
    for (let i = 0; i < points.length; i += 2) d += `${i % each ? "L" : "M"}${px(points[i])} ${px(points[i + 1])}`;
    if (d) this.draw(d, style);
  }
  lines(list, stroke, style = {}) { this.path(list, { stroke, ...style }, 4); }
}

const canvasPatterns = new Map();

export class CanvasPainter extends Painter {
  constructor(context, family) { super(family, canvasPatterns); this.context = context; }
  pattern(key, fill, lines, width, behind) {
    const tile = Object.assign(document.createElement("canvas"), { width: 12, height: 12 }), context = tile.getContext("2d");
    context.scale(2, 2);
    context.globalAlpha = behind; context.fillStyle = context.strokeStyle = fill; context.fillRect(0, 0, 6, 6);
    context.globalAlpha = 1; context.lineWidth = width; context.stroke(new Path2D(lines));
    const pattern = context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix([0.5, 0, 0, 0.5, 0, 0]));
    return pattern;
  }
  image(canvas, x, y, w, h) {
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(canvas, x, y, w, h);
  }
  // Hundreds of bars at each move: one path of them would be slower to fill than each by itself.
  rects(list, fill, texture = 0) {
    this.context.fillStyle = this.textured(fill, texture);
    for (let i = 0; i < list.length; i += 4) this.context.fillRect(list[i], list[i + 1], list[i + 2], list[i + 3]);
  }
  draw(d, { fill, stroke, width = 1, dash = [] }) {
    const c = this.context, path = new Path2D(d);
    if (fill) { c.fillStyle = fill; c.fill(path); }
    if (stroke) { c.strokeStyle = stroke; c.lineWidth = width; c.setLineDash(dash); c.stroke(path); }
  }
  text(x, y, text, fill, { size = 12, anchor = "start", bold = false } = {}) {
    const c = this.context;
    c.font = this.font(size, bold); c.textAlign = anchor === "middle" ? "center" : anchor;
    c.fillStyle = fill; c.fillText(text, x, y);
  }
}

/** A painter of a cleared canvas of a size in CSS pixels; `until` leaves what is below it. */
export function painterOf(canvas, width, height, family, until = height) {
  const ratio = Math.min(3, devicePixelRatio || 1), w = Math.round(width * ratio), h = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.setTransform(ratio, 0, 0, ratio, 0, 0); context.clearRect(0, 0, width, until);
  return new CanvasPainter(context, family);
}

export class SvgPainter extends Painter {
  // Read from the browser: an address in the script would look as if the page fetched something.
  root = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg");
  constructor(family) { super(family, new Map()); }
  add(tag, attributes, text = "", parent = this.root) {
    const node = document.createElementNS(this.root.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text.replace(/[^\t\n\r -\uffff]/g, ""); // what XML cannot hold
    return parent.appendChild(node);
  }
  pattern(id, fill, d, width, behind) {
    const pattern = this.add("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" });
    this.add("path", { d: "M0 0H6V6H0z", fill, "fill-opacity": behind }, "", pattern);
    this.add("path", { d, stroke: fill, "stroke-width": width }, "", pattern);
    return `url(#${id})`;
  }
  image(canvas, x, y, width, height) {
    const place = { x: px(x), y: px(y), width: px(width), height: px(height), preserveAspectRatio: "none" };
    this.add("image", { href: canvas.toDataURL(), style: "image-rendering: pixelated", ...place });
  }
  draw(d, { fill = "none", stroke = "none", width = 1, dash = [] }) {
    const line = stroke === "none" ? {} : { stroke, "stroke-width": width, "stroke-dasharray": dash.join(" ") || "none" };
    this.add("path", { d, fill, ...line });
  }
  text(x, y, text, fill, { size = 12, anchor = "start", bold = false } = {}) {
    const font = { "font-size": size, "text-anchor": anchor, "font-weight": bold ? 600 : 400 };
    this.add("text", { x: px(x), y: px(y), fill, ...font }, text);
  }
  document(width, height, title) {
    const whole = { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": this.family.replace(/["&<>]/g, "'") };
    for (const [name, value] of Object.entries(whole)) this.root.setAttribute(name, value);
    this.root.prepend(this.add("title", {}, title));
    return new XMLSerializer().serializeToString(this.root);
  }
}
