// The video itself: pictures of its frames above the rows, its file in step with the cursor, a link to its page.

import { nearest, plural, seconds } from "./numbers.js";
import { painterOf } from "./painters.js";
import { make, makeButton, setText } from "./elements.js";

const SMALL = 34, LARGE = 64, LABEL = 15; // heights in pixels
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s) % 60).padStart(2, "0")}`;

export class Media {
  constructor(view) {
    this.view = view;
    const pick = ({ buttons, offsetX }) => buttons & 1 && view.change({ frame: view.timeline.frameAt(offsetX) });
    this.strip = make("canvas", { class: "film", role: "img", onpointerdown: pick, onpointermove: pick });
    this.load = makeButton("", () => this.start());
    this.page = make("a", { target: "_blank", rel: "noopener noreferrer" });
    this.problems = make("div", { class: "lacking" }); this.place = make("div");
    this.node = make("div", { class: "media" }, make("p", {}, this.load, this.page), this.problems, this.place, this.strip);
  }

  /** Show the media of a video, undefined where it has none. What is loaded stays where only the scene around it is new. */
  open(media, video) {
    const key = JSON.stringify([video, media?.player]), src = media?.thumbnails?.src;
    if (key !== this.key) this.stop();
    if (src !== this.src) this.image = null;
    Object.assign(this, { media, key, src });
    this.problems.replaceChildren();
    const shown = () => { this.image = image; this.view.invalidate("frame"); };
    const failed = () => this.tell("The thumbnails cannot be decoded.");
    const image = src?.startsWith("data:image/") && !this.image && make("img", { src, onload: shown, onerror: failed });
    this.tell(...(media?.problems ?? []));
  }
  tell(...lines) { this.problems.append(...lines.map((line) => make("p", {}, line))); this.view.invalidate("frame"); }
  stop() { this.player?.pause(); this.place.replaceChildren(); URL.revokeObjectURL(this.address); this.player = null; }

  /** Load the file, as the reader asked. JupyterLab sends no parts of files, without which none can seek: it is fetched whole. */
  async start() {
    const { key, view, media: { player: { src, kind } } } = this;
    this.load.disabled = true;
    try {
      const response = view.link === "none" ? null : await fetch(src);
      if (response && !response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const address = response ? URL.createObjectURL(await response.blob()) : src;
      if (key === this.key && !view.destroyed) this.play(address, kind);
    } catch (error) {
      this.tell(`The ${kind} file cannot be loaded: ${error.message}.`);
    }
    this.load.disabled = false;
  }
  play(address, kind) {
    const player = make(kind, { controls: true, src: address, "aria-label": `The ${kind} file` }), { timeline } = this.view;
    const on = (name, act) => player.addEventListener(name, () => player === this.player && act());
    Object.assign(this, { player, address, shift: 0 });
    on("loadedmetadata", () => this.fit()); on("seeked", () => this.lead()); on("timeupdate", () => timeline.playing || this.lead());
    on("play", () => timeline.play()); on("pause", () => timeline.pause());
    on("error", () => { this.stop(); this.tell(`The ${kind} file is missing, or this browser cannot play it.`); });
    this.place.replaceChildren(player); player.focus(); this.view.invalidate("frame");
  }
  /** A file holds the whole video, of which the frames begin at `offset`, or only the part that they are of. */
  fit() {
    const last = this.view.lead?.base.times.at(-1) ?? 0, { duration } = this.player;
    this.shift = duration + 1 >= this.media.offset + last ? this.media.offset : 0;
    if (duration + 1 < last) this.tell(`The file lasts ${seconds(duration)}, but the last frame is at ${seconds(last)}.`);
    this.follow();
  }
  get frame() { return nearest([this.player.currentTime - this.shift], this.view.lead.base.times)[0]; }
  /** Frames between the cursor and what plays, which may be a frame ahead of a cursor that it moves. */
  get apart() { return Math.abs(this.frame - this.view.state.frame); }
  /** The second of the frames that plays; null where none does, or not yet where the cursor is. */
  get second() {
    const plays = this.player?.paused === false && this.player.readyState > 1 && this.apart < 2;
    return plays ? this.player.currentTime - this.shift : null;
  }
  obey(playing, rate) {
    if (!this.player) return;
    this.player.playbackRate = rate; this.follow();
    if (playing) this.player.play().catch(() => this.view.timeline.pause()); else this.player.pause();
  }
  /** The cursor to what plays. */
  lead() { if (this.view.lead && this.frame !== this.view.state.frame) this.view.change({ frame: this.frame }); }
  /** What plays to the cursor. */
  follow() {
    const { player, view } = this, { seekable } = player;
    if (!player.readyState || !view.lead || this.apart <= (player.paused ? 0 : 1)) return;
    const to = Math.max(0, view.lead.base.times[view.state.frame] + this.shift);
    if (seekable.length && to <= seekable.end(seekable.length - 1)) player.currentTime = to;
  }

  draw() {
    const { media, image, view: { lead, state } } = this;
    this.node.hidden = !media || !lead; this.strip.hidden = !image;
    if (this.node.hidden) return;
    const second = Math.max(0, lead.base.times[state.frame] + media.offset);
    this.load.hidden = !media.player?.src || Boolean(this.player); setText(this.load, `Load the ${media.player?.kind} file`);
    this.page.hidden = !/^https?:/i.test(media.link);
    if (!this.page.hidden) this.page.href = media.link.replaceAll("{second}", Math.floor(second));
    setText(this.page, `Open at ${clock(second)} on ${this.page.hostname.replace("www.", "")}`);
    if (this.player) this.follow();
    if (image) this.paint(lead, media.thumbnails, state.frame);
  }
  /** As many pictures as have room, at multiples of a step, so that panning does not exchange them; the cursor's is larger. */
  paint(lead, { columns, width, height, count, every, first: start = 0 }, frame) {
    const { strip, view: { lay, colors, state } } = this, base = LABEL + LARGE;
    const painter = painterOf(strip, lay.width, base, colors.family);
    const tileOf = (t) => Math.min(count - 1, Math.round((lead.base.times[t] - start) / every));
    /** The left and right end of a frame's picture, which is not drawn to the left of `from`. */
    const show = (t, high, from = 0) => {
      const wide = (high * width) / height, k = tileOf(t), middle = (lead.at[t] + lead.at[t + 1]) / 2;
      const x = Math.max(lay.left, Math.min(middle - wide / 2, lay.right - wide));
      if (x < from) return [x, from];
      const tile = [(k % columns) * width, Math.floor(k / columns) * height, width, height];
      painter.context.drawImage(this.image, ...tile, x, base - high, wide, high);
      return [x, x + wide];
    };
    const [first, last] = state.window ?? [0, lead.base.count - 1], slot = (lead.at[last + 1] - lead.at[first]) / (last + 1 - first);
    // A little smaller, where every frame's has room then.
    const small = Math.max(0.75 * SMALL, Math.min(SMALL, ((slot - 2) * height) / width));
    const step = Math.max(1, Math.ceil(((small * width) / height + 2) / slot - 1e-9)), high = step > 1 ? SMALL : small;
    for (let t = Math.ceil(first / step) * step, from = 0; t <= last; t += step) from = show(t, high, from)[1];
    const text = clock(tileOf(frame) * every + start);
    strip.setAttribute("aria-label", `${plural(count, "picture")} of the video along its time; the larger one is at ${text}`);
    if (frame < first || frame > last) return;
    const [x, right] = show(frame, LARGE);
    painter.path([x, LABEL, right, LABEL, right, base, x, base, x, LABEL], { stroke: colors.ink, width: 2 });
    painter.text((x + right) / 2, LABEL - 4, text, colors.ink, { size: 11, anchor: "middle" });
  }
}
