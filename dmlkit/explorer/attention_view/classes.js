// The classes: their scores, before and after what is changed; which are drawn; how what frames add to them is computed.

import { cut, digits } from "./numbers.js";
import { px } from "./painters.js";
import { fillSelect, make, makeButton, makeCheckbox, makeSelect, setText, tweak } from "./elements.js";

const DRAWN = 3, FOUND = 8; // by a choice; listed of a search
const CHOICES = { true: "True", top: "Highest", changed: "Most changed by the mask" };

export class Classes {
  constructor(view) {
    this.view = view; this.rows = [];
    const filter = () => this.filter(), onkeydown = (event) => event.key === "Enter" && this.found.querySelector("button")?.click();
    const search = { type: "text", "aria-label": "Search the classes", placeholder: "search the classes", oninput: filter, onkeydown };
    this.search = make("input", search); this.group = makeSelect("Group of classes", filter);
    this.found = make("div", { class: "acts" }); this.hint = make("p", { class: "part" }); this.table = make("table", { class: "scores" });
    this.choices = {};
    for (const [choice, text] of Object.entries(CHOICES)) this.choices[choice] = makeButton(text, () => this.choose(choice));
    const tools = make("div", { class: "acts" }, this.search, this.group, ...Object.values(this.choices));
    this.node = make("div", {}, tools, this.found, this.hint, make("div", { class: "scroll" }, this.table));
  }

  /** A row a class, a column a run; a tick draws the class. */
  build() {
    const { view } = this, { shown } = view, { groups = {} } = view.scene.vocabulary, best = new Map();
    for (const { base } of shown) base.classes.forEach((label, k) => best.set(label, Math.max(best.get(label) ?? 0, base.scores[k])));
    this.rows = [...best].sort((a, b) => b[1] - a[1]).map(([label]) => this.row(label));
    this.heads = shown.map(() => make("th", { scope: "col", class: "number" }));
    const title = view.runs.some((run) => run.base.true != null) ? "class (✓ true label)" : "class (truth unknown)";
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, title), ...this.heads));
    this.table.replaceChildren(head, make("tbody", {}, ...this.rows.map((row) => row.node)));
    for (const node of [this.table, view.body]) node.classList.toggle("many", shown.length > 1);
    const named = Object.keys(groups).filter((name) => this.all || groups[name].some((label) => best.has(label)));
    fillSelect(this.group, [["", "all groups"], ...named.map((name) => [name, cut(name)])]);
    this.group.selectedIndex = Math.max(0, this.group.selectedIndex); this.group.hidden = !named.length;
    this.filter();
  }
  /** The names of all classes, of which a kernel can add some. */
  get all() { return this.view.link === "live" ? this.view.scene.vocabulary.names : null; }
  row(label) {
    const { view } = this, name = view.nameOf(label), truth = view.runs.some((run) => run.base.true?.includes(label));
    const box = makeCheckbox(() => view.toggleClass(label)), tick = truth && make("abbr", { class: "true", title: "true label" }, " ✓");
    const cells = view.shown.map(() => {
      const text = make("span"), bar = make("i", { class: "share" });
      return { text, bar, node: make("td", { class: "number" }, text, bar) };
    });
    const head = make("th", { scope: "row" }, make("label", {}, box, make("span", { class: "name", title: name }, name), tick || null));
    return { label, name, box, cells, node: make("tr", { class: truth ? "true" : "other" }, head, ...cells.map((cell) => cell.node)) };
  }

  /** Show the rows that are searched for, and other classes of the vocabulary that a kernel could add. */
  filter() {
    const { rows, view, all } = this, { groups, total } = view.scene.vocabulary, text = this.search.value.trim().toLowerCase();
    const inside = groups?.[this.group.value], included = new Set(rows.map((row) => row.label));
    const fits = ({ label, name }) => name.toLowerCase().includes(text) && (!inside || inside.includes(label));
    for (const row of rows) row.node.hidden = !fits(row);
    const known = all && (text || inside) ? Object.entries(all).map(([label, name]) => ({ label: Number(label), name })) : [];
    const others = known.filter((each) => !included.has(each.label) && fits(each)), shown = rows.filter((row) => !row.node.hidden);
    const listed = [...(text ? shown.filter((row) => !row.box.checked).slice(0, FOUND) : []), ...others.slice(0, FOUND)];
    this.found.replaceChildren(...listed.map(({ label, name }) =>
      makeButton(`+ ${name.slice(0, 40)}`, () => view.toggleClass(label), { title: name })));
    const where = all ? "view; search finds all" : "page";
    setText(this.hint, [
      others.length > FOUND && `${others.length.toLocaleString("en")} other classes found; type more of the name.`,
      total > rows.length && `${rows.length} of ${total.toLocaleString("en")} classes are in this ${where}.`,
      text && !shown.length && !others.length && "No class found.",
    ].filter(Boolean).join(" "));
  }

  /** Draw the true classes, those with the highest scores or with the largest changes; a kernel knows more of them. */
  choose(choice) {
    const { view } = this, labels = this.rows.map((row) => row.label);
    if (view.link === "live" && view.hooks.classes) return view.hooks.classes(choice);
    const value = (label) => Math.max(...view.shown.map((run) => {
      const { after, by } = changeOf(run, label), found = choice === "top" ? after : Math.abs(by);
      return Number.isFinite(found) ? found : -Infinity;
    }));
    const truth = labels.filter((label) => view.runs.some((run) => run.base.true?.includes(label)));
    view.change({ classes: choice === "true" ? truth : labels.sort((a, b) => value(b) - value(a)).slice(0, DRAWN) });
  }

  /** Scores as they are now; returns the largest change. */
  show(stale) {
    const { view } = this, { shown, state } = view, many = shown.length > 1;
    let most = null;
    shown.forEach((run, r) => {
      setText(this.heads[r], (many ? `score ${run.letter}` : "score") + (stale ? " (stale)" : ""));
      for (const { label, cells } of this.rows) {
        const change = changeOf(run, label), { before, after, by } = change;
        const [from, to] = [before, after].map((score) => digits(score, many ? 2 : 3));
        const moved = run.now.classes.includes(label) && !(Math.abs(by) < 0.0005);
        setText(cells[r].text, moved && from !== to ? `${from} → ${Number.isNaN(after) ? "?" : to}` : from);
        cells[r].bar.style.transform = `scaleX(${px(Number.isNaN(after) ? before || 0 : after)})`;
        if (moved && Number.isFinite(by) && !(most && Math.abs(by) <= Math.abs(most.by))) most = { ...change, label, run };
      }
    });
    for (const row of this.rows) row.box.checked = state.classes.includes(row.label);
    this.table.classList.toggle("stale", stale); this.table.setAttribute("aria-busy", String(view.requested !== null));
    this.choices.true.disabled = !view.runs.some((run) => run.base.true?.length);
    this.choices.changed.disabled = !most; this.choices.changed.title = most ? "" : "No score is changed.";
    return most;
  }
}

/** A run's score of a class before and after what is changed; NaN where it is not known. */
function changeOf({ base, now, result }, label) {
  const k = base.problem ? -1 : now.classes.indexOf(label), before = base.scores?.[k] ?? NaN, after = result?.scores?.[k] ?? NaN;
  return { before, after, by: after - before };
}
