// What the kernel sends, as arrays; the weights and scores that follow from the controls; numbers as text.

/** Packed arrays, however deep in lists of names, as arrays; all else as it is. */
function unpack(packed) {
  if (packed?.f32 !== undefined) return new Float32Array(Uint8Array.from(atob(packed.f32), (c) => c.charCodeAt(0)).buffer);
  const named = packed !== null && typeof packed === "object" && !Array.isArray(packed);
  return named ? Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)])) : packed;
}

/**
 * What `Evidence.to_json` wrote, as arrays, row by row. The weights of a frame are `columns`: each group's, for all
 * classes alike or (`own`) for each class. `weights` is their mean; `shares` are the terms of each modality and `terms` those
 * of all together, (frames × classes), NaN where not known.
 */
export function decode(packed) {
  const base = { run: String(packed.run), video: String(packed.video), problem: packed.problem ?? null };
  if (base.problem) return { ...base, count: 0, classes: [], names: [], truth: {}, energy: {}, change: {} };
  const taken = unpack(packed), { times, contributions } = taken, count = times.length, shape = packed.weights?.shape ?? [count, 1, 1];
  const columns = taken.weights ?? new Float32Array(count), width = shape[1] * shape[2];
  const modalities = contributions ? [...new Set(packed.parts.map(([, modality]) => modality ?? ""))] : packed.term_modalities;
  const found = {
    ...taken, ...base, count, columns, width, own: shape[2] > 1, weighs: packed.weights != null, names: packed.names.map(String),
    columnLogits: taken.logits ? Float64Array.from(taken.logits) : Float64Array.from(columns, (weight) => Math.log(weight)),
    modalities: modalities?.length ? modalities : [""],
    termClasses: packed.terms ? packed.term_classes : packed.classes, exact: Boolean(contributions) || packed.exact,
    termsTitle: contributions && packed.link === "identity" ? "contribution to the score" : packed.terms_title,
    clusters: packed.assignment?.shape[1] ?? 0, reweightable: packed.reweightable && packed.weights != null,
    truth: packed.ground_truth ?? {}, missing: null, shares: spread(taken, count), weights: mean(columns, width),
  };
  found.terms = together(found.shares);
  found.explained = Boolean(contributions || found.terms);
  if (!count) found.problem = "This video has no frames, so there is nothing to weigh.";
  found.order = orders(found.columnLogits, width);
  return found;
}

/** Terms of each modality, for the classes included. */
function spread({ terms, term_modalities: modalities, term_classes: chosen, classes }, count) {
  return terms && modalities.map((_, m) => {
    const found = new Float64Array(count * classes.length).fill(NaN);
    chosen.forEach((label, j) => {
      const k = classes.indexOf(label);
      for (let t = 0; t < count; t++) found[t * classes.length + k] = terms[(t * modalities.length + m) * chosen.length + j];
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
export function expand({ times, count, energy, change, truth }, part) {
  const there = new Set(part.times), frames = Array.from(times.keys()), kept = frames.filter((t) => there.has(times[t]));
  const laid = (array, empty = 0) => {
    if (!array) return null;
    const width = array.length / part.count, full = new Float64Array(count * width).fill(empty);
    kept.forEach((t, k) => full.set(array.subarray(k * width, (k + 1) * width), t * width));
    return full;
  };
  const found = { ...part, times, count, energy, change, truth, missing: new Set(frames.filter((t) => !there.has(times[t]))) };
  for (const name of ["weights", "columns", "contributions", "terms", "rollout", "assignment"]) found[name] = laid(part[name]);
  return Object.assign(found, {
    columnLogits: laid(part.columnLogits, -Infinity), shares: part.shares?.map((share) => laid(share)) ?? null,
    order: part.order.map((ranked) => ranked.map((k) => kept[k])),
  });
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

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
  if (kept && !known) columns.fill(NaN);
  const weights = mean(columns, width), c = evidence.classes.length;
  let entropy = 0;
  for (const weight of weights) if (weight > 0) entropy -= weight * Math.log(weight);
  const result = { weights, columns, kept, known, neutral, entropy, logits: null, scores: null };
  Object.assign(result, { terms: evidence.terms ?? null, shares: evidence.shares ?? null });
  if (known && neutral) result.scores = Float64Array.from(evidence.scores);
  if (evidence.contributions) {
    const { parts, contributions, own } = evidence, classes = own ? c : 1;
    result.shares = evidence.modalities.map(() => new Float64Array(n * c).fill(known ? 0 : NaN));
    if (known) parts.forEach(([group, modality], p) => {
      const share = result.shares[evidence.modalities.indexOf(modality ?? "")];
      for (let t = 0; t < n; t++) for (let k = 0; k < c; k++) {
        const weight = columns[t * width + group * classes + (own ? k : 0)];
        share[t * c + k] += weight * contributions[(t * parts.length + p) * c + k];
      }
    });
    result.terms = together(result.shares);
  }
  if (known && evidence.biases && (evidence.contributions || (neutral && evidence.exact && result.terms))) {
    result.logits = Float64Array.from(evidence.biases);
    result.terms.forEach((term, at) => { result.logits[at % c] += term; });
    if (!neutral) result.scores = evidence.link === "identity" ? result.logits : result.logits.map(sigmoid);
  }
  return result;
}

/** The frames that have a width, as [first, behind the last], where (frames + 1) edges are `at`. */
export function visible(at) {
  let first = 0, behind = at.length - 1;
  while (first < behind && at[first + 1] <= at[0]) first++;
  while (behind > first && at[behind - 1] >= at[at.length - 1]) behind--;
  return [first, behind];
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
export const small = (x) => (x !== 0 && Math.abs(x) < 0.0005 ? x.toExponential(1) : digits(x, 4));
/** A number of a scale, to two digits. */
export const short = (x) => String(Number(x.toPrecision(2))).replace("-", "−");
export const seconds = (x) => `${Number(x.toFixed(2))} s`;
export const cut = (text) => (text.length > 60 ? text.slice(0, 59) + "…" : text);
export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
