// The classes: their scores, before and after what is changed; which are drawn; how what frames add to them is computed.

import { cut, digits, plural } from "./numbers.js";
import { px } from "./painters.js";
import { fillSelect, make, makeButton, makeCheckbox, makeSelect, setText, tweak } from "./elements.js";

const DRAWN = 3, FOUND = 8; // by a choice; listed of a search
const EXPLANATIONS = { own: "the model's own terms", gradient_input: "gradient × input", integrated_gradients: "integrated gradients", occlusion: "occlusion" };
const CHOICES = { true: "True", top: "Highest", changed: "Most changed by the mask" };

export class Classes {
  constructor(view) {
    this.view = view; this.rows = [];
    const filter = () => this.filter(), options = (texts) => Object.entries(texts);
    const onkeydown = (event) => event.key === "Enter" && this.found.querySelector("button")?.click();
    this.search = make("input", { type: "text", "aria-label": "Search the classes", placeholder: "search the classes", oninput: filter, onkeydown });
    this.group = makeSelect("Group of classes", filter);
    this.found = make("div", { class: "acts" }); this.hint = make("p", { class: "part" });
    this.choices = Object.fromEntries(options(CHOICES).map(([choice, text]) => [choice, makeButton(text, () => this.choose(choice))]));
    this.table = make("table", { class: "scores" });
    const tools = make("div", { class: "acts" }, this.search, this.group, ...Object.values(this.choices));
    this.node = make("div", {}, tools, this.found, this.hint, make("div", { class: "scroll" }, this.table));
    this.explanation = makeSelect("Effect of the frames", (explanation) => view.explain({ explanation }));
    fillSelect(this.explanation, options(EXPLANATIONS));
    this.split = makeCheckbox((by_modality) => view.explain({ by_modality }));
    this.common = makeCheckbox((common_scale) => view.change({ common_scale }));
    this.heat = makeSelect("Run of the map of all classes", (run) => { view.heat = run; view.invalidate("weights"); });
    this.controls = [tweak("Effect", this.explanation), tweak(this.split, "By modality"), tweak(this.common, "Common scale"), tweak("Map of", this.heat)];
  }

  /** A row a class, a column a run; a tick draws the class. */
  build() {
    const { view } = this, scores = new Map(), { groups } = view.scene.vocabulary;
    for (const { base } of view.shown) base.classes.forEach((label, k) => scores.set(label, Math.max(scores.get(label) ?? 0, base.scores[k])));
    this.rows = [...scores].sort((a, b) => b[1] - a[1]).map(([label]) => this.row(label));
    this.heads = view.shown.map(() => make("th", { scope: "col", class: "number" }));
    const known = view.runs.some((run) => run.base.true != null);
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, known ? "class (✓ true label)" : "class (truth unknown)"), ...this.heads));
    for (const node of [this.table, view.body]) node.classList.toggle("many", view.shown.length > 1);
    this.table.replaceChildren(head, make("tbody", {}, ...this.rows.map((row) => row.node)));
    const before = this.group.value, named = Object.keys(groups ?? {}).filter((name) => this.all || groups[name].some((label) => scores.has(label)));
    const able = view.shown.filter((run) => run.now.explained);
    fillSelect(this.group, [["", "all groups"], ...named.map((name) => [name, cut(name)])], named.includes(before) ? before : "");
    fillSelect(this.heat, able.map(({ letter, name }) => [name, `${letter} · ${cut(name)}`]), (able.find(({ name }) => name === view.heat) ?? able[0])?.name);
    this.group.hidden = !named.length; this.heat.parentElement.hidden = able.length < 2;
    this.filter();
  }
  get all() { return this.view.link === "live" ? this.view.scene.vocabulary.names : null; }
  row(label) {
    const { view } = this, name = view.nameOf(label), truth = view.runs.some((run) => run.base.true?.includes(label));
    const box = make("input", { type: "checkbox", onchange: () => view.toggleClass(label) });
    const cells = view.shown.map(() => {
      const text = make("span"), bar = make("i", { class: "share" });
      return { text, bar, node: make("td", { class: "number" }, text, bar) };
    });
    const tick = truth ? make("abbr", { class: "true", title: "true label" }, " ✓") : null;
    const head = make("th", { scope: "row" }, make("label", {}, box, make("span", { class: "name", title: name }, name), tick));
    return { label, name, box, cells, node: make("tr", { class: truth ? "true" : "other" }, head, ...cells.map((cell) => cell.node)) };
  }

  /** Show the rows that are searched for, and other classes of the vocabulary that a kernel could add. */
  filter() {
    const text = this.search.value.trim().toLowerCase(), { groups, total } = this.view.scene.vocabulary, inside = groups?.[this.group.value];
    const fits = (label, name) => name.toLowerCase().includes(text) && (!inside || inside.includes(label));
    for (const row of this.rows) row.node.hidden = !fits(row.label, row.name);
    const included = new Set(this.rows.map((row) => row.label)), shown = this.rows.filter((row) => !row.node.hidden);
    const others = this.all && (text || inside) ? Object.entries(this.all).filter(([label, name]) => !included.has(Number(label)) && fits(Number(label), name)) : [];
    const button = (label, name, title) => make("button", { type: "button", title, onclick: () => this.view.toggleClass(label) }, `+ ${name.slice(0, 40)}`);
    this.found.replaceChildren(...(text ? shown.filter((row) => !row.box.checked).slice(0, FOUND).map((row) => button(row.label, row.name, row.name)) : []),
      ...others.slice(0, FOUND).map(([label, name]) => button(Number(label), name, name)));
    const more = others.length > FOUND ? `${plural(others.length, "other class").replace("classs", "classes")} found; type more of the name. ` : "";
    const part = total > this.rows.length ? `${this.rows.length} of ${total.toLocaleString("en")} classes are in this ${this.all ? "view; search finds all" : "page"}.` : "";
    setText(this.hint, more + part + (text && !shown.length && !others.length ? " No class found." : ""));
  }

  /** Draw the true classes, those with the highest scores or with the largest changes; a kernel knows more of them. */
  choose(choice) {
    const { view } = this;
    if (view.link === "live" && view.hooks.classes) { view.hooks.classes(choice); return; }
    const by = (of) => (label) => Math.max(...view.shown.map((run) => of(run, run.base.classes.indexOf(label))).filter(Number.isFinite), -Infinity);
    const after = (run, k) => (run.result?.scores ?? [])[k], value = by(choice === "top" ? after : (run, k) => Math.abs(after(run, k) - run.base.scores[k]));
    const labels = this.rows.map((row) => row.label), truth = (label) => view.runs.some((run) => run.base.true?.includes(label));
    view.change({ classes: choice === "true" ? labels.filter(truth) : labels.sort((a, b) => value(b) - value(a)).slice(0, DRAWN) });
  }

  /** Scores as they are now; returns the largest change. */
  show(stale) {
    const { view } = this, { shown, state } = view, many = shown.length > 1;
    let most = null;
    shown.forEach((run, r) => {
      setText(this.heads[r], (many ? `score ${run.letter}` : "score") + (stale ? " (stale)" : ""));
      for (const { label, cells } of this.rows) {
        const k = run.now.classes.indexOf(label), known = !run.base.problem && k >= 0;
        const before = known ? run.base.scores[k] : NaN, after = known && run.result?.scores ? run.result.scores[k] : NaN;
        const moved = !(Math.abs(after - before) < 0.0005) && known, [from, to] = [before, after].map((x) => digits(x, many ? 2 : 3));
        setText(cells[r].text, moved && from !== to ? `${from} → ${Number.isNaN(after) ? "?" : to}` : from);
        cells[r].bar.style.transform = `scaleX(${px(Number.isNaN(after) ? before || 0 : after)})`;
        const by = after - before;
        if (moved && Number.isFinite(after) && (!most || Math.abs(by) > Math.abs(most.by))) most = { by, before, after, label, run };
      }
    });
    for (const row of this.rows) row.box.checked = state.classes.includes(row.label);
    this.table.classList.toggle("stale", stale); this.table.setAttribute("aria-busy", String(view.requested !== null));
    this.choices.true.disabled = !view.runs.some((run) => run.base.true?.length); this.choices.changed.disabled = !most;
    this.choices.changed.title = most ? "" : "No score is changed.";
    const live = view.link === "live", splits = shown.some((run) => run.now.modalities?.length > 1);
    this.explanation.value = state.explanation; this.explanation.disabled = !live; this.explanation.title = live ? "" : "Other terms take a model and a kernel.";
    this.split.checked = state.by_modality; this.split.disabled = !live && !splits;
    this.split.parentElement.title = this.split.disabled ? "The terms here are not split by modality." : "";
    this.common.checked = state.common_scale; this.common.disabled = !state.classes.length;
    return most;
  }
}
