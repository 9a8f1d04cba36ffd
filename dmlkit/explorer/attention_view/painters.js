// Two back ends of one interface, a canvas and an SVG file: rects([x, y, w, h, …]), path([x, y, …]), lines([x1, y1, x2, y2, …]), text,
// image(canvas, x, y, w, h). Rectangles may have a texture: 0 for none, 1 for diagonals, 2 for level lines.

export let ruler = null;
export function textWidth(text, font) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = font;
  return ruler.measureText(text).width;
}
/** Text cut to a width, with an ellipsis. */
export function fit(text, width, font) {
  if (textWidth(text, font) <= width) return text;
  let end = text.length;
  while (end > 1 && textWidth(text.slice(0, end) + "…", font) > width) end--;
  return text.slice(0, end) + "…";
}

export const px = (x) => Math.round(x * 100) / 100;

/** Rectangles, lines and text; subclasses draw a path (in SVG syntax) and a text. */
export class Painter {
  constructor(family) { this.family = family; }
  font(size, bold) { return `${bold ? 600 : 400} ${size}px ${this.family}`; }
  rects(list, fill, texture = 0) {
    let d = "";
    for (let i = 0; i < list.length; i += 4)
      d += `M${px(list[i])} ${px(list[i + 1])}h${px(list[i + 2])}v${px(list[i + 3])}h${px(-list[i + 2])}z`;
    if (d) this.draw(d, { fill: this.textured(fill, texture) });
  }
  path(points, style) {
    let d = "";
    for (let i = 0; i < points.length; i += 2) d += `${i ? "L" : "M"}${px(points[i])} ${px(points[i + 1])}`;
    if (d) this.draw(d, style);
  }
  lines(list, stroke, { width = 1, dash = [] } = {}) {
    let d = "";
    for (let i = 0; i < list.length; i += 4) d += `M${px(list[i])} ${px(list[i + 1])}L${px(list[i + 2])} ${px(list[i + 3])}`;
    if (d) this.draw(d, { stroke, width, dash });
  }
}

/** The stripes of a texture, in a tile of 6 × 6 pixels. */
const TEXTURES = ["", "M-1 4L4 -1M2 7L7 2", "M0 1.5H6M0 4.5H6"];
const patterns = new Map();

export class CanvasPainter extends Painter {
  constructor(context, family) { super(family); this.context = context; }
  /** A pattern is made once and fills as fast as a colour. */
  textured(fill, texture) {
    if (!texture) return fill;
    const key = `${fill} ${texture}`;
    if (!patterns.has(key)) {
      const tile = Object.assign(document.createElement("canvas"), { width: 12, height: 12 }), context = tile.getContext("2d");
      context.scale(2, 2);
      context.globalAlpha = 0.45; context.fillStyle = context.strokeStyle = fill; context.fillRect(0, 0, 6, 6);
      context.globalAlpha = 1; context.lineWidth = 1.5; context.stroke(new Path2D(TEXTURES[texture]));
      const pattern = context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix([0.5, 0, 0, 0.5, 0, 0]));
      patterns.set(key, pattern);
    }
    return patterns.get(key);
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
  const ratio = Math.min(3, devicePixelRatio || 1), w = Math.round(width * ratio), h = Math.round(height * ratio), context = canvas.getContext("2d");
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.setTransform(ratio, 0, 0, ratio, 0, 0); context.clearRect(0, 0, width, until);
  return new CanvasPainter(context, family);
}

export class SvgPainter extends Painter {
  parts = [];
  add(tag, attributes, text = "") {
    const escaped = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[^\t\n\r -\uffff]/g, "");
    const written = Object.entries(attributes).map(([k, v]) => ` ${k}="${escaped(v)}"`).join("");
    this.parts.push(`<${tag}${written}>${escaped(text)}</${tag}>`);
  }
  textured(fill, texture) {
    if (!texture) return fill;
    const id = `t${texture}${fill.replace(/\W/g, "")}`;
    if (!this.parts.some((part) => part.startsWith(`<pattern id="${id}"`))) {
      const stripes = `<path d="M0 0H6V6H0z" fill="${fill}" fill-opacity="0.45"/><path d="${TEXTURES[texture]}" stroke="${fill}" stroke-width="1.5"/>`;
      this.parts.push(`<pattern id="${id}" width="6" height="6" patternUnits="userSpaceOnUse">${stripes}</pattern>`);
    }
    return `url(#${id})`;
  }
  image(canvas, x, y, width, height) {
    const style = "image-rendering: pixelated";
    this.add("image", { href: canvas.toDataURL(), x: px(x), y: px(y), width: px(width), height: px(height), preserveAspectRatio: "none", style });
  }
  draw(d, { fill = "none", stroke = "none", width = 1, dash = [] }) {
    const line = stroke === "none" ? {} : { stroke, "stroke-width": width, "stroke-dasharray": dash.join(" ") || "none" };
    this.add("path", { d, fill, ...line });
  }
  text(x, y, text, fill, { size = 12, anchor = "start", bold = false } = {}) {
    this.add("text", { x: px(x), y: px(y), fill, "font-size": size, "text-anchor": anchor, "font-weight": bold ? 600 : 400 }, text);
  }
  document(width, height, title) {
    const body = this.parts.splice(0).join("");
    this.add("title", {}, title);
    // Read from the browser: an address in the script would look as if the page fetched something.
    const space = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
    const family = this.family.replace(/["&<>]/g, "'"), size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
    return `<svg xmlns="${space}" ${size} font-family="${family}">${this.parts.pop()}${body}</svg>`;
  }
}
