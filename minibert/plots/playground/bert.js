// BERT on one page: the JavaScript twin of reference/numpy_bert.py, function for function.
// Letters as there: S sequence length, E hidden width, H heads, D head width, F feed-forward width,
// V vocabulary, L layers. What is more here: `keep` remembers every step, and heads can be switched off.
"use strict";

// A matrix, or a stack of them: `data` in row-major order, and its `shape`.
const array = (shape, data = new Float32Array(shape.reduce((a, b) => a * b, 1))) => ({ shape, data });

// Run the model. `heads_off` holds "layer.head"; `positions`: for which tokens words are predicted.
function bert(weights, config, input_ids, token_type_ids, { heads_off = new Set(), positions = [] } = {}) {
  const steps = new Map();                 // name -> array, in the order of computation
  const keep = (name, x) => { steps.set(name, x); return x; };
  let hidden = embeddings(weights, config, input_ids, token_type_ids, keep);         // (S, E)
  for (let number = 0; number < config.num_hidden_layers; number++) {
    hidden = encoder_layer(weights, config, number, hidden, heads_off, keep);        // (S, E)
  }
  const answer = { steps, masked_lm_log_probs: null, next_sentence_log_probs: null };
  if ("next_sentence.weight" in weights) {
    const pooled = pooler(weights, hidden, keep);                                    // (S, E) -> (1, E)
    const follows = keep("next_sentence", linear(weights, "next_sentence", pooled)); // (1, E) -> (1, 2)
    answer.next_sentence_log_probs = log_softmax(follows);
  }
  if (positions.length) {
    answer.masked_lm_log_probs = masked_lm_log_probs(weights, config, gather(hidden, positions), keep);
  }
  return answer;
}

// From ids to vectors: the normalized sum of the embeddings of word, position and sentence.
function embeddings(weights, config, input_ids, token_type_ids, keep) {
  const table = part => weights[`bert.embeddings.${part}.weight`];
  const select = (part, rows) => keep(`bert.embeddings.${part}`, gather(table(part), rows));
  const words = select("word_embeddings", input_ids);                                // (V, E) -> (S, E)
  const positions = select("position_embeddings", input_ids.map((_, position) => position));
  const token_types = select("token_type_embeddings", token_type_ids);               // (2, E) -> (S, E)
  const sum = keep("bert.embeddings.sum", add(add(words, positions), token_types));
  return keep("bert.embeddings.LayerNorm", layer_norm(weights, config, "bert.embeddings.LayerNorm", sum));
}

// The layer that is repeated L times: attention, then the feed-forward network; add and normalize.
function encoder_layer(weights, config, number, hidden, heads_off, keep) {
  const layer = `bert.encoder.layer.${number}`, activation = ACTIVATIONS[config.hidden_act];
  const norm = (part, x) => keep(`${layer}.${part}`, layer_norm(weights, config, `${layer}.${part}`, x));
  const attended = self_attention(weights, config, layer, number, hidden, heads_off, keep);      // (S, E)
  hidden = norm("attention_LayerNorm", add(hidden, attended));                                    // (S, E)
  let transformed = keep(`${layer}.intermediate`, linear(weights, `${layer}.intermediate`, hidden));
  transformed = keep(`${layer}.activation`, map(transformed, activation));                       // (S, F)
  transformed = keep(`${layer}.output`, linear(weights, `${layer}.output`, transformed));        // (S, E)
  return norm("output_LayerNorm", add(hidden, transformed));
}

// H attention heads in parallel, each with its own queries, keys and values.
function self_attention(weights, config, layer, number, hidden, heads_off, keep) {
  const heads = config.num_attention_heads;
  const joined = linear(weights, `${layer}.attention.query_key_value`, hidden);       // (S, E) -> (S, 3E)
  const [query, key, value] = ["query", "key", "value"].map((part, index) =>
    keep(`${layer}.attention.${part}`, split_heads(joined, heads, index)));           // each (H, S, D)
  const context = attention(query, key, value, head => heads_off.has(`${number}.${head}`),
    (name, x) => keep(`${layer}.attention.${name}`, x));                              // (H, S, D)
  const output = linear(weights, `${layer}.attention.output`, join_heads(context));   // (S, E)
  return keep(`${layer}.attention.output`, output);
}

// softmax(Q K^T / sqrt(D)) V, for each head; the context of a head that is off is 0.
function attention(query, key, value, is_off, keep) {
  const [H, S, D] = query.shape;
  const scores = keep("scores", array([H, S, S])), q = query.data, k = key.data;
  for (let h = 0, at = 0; h < H; h++) for (let i = 0; i < S; i++) for (let j = 0; j < S; j++, at++) {
    let sum = 0;
    for (let d = 0, a = (h * S + i) * D, b = (h * S + j) * D; d < D; d++) sum += q[a + d] * k[b + d];
    scores.data[at] = sum / Math.sqrt(D);
  }
  const probabilities = keep("probabilities", softmax(scores));                       // (H, S, S)
  const context = keep("context", array([H, S, D]));
  for (let h = 0; h < H; h++) for (let i = 0; i < S && !is_off(h); i++) for (let j = 0; j < S; j++) {
    const share = probabilities.data[(h * S + i) * S + j];
    for (let d = 0; d < D; d++) context.data[(h * S + i) * D + d] += share * value.data[(h * S + j) * D + d];
  }
  return context;
}

// One vector for the whole text, computed from the vector of [CLS].
function pooler(weights, hidden, keep) {
  return keep("bert.pooler", map(linear(weights, "bert.pooler.dense", gather(hidden, [0])), Math.tanh));
}

// The log-probability of each word of the vocabulary. The table of words is the output matrix, too.
function masked_lm_log_probs(weights, config, hidden, keep) {
  hidden = keep("masked_lm.activation", map(linear(weights, "masked_lm.dense", hidden), ACTIVATIONS[config.hidden_act]));
  hidden = keep("masked_lm.LayerNorm", layer_norm(weights, config, "masked_lm.LayerNorm", hidden));
  const table = weights["bert.embeddings.word_embeddings.weight"];                    // (V, E)
  const logits = keep("masked_lm", matmul(hidden, table, weights["masked_lm.bias"])); // (N, E) -> (N, V)
  return log_softmax(logits);
}

// Building blocks

// x W^T + b: each output is a weighted sum of the inputs, plus a bias.
function linear(weights, name, x) {
  return matmul(x, weights[`${name}.weight`], weights[`${name}.bias`]);               // (..., in) -> (..., out)
}

function matmul(x, weight, bias) {
  const [rows, inputs] = x.shape, outputs = weight.shape[0], result = array([rows, outputs]);
  const from = x.data, by = weight.data, to = result.data;
  for (let row = 0; row < rows; row++) for (let out = 0; out < outputs; out++) {
    let sum = bias.data[out];
    for (let k = 0, a = row * inputs, b = out * inputs; k < inputs; k++) sum += from[a + k] * by[b + k];
    to[row * outputs + out] = sum;
  }
  return result;
}

// Give each vector mean 0 and variance 1, then apply the learned scale and shift.
function layer_norm(weights, config, name, x) {
  const scale = weights[`${name}.weight`].data, shift = weights[`${name}.bias`].data;
  return by_row(x, row => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((value, k) => (value - mean) / Math.sqrt(variance + config.layer_norm_eps) * scale[k] + shift[k]);
  });
}

// exp(x) / sum(exp(x)): scores become positive numbers that add up to 1.
function softmax(x) {
  return map(log_softmax(x), Math.exp);
}

function log_softmax(x) {
  return by_row(x, row => {
    const most = row.reduce((a, b) => Math.max(a, b)), total = row.reduce((a, b) => a + Math.exp(b - most), 0);
    return row.map(value => value - most - Math.log(total));
  });
}

// x times the probability that a standard normal number is below x.
const gelu = x => x * (1 + erf(x / Math.SQRT2)) / 2;
const gelu_tanh = x => x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))) / 2;
const ACTIVATIONS = { gelu, gelu_tanh, relu: x => Math.max(x, 0) };

// JavaScript has no erf; this formula is off by at most 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

// What NumPy has and JavaScript does not

const map = (x, f) => array(x.shape, x.data.map(f));
const add = (x, y) => array(x.shape, x.data.map((value, k) => value + y.data[k]));

function by_row(x, f) {                    // f on each vector along the last axis
  const width = x.shape.at(-1), result = array(x.shape);
  for (let at = 0; at < x.data.length; at += width) result.data.set(f(x.data.subarray(at, at + width)), at);
  return result;
}

function gather(x, rows) {                 // some rows of a matrix
  const width = x.shape[1], result = array([rows.length, width]);
  rows.forEach((row, i) => result.data.set(x.data.subarray(row * width, (row + 1) * width), i * width));
  return result;
}

function split_heads(joined, heads, index) {                        // (S, 3E) -> the index-th (H, S, D)
  const [S, wide] = joined.shape, E = wide / 3, D = E / heads, result = array([heads, S, D]);
  for (let h = 0; h < heads; h++) for (let s = 0; s < S; s++) {
    const from = s * wide + index * E + h * D;
    result.data.set(joined.data.subarray(from, from + D), (h * S + s) * D);
  }
  return result;
}

function join_heads(x) {                                            // (H, S, D) -> (S, E)
  const [H, S, D] = x.shape, result = array([S, H * D]);
  for (let h = 0; h < H; h++) for (let s = 0; s < S; s++) {
    result.data.set(x.data.subarray((h * S + s) * D, (h * S + s + 1) * D), s * H * D + h * D);
  }
  return result;
}

// The weights of the page: base64 of float16 numbers, one tensor after the other, as float32.
function read_weights(base64, shapes) {
  const text = atob(base64), bytes = new Uint8Array(text.length), weights = {};
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  const halves = new Uint16Array(bytes.buffer);
  let at = 0;
  for (const [name, shape] of shapes) {
    weights[name] = array(shape);
    for (let k = 0; k < weights[name].data.length; k++) weights[name].data[k] = from_half(halves[at++]);
  }
  return weights;
}

function from_half(bits) {                 // 1 bit sign, 5 bits exponent, 10 bits fraction
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * fraction / 1024);
}
