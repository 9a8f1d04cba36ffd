// What the kernel sends, as arrays; the weights and scores that follow from the controls; numbers as text.

export const unpack = (packed) =>
  packed == null ? null : new Float32Array(Uint8Array.from(atob(packed.f32), (c) => c.charCodeAt(0)).buffer);
export const unpackAll = (packed) => Object.fromEntries(Object.entries(packed ?? {}).map(([k, v]) => [k, unpack(v)]));

/**
 * What `Evidence.to_json` wrote, as arrays, row by row. The weights of a frame are `columns`: each group's, for all
 * classes alike or (`own`) for each class. `mean` is their mean; `shares` are the terms of each modality and `terms` those
 * of all together, (frames × classes), NaN where not known.
 */
export function decode(packed) {
  const base = { run: String(packed.run), video: String(packed.video), problem: packed.problem ?? null };
  if (base.problem) return { ...base, count: 0, classes: [], names: [], truth: {}, energy: {}, change: {} };
  const times = unpack(packed.times), count = times.length, shape = packed.weights?.shape ?? [count, 1, 1];
  const columns = unpack(packed.weights) ?? new Float32Array(count), given = unpack(packed.logits);
  const modalities = packed.contributions ? [...new Set(packed.parts.map(([, modality]) => modality ?? ""))] : packed.term_modalities;
  const found = {
    ...base, columns, width: shape[1] * shape[2], own: shape[2] > 1, count, times, kind: packed.kind, title: packed.title,
    groups: packed.groups, weighs: packed.weights != null, maskable: packed.maskable,
    columnLogits: given ? Float64Array.from(given) : Float64Array.from(columns, Math.log),
    classes: packed.classes, names: packed.names.map(String), scores: unpack(packed.scores), true: packed.true,
    contributions: unpack(packed.contributions), parts: packed.parts, biases: unpack(packed.biases), link: packed.link,
    modalities: modalities?.length ? modalities : [""], termClasses: packed.terms ? packed.term_classes : packed.classes,
    termsTitle: packed.contributions && packed.link === "identity" ? "contribution to the score" : packed.terms_title,
    exact: Boolean(packed.contributions) || packed.exact, gap: unpack(packed.gap), rollout: unpack(packed.rollout),
    assignment: unpack(packed.assignment), clusters: packed.assignment?.shape[1] ?? 0,
    reweightable: packed.reweightable && packed.weights != null,
    truth: packed.ground_truth ?? {}, energy: unpackAll(packed.energy), change: unpackAll(packed.change), missing: null,
  };
  found.shares = spread(packed, count);
  found.terms = together(found.shares);
  found.explained = Boolean(found.contributions || found.terms);
  if (!found.count) found.problem = "This video has no frames, so there is nothing to weigh.";
  found.weights = mean(columns, found.width);
  found.order = orders(found.columnLogits, found.width);
  return found;
}

/** Terms of each modality, for the classes included. */
function spread(packed, count) {
  const terms = unpack(packed.terms), chosen = packed.term_classes ?? [], c = packed.classes.length;
  if (!terms) return null;
  return packed.term_modalities.map((_, m) => {
    const found = new Float64Array(count * c).fill(NaN);
    chosen.forEach((label, j) => {
      const k = packed.classes.indexOf(label);
      for (let t = 0; t < count; t++) found[t * c + k] = terms[(t * packed.term_modalities.length + m) * chosen.length + j];
    });
    return found;
  });
}
/** The sum of all modalities' terms. */
function together(shares) {
  if (!shares || shares.length === 1) return shares?.[0] ?? null;
  return shares[0].map((_, at) => shares.reduce((sum, share) => sum + share[at], 0));
}

const mean = (columns, width) => Float64Array.from({ length: columns.length / width }, (_, t) => {
  let sum = 0;
  for (let j = 0; j < width; j++) sum += columns[t * width + j];
  return sum / width;
});
/** Each column's frames from the highest logit to the lowest. */
const orders = (logits, width) => Array.from({ length: width }, (_, j) =>
  Array.from({ length: logits.length / width }, (_, t) => t).sort((a, b) => logits[b * width + j] - logits[a * width + j] || a - b));

/** Evidence of a video encoded without some frames, expanded to all its frames. */
export function expand(original, part) {
  const n = original.count, c = original.classes.length, there = new Set(part.times);
  const kept = Array.from(original.times.keys()).filter((t) => there.has(original.times[t]));
  const missing = new Set(Array.from(original.times.keys()).filter((t) => !there.has(original.times[t])));
  const laid = (array, width, empty) => {
    if (!array) return null;
    const full = new Float64Array(n * width).fill(empty);
    kept.forEach((t, k) => full.set(array.subarray(k * width, (k + 1) * width), t * width));
    return full;
  };
  return {
    ...original, missing, modalities: part.modalities, parts: part.parts, termsTitle: part.termsTitle, exact: part.exact,
    explained: part.explained, weights: laid(part.weights, 1, 0), columns: laid(part.columns, part.width, 0), scores: part.scores,
    columnLogits: laid(part.columnLogits, part.width, -Infinity), order: part.order.map((each) => each.map((k) => kept[k])),
    biases: part.biases, contributions: laid(part.contributions, c * part.parts.length, 0), terms: laid(part.terms, c, 0),
    shares: part.shares?.map((share) => laid(share, c, 0)) ?? null, gap: part.gap, termClasses: part.termClasses,
    rollout: laid(part.rollout, 1, 0), assignment: laid(part.assignment, part.clusters, 0), reweightable: part.reweightable,
  };
}

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Weights, logits, scores, terms and entropy under a state {temperature, top, uniform, masked: Set of frames}. */
export function weigh(evidence, { temperature = 1, top = null, uniform = false, masked = new Set() } = {}) {
  const { count = 0, width = 1, columnLogits } = evidence, n = count, columns = new Float64Array(n * width);
  const remaining = (evidence.order ?? []).map((frames) => frames.filter((t) => !masked.has(t)));
  const keep = remaining.map((frames) => (top == null ? frames : frames.slice(0, top)));
  const kept = keep[0]?.length ?? 0, neutral = temperature === 1 && !uniform && kept === (evidence.order?.[0]?.length ?? 0);
  let known = kept > 0 && (neutral || evidence.reweightable);
  keep.forEach((frames, j) => {
    let total = 0;
    const highest = frames.length ? columnLogits[frames[0] * width + j] : 0;
    for (const t of frames) {
      const at = t * width + j;
      columns[at] = neutral ? evidence.columns[at] : uniform ? 1 : Math.exp((columnLogits[at] - highest) / temperature);
      total += columns[at];
    }
    known &&= neutral || (total > 0 && Number.isFinite(total));
    if (known && !neutral) for (const t of frames) columns[t * width + j] /= total;
  });
  const weights = mean(columns, width);
  let entropy = 0;
  for (const weight of weights) if (weight > 0) entropy -= weight * Math.log(weight);
  const result = { weights, columns, kept, known, neutral, entropy, logits: null, scores: null };
  Object.assign(result, { terms: evidence.terms ?? null, shares: evidence.shares ?? null });
  if (known && neutral) result.scores = Float64Array.from(evidence.scores);
  const c = evidence.classes.length;
  if (evidence.contributions) result.shares = evidence.modalities.map(() => new Float64Array(n * c));
  if (known && evidence.contributions && evidence.biases) {
    const { parts, contributions } = evidence, own = evidence.own ? c : 1;
    result.logits = Float64Array.from(evidence.biases);
    parts.forEach(([group, modality], p) => {
      const share = result.shares[evidence.modalities.indexOf(modality ?? "")];
      for (let t = 0; t < n; t++) for (let k = 0; k < c; k++) {
        const weight = columns[t * width + group * own + (evidence.own ? k : 0)];
        share[t * c + k] += weight * contributions[(t * parts.length + p) * c + k];
      }
    });
    result.terms = together(result.shares);
    for (let at = 0; at < n * c; at++) result.logits[at % c] += result.terms[at];
    if (!neutral) result.scores = evidence.link === "identity" ? result.logits : result.logits.map(sigmoid);
  }
  if (known && neutral && evidence.exact && evidence.terms && evidence.biases)
    result.logits = evidence.biases.map((bias, k) => evidence.terms.reduce((sum, x, at) => (at % c === k ? sum + x : sum), bias));
  if (evidence.contributions) result.terms ??= together(result.shares);
  return result;
}

/** For each frame of `times`, the nearest of `lead`: runs may have read other frames of the same video. */
export function nearest(times, lead) {
  let at = 0;
  return Array.from(times, (time) => {
    while (at + 1 < lead.length && Math.abs(lead[at + 1] - time) <= Math.abs(lead[at] - time)) at++;
    return at;
  });
}

export const digits = (x, n = 3) => (Number.isFinite(x) ? x.toFixed(n) : "–");
export const signed = (x, n = 2) => (Number.isFinite(x) ? (x < 0 ? "−" : "+") + Math.abs(x).toFixed(n) : "–");
export const small = (x) => (x !== 0 && Math.abs(x) < 0.0005 ? x.toExponential(1) : x.toFixed(4));
export const seconds = (x) => `${Number(x.toFixed(2))} s`;
export const cut = (text) => (text.length > 60 ? text.slice(0, 59) + "…" : text);
export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
