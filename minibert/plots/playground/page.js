// The page itself. From top to bottom: state, computing, pieces, answers, the steps, the inspector, events.
"use strict";

const data = JSON.parse($("data").textContent), { config } = data;
const tokenizer = new Tokenizer(data), weights = read_weights($("weights").textContent.trim(), data.shapes);
const L = config.num_hidden_layers, H = config.num_attention_heads, TOP = 5, NUMBERS = 6;
const state = {
  language: navigator.language.startsWith("zh") ? "zh" : "en",
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  encoded: { row: [] },
  masked: new Set(),                       // positions that were masked by a click
  headsOff: new Set(),                     // "layer.head"
  selected: 0, head: 0, open: null,        // the piece whose numbers are shown, the head, the step in the inspector
};
let plain, answer;                         // of bert(): with all heads, and without those that are off
const words = () => WORDS[state.language];
const isWide = () => matchMedia("(min-width: 1000px)").matches;   // as in page.css
const isTyped = piece => piece.token === tokenizer.mask_token;
const percent = share => share < .0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`;

// Computing

function read() {                          // the texts have changed
  const before = state.encoded.row;
  state.encoded = tokenizer.encode($("text").value, $("pair").value, data.max_length);
  const { row } = state.encoded;
  state.masked = new Set([...state.masked].filter(i => row[i] && !row[i].special && row[i].token === before[i]?.token));
  state.selected = Math.min(state.selected, row.length - 1);
  compute();
}

const shownToken = i => state.masked.has(i) ? tokenizer.mask_token : state.encoded.row[i].token;
const maskedPositions = () => state.encoded.row.flatMap((piece, i) => state.masked.has(i) || isTyped(piece) ? [i] : []);

function compute() {
  const { row } = state.encoded, positions = maskedPositions();
  const ids = row.map((piece, i) => tokenizer.vocabulary.get(shownToken(i))), types = row.map(piece => piece.type);
  plain = bert(weights, config, ids, types, { positions });
  answer = state.headsOff.size ? bert(weights, config, ids, types, { positions, heads_off: state.headsOff }) : plain;
  render();
}

function render() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words()[element.dataset.text];
  const numbers = Object.values(weights).reduce((sum, x) => sum + x.data.length, 0).toLocaleString("en");
  const sizes = { title: data.title, L, H, E: config.hidden_size, V: tokenizer.tokens.length.toLocaleString("en"), numbers };
  $("model").textContent = words().model(sizes);
  $("language").textContent = words().other;
  $("theme").textContent = state.dark ? words().light : words().dark;
  $("inputTitle").parentElement.querySelector("[data-text=normalized]").textContent =
    tokenizer.lower_case ? words().normalized : words().normalizedCased;
  document.documentElement.lang = state.language === "zh" ? "zh-CN" : "en";
  document.title = `${words().title} · ${data.title}`;
  renderPieces();
  renderAnswers();
  renderHeads();
  renderSteps();
  renderInspector();
}

function rebuild(container, build) {       // build the content anew, and keep the focus where it was
  const index = [...container.querySelectorAll("button")].indexOf(document.activeElement);
  container.replaceChildren();
  build();
  if (index >= 0) container.querySelectorAll("button")[index]?.focus();
}

// Pieces

function renderPieces() {
  const { row, is_pair, truncated } = state.encoded;
  const texts = [$("text").value, $("pair").value].slice(0, is_pair ? 2 : 1);
  $("normalized").textContent = texts.map(text => normalize(text, tokenizer).replace(/\s+/gu, " ").trim()).join("  |  ");
  rebuild($("words"), () => {
    let box = null, last = null;
    row.forEach((piece, i) => {
      if (piece.special || !last || last.number !== piece.number || last.type !== piece.type || last.special) {
        box = make("div", $("words"), { className: "word" });
        make("span", box, { className: "label", textContent: piece.special ? "" : piece.word });
      }
      last = piece;
      const column = make("div", box, { className: piece.type ? "piece second" : "piece" });
      const hidden = state.masked.has(i), fixed = piece.special || isTyped(piece);
      const name = hidden ? words().showPiece(piece.token) : words().maskPiece(piece.token);
      const button = make(fixed ? "span" : "button", column, { className: "token", textContent: shownToken(i) });
      if (!fixed) Object.assign(button, { type: "button", ariaPressed: hidden, ariaLabel: name, title: name });
      if (!fixed) button.dataset.position = i;
      make("small", column, { textContent: tokenizer.vocabulary.get(shownToken(i)), className: "id" });
    });
  });
  const notes = [words().piecesNote];
  if (row.some(piece => piece.token === tokenizer.unk_token)) notes.push(words().unknown);
  if (truncated) notes.push(words().truncated(data.max_length));
  $("piecesNote").textContent = notes.join(" ");
}

// Answers

function renderAnswers() {
  const positions = maskedPositions(), off = [...state.headsOff].sort().join(", ");
  const runs = [[words().allHeads, plain], ...(off ? [[words().someHeads(off), answer]] : [])];
  $("guesses").replaceChildren();
  if (!positions.length) make("p", $("guesses"), { textContent: words().noMask });
  positions.forEach((position, n) => {
    const hidden = state.encoded.row[position].token, isKnown = state.masked.has(position);
    const title = isKnown ? words().guess(position, hidden) : words().guessTyped(position);
    make("h3", $("guesses"), { textContent: title });
    const columns = make("div", $("guesses"), { className: "columns" });
    for (const [name, run] of runs) {
      const column = make("div", columns), V = tokenizer.tokens.length;
      const log_probs = run.masked_lm_log_probs.data.subarray(n * V, (n + 1) * V);
      const best = Array.from(log_probs.keys()).sort((a, b) => log_probs[b] - log_probs[a]);
      if (off) make("h4", column, { textContent: name });
      const list = make("ol", column);
      for (const id of best.slice(0, TOP)) bar(list, tokenizer.tokens[id], Math.exp(log_probs[id]), isKnown && tokenizer.tokens[id] === hidden);
      if (!isKnown) continue;
      const id = tokenizer.vocabulary.get(hidden);
      make("p", column, { className: "note", textContent: words().rank(best.indexOf(id) + 1, percent(Math.exp(log_probs[id]))) });
    }
  });
  $("follows").replaceChildren();
  if (!plain.next_sentence_log_probs) return;
  if (!state.encoded.is_pair) { make("p", $("follows"), { className: "note", textContent: words().noPair }); return; }
  make("h3", $("follows"), { textContent: words().follows });
  const columns = make("div", $("follows"), { className: "columns" });
  for (const [name, run] of runs) {
    const column = make("div", columns);
    if (off) make("h4", column, { textContent: name });
    const list = make("ol", column);
    [words().yes, words().no].forEach((label, n) => bar(list, label, Math.exp(run.next_sentence_log_probs.data[n]), false));
  }
}

function bar(list, label, share, isHidden) {
  const item = make("li", list, { className: isHidden ? "right" : "" });
  item.style.setProperty("--share", share);
  make("span", item, { textContent: label });
  make("b", item, { textContent: percent(share) });
}

function renderHeads() {
  rebuild($("heads"), () => {
    for (let layer = 0; layer < L; layer++) {
      const line = make("div", $("heads"), { className: "row" });
      make("span", line, { textContent: words().layer(layer) });
      for (let head = 0; head < H; head++) {
        const name = `${layer}.${head}`, isOff = state.headsOff.has(name);
        const button = make("button", line, { type: "button", className: "switch", textContent: name, ariaPressed: !isOff });
        button.ariaLabel = words().headOf(layer, head);
        button.dataset.head = name;
      }
    }
  });
  $("allOn").disabled = state.headsOff.size === 0;
}

// The steps of the model. They are built once, and filled each time something has been computed.

const LAYER = ["attention.query", "attention.key", "attention.value", "attention.scores", "attention.probabilities",
  "attention.context", "attention.output", "attention_LayerNorm", "intermediate", "activation", "output", "output_LayerNorm"];
const GROUPS = [
  ["embeddings", ["word_embeddings", "position_embeddings", "token_type_embeddings", "sum", "LayerNorm"].map(part => `bert.embeddings.${part}`)],
  ...Array.from({ length: L }, (_, number) => [number, LAYER.map(part => `bert.encoder.layer.${number}.${part}`)]),
  ["answers", ["bert.pooler", "next_sentence", "masked_lm.activation", "masked_lm.LayerNorm", "masked_lm"]],
];
const shortName = name => name.replace(/^bert\.encoder\.layer\.\d+\./, "").replace("bert.embeddings", "embeddings");
const boxes = new Map();                   // name of a step -> its elements

function buildSteps() {
  for (const [title, names] of GROUPS) {
    const group = make("details", $("groups"), { open: typeof title === "string" || title === 0 });
    group.addEventListener("toggle", renderSteps);
    const summary = make("summary", group), grid = make("div", group, { className: "steps" });
    for (const name of names) {
      const cell = make("div", grid, { className: /query|key|value|_embeddings$/.test(name) ? "cell third" : "cell" });
      const button = make("button", cell, { type: "button", className: "step" });
      button.dataset.step = name;
      const head = make("span", button, { className: "head" });
      make("code", head, { textContent: shortName(name).replace(/^(embeddings|bert|attention(?!.output))\./, "") });
      boxes.set(name, {
        group, cell, button, summary, title,
        shape: make("span", head, { className: "shape" }),
        text: make("span", button, { className: "what" }),
        thumbs: make("span", button, { className: "thumbs" }),
        arrow: make("p", cell, { className: "arrow" }),
      });
    }
  }
}

const rowOf = name => name.startsWith("masked_lm") ? Math.max(0, maskedPositions().indexOf(state.selected))
  : name === "bert.pooler" || name === "next_sentence" ? 0 : state.selected;

// One matrix of a step as heatmap.js draws it: the step has one, or one for each head.
function viewOf(name, head) {
  const { shape, data: numbers } = answer.steps.get(name), [rows, columns] = shape.slice(-2);
  const part = numbers.subarray(...(shape.length === 3 ? [head * rows * columns, (head + 1) * rows * columns] : [0]));
  const isShare = name.endsWith(".probabilities");
  return { rows, columns, isShare, dark: state.dark, most: usualMost(part), value: (i, j) => part[i * columns + j] };
}

function renderSteps() {
  const { row } = state.encoded;
  $("selected").replaceChildren();
  row.forEach((_, i) => make("option", $("selected"), { value: i, textContent: `${i}  ${shownToken(i)}`, selected: i === state.selected }));
  for (const [name, box] of boxes) {
    const step = answer.steps.get(name), [letters, , english, chinese] = STEPS[shortName(name)];
    box.cell.hidden = !step;
    box.summary.textContent = typeof box.title === "string" ? words()[box.title] : words().layer(box.title);
    if (!step || !box.group.open) continue;
    box.shape.textContent = `(${letters}) = (${step.shape.join(", ")})`;
    box.text.textContent = state.language === "zh" ? chinese : english;
    box.button.ariaPressed = state.open === name;
    const heads = step.shape.length === 3 ? H : 1, layer = name.match(/layer\.(\d+)/)?.[1];
    box.thumbs.replaceChildren();
    for (let head = 0; head < heads; head++) {
      const canvas = make("canvas", box.thumbs, { className: state.headsOff.has(`${layer}.${head}`) && heads > 1 ? "off" : "" });
      if (heads > 1) Object.assign(canvas, { title: words().headOf(layer, head) }).dataset.head = head;
      thumbnail(canvas, viewOf(name, head));
    }
    const view = viewOf(name, state.head), i = rowOf(name), token = name === "next_sentence" || name === "bert.pooler" ? row[0].token
      : shownToken(name.startsWith("masked_lm") ? maskedPositions()[i] : i);
    const some = Array.from({ length: Math.min(NUMBERS, view.columns) }, (_, j) => format(view.value(i, j)));
    const more = view.columns > NUMBERS ? " …" : "", which = heads > 1 ? `, ${words().head(state.head)}` : "";
    box.arrow.textContent = `↓ ${token}${which}: ${some.join("  ")}${more}`;
  }
}

// The inspector

function renderInspector() {
  const name = state.open, step = name && answer.steps.get(name);
  $("inspector").hidden = !step;
  if (!step) return;
  const { row } = state.encoded, home = isWide() ? $("side") : boxes.get(name).cell;
  if ($("inspector").parentElement !== home) home.append($("inspector"));
  const [letters, code, english, chinese] = STEPS[shortName(name)];
  $("stepName").textContent = name;
  $("stepText").textContent = `(${letters}) = (${step.shape.join(", ")}). ${state.language === "zh" ? chinese : english}`;
  $("stepCode").textContent = code;
  const heads = step.shape.length === 3 ? H : 0, layer = name.match(/layer\.(\d+)/)?.[1];
  rebuild($("stepHeads"), () => {
    for (let head = 0; head < heads; head++) {
      const off = state.headsOff.has(`${layer}.${head}`) ? ` (${words().isOff})` : "";
      make("button", $("stepHeads"), { type: "button", className: "plain", textContent: words().head(head) + off, ariaPressed: head === state.head })
        .dataset.head = head;
    }
  });
  const view = { ...viewOf(name, state.head), words: words(), columnNames: null, onRow: i => select(i) };
  const tokens = row.map((_, i) => shownToken(i)), places = name.startsWith("masked_lm") ? maskedPositions() : row.map((_, i) => i);
  view.rowNames = view.rows === 1 && !name.startsWith("masked_lm") ? [row[0].token] : places.map(i => tokens[i]);
  if (/scores|probabilities/.test(name)) view.columnNames = tokens;
  if (name === "next_sentence") view.columnNames = [words().yes, words().no];
  if (name === "masked_lm") onlyLikeliest(view);
  const digits = view.isShare ? 4 : 3;
  view.describe = (i, j) => {
    const column = view.columnNames ? view.columnNames[j] : words().number(j);
    return `${view.rowNames[i]} → ${column}:  ${format(view.value(i, j), digits)}`;
  };
  if (name.startsWith("masked_lm")) view.onRow = i => select(places[i]);
  showMap($("map"), view);
}

function onlyLikeliest(view) {             // of the V scores, those of the pieces that are likely somewhere
  const best = new Set();
  for (let i = 0; i < view.rows; i++) {
    const order = Array.from({ length: view.columns }, (_, j) => j).sort((a, b) => view.value(i, b) - view.value(i, a));
    order.slice(0, Math.ceil(24 / view.rows)).forEach(j => best.add(j));
  }
  const kept = [...best], { value } = view;
  Object.assign(view, { columns: kept.length, columnNames: kept.map(j => tokenizer.tokens[j]), value: (i, j) => value(i, kept[j]) });
  view.most = Math.max(...kept.flatMap((_, j) => Array.from({ length: view.rows }, (__, i) => Math.abs(view.value(i, j)))));
}

function select(position) {
  state.selected = position;
  renderSteps();
}

// Events

function mask(position) {
  if (!state.masked.delete(position)) state.masked.add(position);
  compute();
}

function example([text, pair, hidden]) {
  [$("text").value, $("pair").value, state.masked] = [text, pair, new Set()];
  read();
  const position = state.encoded.row.findIndex(piece => piece.token === hidden);
  if (position < 0) return;                // another vocabulary
  state.selected = position;
  mask(position);
}

function chooseTheme() {
  document.documentElement.style.colorScheme = state.dark ? "dark" : "light";
}

const onButton = (id, act) => $(id).addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) act(button, event);
});
onButton("words", button => mask(+button.dataset.position));
onButton("heads", button => {
  if (!state.headsOff.delete(button.dataset.head)) state.headsOff.add(button.dataset.head);
  compute();
});
onButton("allOn", () => { state.headsOff.clear(); compute(); });
onButton("stepHeads", button => { state.head = +button.dataset.head; renderSteps(); renderInspector(); });
onButton("groups", (button, event) => {
  const { step } = button.dataset, head = event.target.dataset.head;
  if (!step) return;                       // a head of the inspector, which may stand between the steps
  state.open = state.open === step && !head && !isWide() ? null : step;   // beside the steps it stays
  if (head) state.head = +head;
  renderSteps();
  renderInspector();
  $("inspector").scrollIntoView({ block: "nearest" });
});
onButton("language", () => { state.language = state.language === "zh" ? "en" : "zh"; render(); });
onButton("theme", () => { state.dark = !state.dark; chooseTheme(); render(); });
$("selected").addEventListener("change", event => select(+event.target.value));
let waiting = 0;
for (const id of ["text", "pair"]) $(id).addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(read, 120); });
addEventListener("resize", () => renderInspector());

const chinese = tokenizer.tokens.filter(token => is_chinese(token)).length > tokenizer.tokens.length / 4;
EXAMPLES[chinese ? "zh" : "en"].forEach(one => {
  const button = make("button", $("examples"), { type: "button", className: "plain", textContent: one[0] });
  button.addEventListener("click", () => example(one));
});
buildSteps();
chooseTheme();
if (isWide()) state.open = "bert.encoder.layer.0.attention.probabilities";
example(EXAMPLES[chinese ? "zh" : "en"][0]);
