// The script of attention_page.html. From top to bottom: data, colors, drawing, selection, events.
"use strict";
const $ = id => document.getElementById(id);
const { title, tokens, token_type_ids: typeIds, layers, heads, bits, probabilities } = JSON.parse($("data").textContent);
const S = tokens.length, TOP = 2 ** bits - 1, SPECIAL = new Set(["[CLS]", "[SEP]", "[PAD]"]);

// base64 -> bytes -> integers 0..TOP, in the order layer, head, row (query), column (key)
const text = atob(probabilities), bytes = new Uint8Array(text.length);
for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
const stored = bits === 16 ? new Uint16Array(bytes.buffer) : bytes;
function probability(i, j, layer = chosen.layer, head = chosen.head) {
  return stored[((layer * heads + head) * S + i) * S + j] / TOP;
}

const chosen = { layer: 0, head: 0 };
let rows = [], columns = [];               // indices of the tokens that the filters leave
let hover = null, pinned = null;           // {query, key}: token indices, one of them may be null
let dark = matchMedia("(prefers-color-scheme: dark)").matches;

const percent = p => p < 0.0005 ? "<0.1 %" : (100 * p).toFixed(p < 0.0995 ? 1 : 0) + " %";
const make = (tag, parent, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));

// Colors: three stops over the square root of the probability, so that 1 % is still visible.
let colors = [];
function setColors() {
  const stops = dark ? [[25, 29, 36], [31, 111, 181], [232, 244, 255]] : [[255, 255, 255], [74, 152, 211], [8, 44, 99]];
  colors = Array.from({ length: 256 }, (_, k) => {
    const t = k / 127.5, [a, b] = t < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
    return a.map((value, c) => Math.round(value + (b[c] - value) * (t < 1 ? t : t - 1)));
  });
  $("ramp").style.background = `linear-gradient(to right, ${stops.map(stop => `rgb(${stop})`)})`;
}
const color = p => colors[Math.round(255 * Math.sqrt(p))];

function drawOverview() {
  for (const button of $("overview").querySelectorAll("button")) {
    const { layer, head } = button.dataset, canvas = button.firstChild;
    // At most 32 dots a side; a dot shows the largest of the probabilities it stands for.
    const width = canvas.width = Math.max(1, Math.min(32, columns.length));
    const height = canvas.height = Math.max(1, Math.min(32, rows.length));
    const most = new Float32Array(width * height);
    rows.forEach((i, y) => columns.forEach((j, x) => {
      const at = Math.floor(y * height / rows.length) * width + Math.floor(x * width / columns.length);
      most[at] = Math.max(most[at], probability(i, j, +layer, +head));
    }));
    const image = new ImageData(width, height);
    most.forEach((p, at) => image.data.set([...color(p), 255], 4 * at));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

function sharp(canvas, width, height) {    // a canvas in device pixels, within the limits of browsers
  const scale = Math.min(devicePixelRatio, 12000 / Math.max(width, height, 1));
  canvas.width = width * scale; canvas.height = height * scale;
  Object.assign(canvas.style, { width: width + "px", height: height + "px" });
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return pen;
}

function drawLines() {
  const canvas = $("strokes"), step = 23, { query, key } = active() ?? {};
  canvas.style.width = "";                 // let the layout decide the width
  const width = canvas.clientWidth, pen = sharp(canvas, width, step * Math.max(rows.length, columns.length));
  canvas.classList.toggle("incoming", query == null && key != null);
  pen.strokeStyle = getComputedStyle(canvas).color;
  rows.forEach((i, y) => columns.forEach((j, x) => {
    const p = probability(i, j), top = step * (y + .5), end = step * (x + .5);
    if (p < .01 || (query ?? i) !== i || (key ?? j) !== j) return;
    pen.globalAlpha = query == null && key == null ? p : .25 + .75 * p;
    pen.lineWidth = .6 + 3 * p;
    pen.beginPath(); pen.moveTo(0, top);
    pen.bezierCurveTo(width / 2, top, width / 2, end, width, end); pen.stroke();
  }));
}

let cell = 20;                             // side of a matrix cell in CSS pixels
function drawMatrix() {
  const room = $("matrix").parentElement.clientWidth - $("rowNames").offsetWidth - 16;
  const fitting = Math.min(40, room / Math.max(columns.length, 1));
  cell = $("fit").checked ? fitting : Math.max(16, Math.floor(fitting));
  $("matrix").style.setProperty("--cell", cell + "px");
  $("matrix").classList.toggle("tiny", cell < 9);
  const pen = sharp($("shades"), cell * columns.length, cell * rows.length);
  Object.assign(pen, { font: "11px system-ui", textAlign: "center", textBaseline: "middle" });
  rows.forEach((i, y) => columns.forEach((j, x) => {
    const p = probability(i, j), dots = color(p);
    pen.fillStyle = `rgb(${dots})`;
    pen.fillRect(cell * x, cell * y, cell + .5, cell + .5);
    if (cell < 28 || p < .005) return;
    pen.fillStyle = dots[0] * .3 + dots[1] * .59 + dots[2] * .11 > 135 ? "#1c2430" : "#fff";
    pen.fillText(Math.round(100 * p), cell * (x + .5), cell * (y + .5));
  }));
}

function buildNames() {                    // tokens become text, never markup
  const keep = type => tokens.map((_, i) => i).filter(i => (type === "*" || typeIds[i] === +type)
    && !($("hide").checked && SPECIAL.has(tokens[i])));
  [rows, columns] = [...$("pair").value].map(keep);
  const sides = [["queries", "rowNames", rows, "query"], ["keys", "columnNames", columns, "key"]];
  for (const [list, names, indices, side] of sides) {
    $(list).replaceChildren(); $(names).replaceChildren();
    indices.forEach((i, position) => {
      const words = { textContent: tokens[i] }, button = make("button", $(list), { type: "button", className: "token" });
      button.tabIndex = position ? -1 : 0;
      make("span", button, words); make("small", button);
      const label = make("span", $(names), words);
      label.classList.toggle("one", [...tokens[i]].length === 1);   // a single character needs no rotation
      for (const element of [button, label]) {
        Object.assign(element.dataset, { [side]: i, position });
        element.title = tokens[i];
        element.classList.toggle("second", typeIds[i] === 1);
      }
    });
  }
}

function active() {                        // what is hovered, or else pinned, if it is visible
  const one = hover ?? pinned, shown = (list, token) => token == null || list.includes(token);
  return one && shown(rows, one.query) && shown(columns, one.key) ? one : null;
}

function sentence(where, name, verb, shares) {
  $(where).replaceChildren();
  make("b", $(where), { textContent: name }); $(where).append(verb);
  shares.sort((a, b) => b[1] - a[1]).slice(0, 5).forEach(([i, p], n) => {
    $(where).append(n ? ", " : " "); make("b", $(where), { textContent: tokens[i] }); $(where).append(" " + percent(p));
  });
}

function showActive() {
  const one = active(), { query, key } = one ?? {};
  for (const element of document.querySelectorAll("#lines .token, #matrix span")) {
    const { query: i, key: j } = element.dataset;
    element.classList.toggle("here", one !== null && (i === String(query) || j === String(key)));
    if (element.tagName !== "BUTTON") continue;
    element.ariaPressed = pinned !== null && (i != null ? pinned.query === +i : pinned.key === +j);
    const share = query != null && j != null ? probability(query, +j) : key != null && i != null ? probability(+i, key) : 0;
    element.style.setProperty("--share", share);
    element.lastChild.textContent = share < .0005 ? "" : percent(share);
  }
  const y = rows.indexOf(query ?? -1), x = columns.indexOf(key ?? -1);
  $("rowBand").style.cssText = y < 0 ? "" : `display: block; top: ${y * cell}px; height: ${cell}px; width: 100%`;
  $("columnBand").style.cssText = x < 0 ? "" : `display: block; left: ${x * cell}px; width: ${cell}px; height: 100%; top: 0`;
  $("incoming").replaceChildren();
  if (!rows.length || !columns.length) $("outgoing").textContent = "No tokens are left; change the filter.";
  else if (!one) $("outgoing").textContent = "Point at a token or a cell. Click or press Enter to pin it, Escape to release it.";
  else if (query != null && key != null) sentence("outgoing", tokens[query], " attends to", [[key, probability(query, key)]]);
  else {
    const token = query ?? key;
    sentence("outgoing", tokens[token], " attends to", columns.map(j => [j, probability(token, j)]));
    sentence("incoming", tokens[token], " is attended to by", rows.map(i => [i, probability(i, token)]));
  }
  drawLines();
}

function choose(layer, head) {
  chosen.layer = Math.max(0, Math.min(layers - 1, layer));
  chosen.head = Math.max(0, Math.min(heads - 1, head));
  $("layer").value = chosen.layer; $("head").value = chosen.head;
  $("one").textContent = `Layer ${chosen.layer}, head ${chosen.head}`;
  for (const button of $("overview").querySelectorAll("button")) {
    const here = +button.dataset.layer === chosen.layer && +button.dataset.head === chosen.head;
    button.ariaPressed = here;
    button.tabIndex = here ? 0 : -1;       // Tab enters the grid once; arrow keys move within it
    if (here && $("overview").contains(document.activeElement)) button.focus();
  }
  drawMatrix(); showActive();
}

function refilter() { buildNames(); drawOverview(); drawMatrix(); showActive(); }

function setTheme(value) {
  dark = value;
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  $("theme").ariaPressed = dark;
  setColors(); drawOverview(); drawMatrix(); showActive();
}

const point = one => { hover = one; showActive(); };
const pin = one => { pinned = JSON.stringify(one) === JSON.stringify(pinned) ? null : one; showActive(); };
const number = value => value == null ? null : +value;
const named = element => element && { query: number(element.dataset.query), key: number(element.dataset.key) };
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function onArrow(area, act) {
  area.addEventListener("keydown", event => {
    if (!ARROWS[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act(...ARROWS[event.key], event.target);
  });
}

function listen() {
  $("overview").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (button) choose(+button.dataset.layer, +button.dataset.head);
  });
  onArrow($("overview"), (down, right) => choose(chosen.layer + down, chosen.head + right));
  for (const name of ["layer", "head"]) {
    $(name).addEventListener("change", () => choose(+$("layer").value, +$("head").value));
  }
  for (const name of ["pair", "hide"]) $(name).addEventListener("change", refilter);
  $("fit").addEventListener("change", () => { drawMatrix(); showActive(); });
  $("theme").addEventListener("click", () => setTheme(!dark));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => setTheme(event.matches));

  for (const area of [$("lines"), $("matrix")]) {
    for (const event of ["pointerover", "focusin"]) area.addEventListener(event, ({ target }) => {
      if (target !== $("shades")) point(named(target.closest("[data-position]")));
    });
    for (const event of ["pointerleave", "focusout"]) area.addEventListener(event, () => point(null));
    area.addEventListener("click", ({ target }) => {
      const element = target.closest("[data-position]");
      if (element) pin(named(element));
    });
  }
  onArrow($("lines"), (down, right, target) => {
    const list = right < 0 ? $("queries") : right > 0 ? $("keys") : target.parentElement;
    const next = list.children[Math.max(0, Math.min(list.children.length - 1, +target.dataset.position + down))];
    for (const button of list.children) button.tabIndex = button === next ? 0 : -1;
    next?.focus();
  });

  const shades = $("shades");
  const at = (list, offset) => list[Math.floor(offset / cell)] ?? null;
  const under = event => ({ query: at(rows, event.offsetY), key: at(columns, event.offsetX) });
  shades.addEventListener("pointermove", event => point(under(event)));
  shades.addEventListener("click", event => pin(under(event)));
  onArrow(shades, (down, right) => {
    const from = hover ?? pinned ?? {};
    const step = (list, token, by) => Math.max(0, Math.min(list.length - 1, list.indexOf(token) + by));
    const y = step(rows, from.query, from.query == null ? 1 : down);
    const x = step(columns, from.key, from.key == null ? 1 : right);
    point({ query: rows[y] ?? null, key: columns[x] ?? null });
    $("rowNames").children[y]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    $("columnNames").children[x]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  shades.addEventListener("keydown", event => { if (event.key === "Enter" && hover) pin(hover); });
  document.addEventListener("keydown", event => { if (event.key === "Escape") { pinned = null; point(null); } });

  let width = innerWidth;
  addEventListener("resize", () => { if (width !== innerWidth) { width = innerWidth; drawMatrix(); showActive(); } });
}

function start() {
  $("title").textContent = document.title = title;
  $("footer").textContent = `${layers} layers of ${heads} heads, numbered from 0 as in attentions[layer][head]. `
    + `Probabilities are stored in ${bits} bits, with an error of at most ${(.5 / TOP).toPrecision(1)}. When tokens are hidden, `
    + "rows may sum to less than 1. Lines under 1 % are not drawn.";
  const pair = typeIds.includes(1);
  $("pairLabel").hidden = !pair;
  if (pair) $("footer").append(" A is the first text. B is the second text, in purple.");
  const overview = $("overview");
  overview.style.gridTemplateColumns = `auto repeat(${heads}, minmax(0, 1fr))`;
  make("div", overview, { className: "axis" });
  for (let head = 0; head < heads; head++) make("div", overview, { className: "axis", textContent: head });
  for (let layer = 0; layer < layers; layer++) {
    make("div", overview, { className: "axis", textContent: layer });
    for (let head = 0; head < heads; head++) {
      const button = make("button", overview, { type: "button", title: `layer ${layer}, head ${head}` });
      button.ariaLabel = button.title;
      Object.assign(button.dataset, { layer, head });
      make("canvas", button);
    }
  }
  for (let layer = 0; layer < layers; layer++) make("option", $("layer"), { value: layer, textContent: layer });
  for (let head = 0; head < heads; head++) make("option", $("head"), { value: head, textContent: head });
  for (const p of [0, .01, .1, .25, .5, 1]) {
    make("span", $("ticks"), { textContent: p ? 100 * p + " %" : "0" }).style.left = 100 * Math.sqrt(p) + "%";
  }
  buildNames(); setTheme(dark); choose(0, 0); listen();
}
start();
