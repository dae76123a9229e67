// Matrices as pictures: small ones beside each step, and a large one whose numbers can be read.
"use strict";

const $ = id => document.getElementById(id);
const make = (tag, parent, properties = {}) => parent.appendChild(Object.assign(document.createElement(tag), properties));
const format = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

// Colors for -1 .. 1: blue, ground, orange. Shares (0 .. 1) go from the ground over blue to dark or light.
const COLORS = {
  light: { signed: [[8, 81, 156], [255, 255, 255], [179, 70, 6]], shares: [[255, 255, 255], [74, 152, 211], [8, 44, 99]] },
  dark: { signed: [[94, 179, 245], [25, 29, 36], [251, 146, 60]], shares: [[25, 29, 36], [31, 111, 181], [232, 244, 255]] },
};

function colorOf(value, view) {            // `view`: most (what gets the full color), isShare, dark
  const stops = COLORS[view.dark ? "dark" : "light"][view.isShare ? "shares" : "signed"];
  const t = view.isShare ? 2 * Math.sqrt(Math.max(0, value)) : 1 + Math.max(-1, Math.min(1, value / view.most));
  const [a, b, share] = t < 1 ? [stops[0], stops[1], t] : [stops[1], stops[2], t - 1];
  return a.map((from, channel) => Math.round(from + (b[channel] - from) * share));
}

// The absolute value that 99 of 100 numbers do not exceed: single large ones would leave the rest pale.
// Of many numbers, every n-th is looked at.
function usualMost(numbers) {
  const step = Math.ceil(numbers.length / 2048);
  const sorted = Float32Array.from({ length: Math.floor(numbers.length / step) }, (_, k) => Math.abs(numbers[k * step])).sort();
  return sorted[Math.ceil(0.99 * sorted.length) - 1] || 1;
}

// A small picture of one matrix; where it has more cells than dots, a dot shows one of its cells.
function thumbnail(canvas, view) {
  const width = canvas.width = Math.min(64, view.columns), height = canvas.height = Math.min(24, view.rows);
  const image = new ImageData(width, height);
  for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++, at += 4) {
    const i = Math.floor(y * view.rows / height), j = Math.floor(x * view.columns / width);
    image.data.set([...colorOf(view.value(i, j), view), 255], at);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The large picture. `view` also has rowNames, columnNames (or null), describe(i, j), onRow(i) and words.
function showMap(container, view) {
  const before = container.querySelector("canvas"), hadFocus = before !== null && document.activeElement === before;
  const kept = before?.at, scrolled = container.querySelector(".scroll")?.scrollLeft ?? 0;
  container.replaceChildren();
  const scroll = make("div", container, { className: "scroll" });
  const grid = make("div", scroll, { className: "mapGrid" });
  make("div", grid, { className: "corner" });
  const columnNames = make("div", grid, { className: "columnNames" });
  const rowNames = make("div", grid, { className: "rowNames" });
  for (const name of view.rowNames) make("span", rowNames, { textContent: name, title: name });
  columnNames.ariaHidden = rowNames.ariaHidden = "true";
  const cells = make("div", grid, { className: "cells" });
  const canvas = make("canvas", cells, { tabIndex: 0, role: "img", ariaLabel: view.words.matrix(view.rows, view.columns) });
  const cursor = make("div", cells, { className: "cursor", hidden: true });
  const ramp = make("div", container, { className: "legend" });
  const readout = make("p", container, { className: "readout", ariaLive: "polite", textContent: view.words.readout });

  const room = container.clientWidth - rowNames.offsetWidth - 20;   // with a scroll bar
  const width = Math.min(48, Math.max(view.columnNames ? 22 : 2, room / view.columns)), height = 24;
  grid.style.setProperty("--cell", width + "px");
  for (const name of view.columnNames ?? []) {
    make("span", columnNames, { textContent: name, title: name, className: Array.from(name).length === 1 ? "one" : "" });
  }
  const scale = Math.min(devicePixelRatio, 12000 / Math.max(width * view.columns, height * view.rows));
  canvas.width = width * view.columns * scale; canvas.height = height * view.rows * scale;
  Object.assign(canvas.style, { width: width * view.columns + "px", height: height * view.rows + "px" });
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  Object.assign(pen, { font: "13px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
  for (let i = 0; i < view.rows; i++) for (let j = 0; j < view.columns; j++) {
    const value = view.value(i, j), dots = colorOf(value, view);
    pen.fillStyle = `rgb(${dots})`;
    pen.fillRect(width * j, height * i, width + .5, height + .5);
    if (width < 36) continue;              // no room for a number
    pen.fillStyle = dots[0] * .3 + dots[1] * .59 + dots[2] * .11 > 135 ? "#1c2430" : "#fff";
    pen.fillText(format(value, Math.abs(value) < 9.995 ? 2 : 1), width * (j + .5), height * (i + .5) + 1);
  }
  drawLegend(ramp, view);

  const point = (i, j) => {                // show the number of a cell
    canvas.at = [i, j];
    cursor.hidden = false;
    Object.assign(cursor.style, { left: width * j + "px", top: height * i + "px", width: width + "px", height: height + "px" });
    readout.textContent = view.describe(i, j);
  };
  const cellAt = event => {
    const box = canvas.getBoundingClientRect(), clamp = (value, most) => Math.max(0, Math.min(most - 1, Math.floor(value)));
    return [clamp((event.clientY - box.top) / height, view.rows), clamp((event.clientX - box.left) / width, view.columns)];
  };
  canvas.addEventListener("pointermove", event => point(...cellAt(event)));
  canvas.addEventListener("click", event => { const at = cellAt(event); point(...at); view.onRow(at[0]); });
  canvas.addEventListener("keydown", event => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter" && canvas.at) view.onRow(canvas.at[0]);
    if (!move) return;
    event.preventDefault();
    const [i, j] = canvas.at ?? [-move[0], -move[1]], clamp = (value, most) => Math.max(0, Math.min(most - 1, value));
    point(clamp(i + move[0], view.rows), clamp(j + move[1], view.columns));
    cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  scroll.scrollLeft = scrolled;
  if (kept && kept[0] < view.rows && kept[1] < view.columns) point(...kept);
  if (hadFocus) canvas.focus();
}

function drawLegend(parent, view) {
  const most = view.isShare ? 1 : view.most, least = view.isShare ? 0 : -view.most;
  make("span", parent, { textContent: format(least) });
  const ramp = make("canvas", parent, { width: 120, height: 1, ariaHidden: "true" }), pen = ramp.getContext("2d");
  for (let x = 0; x < 120; x++) {
    pen.fillStyle = `rgb(${colorOf(least + (most - least) * x / 119, view)})`;
    pen.fillRect(x, 0, 1, 1);
  }
  make("span", parent, { textContent: format(most) });
}
