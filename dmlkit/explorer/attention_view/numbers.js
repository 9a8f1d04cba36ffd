// What the kernel sends, as arrays; the weights and scores that follow from the controls; numbers as text.

export const unpack = (packed) =>
  packed == null ? null : new Float32Array(Uint8Array.from(atob(packed.f32), (c) => c.charCodeAt(0)).buffer);
export const unpackAll = (packed) => Object.fromEntries(Object.entries(packed ?? {}).map(([k, v]) => [k, unpack(v)]));

/** What `Evidence.to_json` wrote, as arrays. Contributions and occlusion are (frames × classes), row by row. */
export function decode(packed) {
  const base = { run: String(packed.run), video: String(packed.video), problem: packed.problem ?? null };
  if (base.problem) return { ...base, count: 0, classes: [], names: [], truth: {}, energy: {}, change: {} };
  const weights = unpack(packed.weights);
  const given = unpack(packed.logits);
  const logits = given ? Float64Array.from(given) : Float64Array.from(weights, Math.log);
  const found = {
    ...base, weights, logits, count: weights.length, times: unpack(packed.times),
    classes: packed.classes, names: packed.names.map(String), scores: unpack(packed.scores), true: packed.true,
    contributions: unpack(packed.contributions), biases: unpack(packed.biases), occlusion: unpack(packed.occlusion),
    truth: packed.ground_truth ?? {}, energy: unpackAll(packed.energy), change: unpackAll(packed.change), missing: null,
  };
  if (!found.count) found.problem = "This video has no frames, so there is nothing to weigh.";
  found.order = Array.from(weights.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  return found;
}

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
    ...original, missing, weights: laid(part.weights, 1, 0), logits: laid(part.logits, 1, -Infinity), scores: part.scores,
    order: part.order.map((k) => kept[k]), biases: part.biases,
    contributions: laid(part.contributions, c, 0), occlusion: laid(part.occlusion, c, 0),
  };
}

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Weights, logits, scores and entropy under a state {temperature, top, uniform, masked: Set of frames}. */
export function weigh(evidence, { temperature = 1, top = null, uniform = false, masked = new Set() } = {}) {
  const n = evidence.count, weights = new Float64Array(n);
  const remaining = (evidence.order ?? []).filter((t) => !masked.has(t));
  const kept = top == null ? remaining : remaining.slice(0, top);
  const neutral = temperature === 1 && !uniform && kept.length === evidence.order.length;
  let total = 0;
  const highest = kept.length ? evidence.logits[kept[0]] : 0;
  for (const t of kept) {
    weights[t] = neutral ? evidence.weights[t] : uniform ? 1 : Math.exp((evidence.logits[t] - highest) / temperature);
    total += weights[t];
  }
  const known = kept.length > 0 && total > 0 && Number.isFinite(total);
  if (known && !neutral) for (const t of kept) weights[t] /= total;
  let entropy = 0;
  for (const t of kept) if (weights[t] > 0) entropy -= weights[t] * Math.log(weights[t]);
  const result = { weights, kept: kept.length, known, neutral, entropy, logits: null, scores: null };
  if (known && neutral) result.scores = Float64Array.from(evidence.scores);
  if (known && evidence.contributions && evidence.biases) {
    const c = evidence.classes.length;
    result.logits = Float64Array.from(evidence.biases);
    for (const t of kept) for (let k = 0; k < c; k++) result.logits[k] += weights[t] * evidence.contributions[t * c + k];
    if (!neutral) result.scores = result.logits.map(sigmoid);
  }
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
