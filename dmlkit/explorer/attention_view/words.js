// What the view says in words: what is drawn of a run, the sums of a linear classifier, the chosen frame, a table of the data.

import { digits, plural, seconds, signed, small } from "./numbers.js";
import { make, makeTable, setText } from "./elements.js";
import { records } from "./exports.js";

const TABLE_ROWS = 1000;

function factsOf(view, run) {
  const { result, now, base } = run, n = base.count - (now.missing?.size ?? 0), facts = [];
  if (!result.kept) return ["Every frame is masked or removed, so there are no weights and no scores."];
  if (!base.weighs) facts.push(`${base.title}.`);
  else if (result.known) {
    const most = Math.log(n), percent = Math.round((100 * result.entropy) / most);
    const share = n > 1 ? `, ${percent} % of the uniform weights' ${digits(most, 2)}` : "";
    const kept = result.kept < n || n < base.count ? `; ${result.kept} of ${plural(base.count, "frame")} kept` : "";
    facts.push(`Entropy of the ${base.width > 1 ? "mean " : ""}weights ${digits(result.entropy, 2)} nats${share}${kept}.`);
  }
  if (!now.explained) facts.push("No contributions were given, so only the weights follow the controls.");
  else if (!now.contributions) {
    const gap = now.exact || !now.gap ? "" : " The gap is the sum of the terms minus what they should sum to.";
    facts.push(`Drawn: ${now.termsTitle}; it does not follow the weights in the browser.${gap}`);
  }
  const instead = view.link === "live" ? ": mask, remove or mute frames" : "";
  if (!result.scores) facts.push(`The scores after this change cannot be computed here${instead}.`);
  return facts;
}

/** Facts, and the sums of a linear classifier. Elements are kept: a drag changes only their text. */
export function showWords(view) {
  const runs = view.shown.filter((run) => run.result && !run.now.problem), many = view.shown.length > 1;
  const facts = runs.flatMap((run) => factsOf(view, run).map((fact) => (many ? `${run.letter}: ${fact}` : fact)));
  const summed = view.state.classes.flatMap((label) =>
    runs.filter(({ result, now }) => result.logits && now.termClasses.includes(label)).map((run) => [run, run.now.classes.indexOf(label)]));
  const rows = summed.map(([{ letter, now, result }, k]) => [`${many ? `${letter} · ` : ""}${now.names[k]}`,
    ...[result.logits[k] - now.biases[k], now.biases[k], result.logits[k]].map((x) => signed(x))]);
  if (facts.length !== view.sentences?.length || rows.length !== view.sums?.length) buildWords(view, facts.length, rows.length, runs);
  view.sentences.forEach((node, k) => setText(node, facts[k]));
  view.sums.forEach((cells, r) => {
    cells.forEach((node, k) => setText(node, rows[r][k]));
    cells[0].title = rows[r][0];
  });
}
function buildWords(view, facts, sums, runs) {
  const links = new Set(runs.map(({ base }) => base.link));
  const output = links.size > 1 ? "= output" : links.has("identity") ? "= score" : "= logit";
  view.sentences = Array.from({ length: facts }, () => make("p"));
  const numbers = () => [1, 2, 3].map(() => make("td", { class: "number" }));
  view.sums = Array.from({ length: sums }, () => [make("span", { class: "name" }), ...numbers()]);
  const body = view.sums.map(([name, ...cells]) => make("tr", {}, make("th", { scope: "row" }, name), ...cells));
  const table = makeTable(["class", "Σ terms", "+ bias", output], body, { class: "sums" });
  view.words.replaceChildren(...view.sentences, ...(sums ? [make("div", { class: "scroll" }, table)] : []));
}

/** Of each frame the labels that it made, as a sentence; null where no video of the data set says so. */
export function madeBy(view) {
  const { count, truth } = view.lead?.base ?? { truth: {} };
  const made = Object.entries(truth).map(([label, frames]) => [view.nameOf(Number(label)), new Set(frames)]);
  const names = (t) => made.filter(([, frames]) => frames.has(t)).map(([name]) => name).join(", ");
  return made.length ? Array.from({ length: count }, (_, t) => ` Made by this frame: ${names(t) || "no label"}.`) : null;
}

const longest = (texts) => texts.reduce((a, b) => (b.length > a.length ? b : a), "");
const lineOf = ({ frame, count, at, mark, weight, made }) =>
  `Frame ${frame} of ${count.toLocaleString("en")}, at ${at}${mark}${weight && `: ${weight}`}.${made}`;

/** The line of the chosen frame, and for the slider the same in short. The line has room for that of any frame. */
export function showFrame(view) {
  const { lead, state, here, slider } = view;
  if (!lead) {
    setText(here, view.runs[0]?.base.problem ?? "There is no video to show.");
    slider.setAttribute("aria-valuetext", here.textContent);
    return;
  }
  const { base, result } = lead, f = state.frame, at = seconds(base.times[f]), w = small(view.weightsOf(lead)(f)), { kept } = result;
  const muted = Object.entries(state.muted).filter(([, frames]) => frames.includes(f)).map(([name]) => `, ${name} muted`).join("");
  const mark = (state.removed.has(f) ? ", removed" : state.masked.has(f) ? ", masked" : "") + muted;
  const weight = base.weighs && result.known ? `weight ${w}, ${digits(view.weightsOf(lead)(f) * kept, 1)} × uniform` : "";
  setText(here, lineOf({ frame: f + 1, count: base.count, at, mark, weight, made: view.made?.[f] ?? "" }));
  let best = -1;
  result.scores?.forEach((score, k) => { if (Number.isFinite(score) && !(score <= result.scores[best])) best = k; });
  const unknown = base.classes.length ? ", scores unknown" : "", stale = view.stale ? " (stale)" : "";
  const top = best < 0 ? unknown : `, top class ${base.names[best]} ${digits(result.scores[best], 2)}${stale}`;
  const values = { min: 1, max: base.count, now: f + 1, text: `${at}${base.weighs ? `, weight ${w}` : ""}${mark}${top}` };
  for (const [name, value] of Object.entries(values)) slider.setAttribute(`aria-value${name}`, value);
}
/** Room for the longest line of any frame, so that nothing below moves with the cursor. */
export function reserveFrame(view) {
  const { lead, state, here } = view;
  if (!lead) return;
  const { base: { count, times, weighs }, result } = lead, muted = Object.keys(state.muted).map((name) => `, ${name} muted`).join("");
  const weight = weighs ? `weight 8.8e-88, ${digits(result.kept, 1)} × uniform` : "";
  const at = longest(Array.from(times, seconds)), mark = `, removed${muted}`, made = longest(view.made ?? []);
  here.parentElement.dataset.room = lineOf({ frame: count, count, at, mark, weight, made });
}

/** Every number drawn, a row a frame and run, of which the first are listed; the frame stays in sight beside them. */
export function dataTable(view) {
  const { head, rows } = records(view), many = view.shown.length > 1, letters = new Map(view.runs.map((run) => [run.name, run.letter]));
  const cellsOf = (tag, values) => values.map((value) => (typeof value !== "number"
    ? make(tag, {}, make("span", { class: "name", title: value }, value))
    : make(tag, { class: "number" }, String(Number.isInteger(value) ? value : Number(value.toPrecision(4))))));
  const body = rows.slice(0, TABLE_ROWS).map(([run, frame, ...values]) => {
    const text = many ? `${letters.get(run)} · ${frame}` : String(frame);
    return make("tr", {}, make("th", { scope: "row", title: run }, text), ...cellsOf("td", values));
  });
  const heads = make("tr", {}, ...cellsOf("th", ["frame", ...head.slice(2)]));
  const table = make("table", {}, make("thead", {}, heads), make("tbody", {}, ...body));
  const rest = `The first ${TABLE_ROWS.toLocaleString("en")} of ${plural(rows.length, "row")}; the CSV file has them all.`;
  return rows.length > TABLE_ROWS ? [table, make("p", {}, rest)] : [table];
}
