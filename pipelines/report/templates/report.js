"use strict";
// What is known of the entries; nothing below holds a number of its own.
const {metrics, choices, entries} = JSON.parse(document.getElementById("data").textContent);
const find = (what, within = document) => within.querySelector(what);
const all = (what, within = document) => [...within.querySelectorAll(what)];
const named = Object.fromEntries(entries.map(each => [each.entry, each]));
const left_out = new Set();

function badness(metric, value) {
  return {lower: value, higher: -value, half: Math.abs(value - 0.5)}[metrics[metric].better];
}

// Put elements in the order of a number or a text of their entries; those without one come last.
function arrange(elements, key, sign = 1) {
  const keys = new Map(elements.map(each => [each, key(named[each.dataset.entry])]));
  const place = each => entries.indexOf(named[each.dataset.entry]);  // decides between equal ones
  const compare = (a, b) => a === undefined || b === undefined ? (a === undefined) - (b === undefined)
    : sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  elements.sort((a, b) => compare(keys.get(a), keys.get(b)) || place(a) - place(b));
  if (elements.length) elements[0].parentElement.append(...elements);
}

// The rows of samples, and which entries are shown

all("[name=order]").forEach(choice => choice.addEventListener("change", () => {
  const value = each => each.values[choice.value];
  arrange(all(".gallery li"), each => value(each) === undefined ? undefined : badness(choice.value, value(each)));
}));

function choose() {
  left_out.clear();
  all("[name=shown]").forEach(box => box.checked || left_out.add(box.value));
  all("[data-entry]").forEach(each => { each.hidden = left_out.has(each.dataset.entry); });
  find(".filter output").textContent = left_out.size ? `${entries.length - left_out.size} of ${entries.length}` : "all";
  draw();
}
all("[name=shown]").forEach(box => box.addEventListener("change", choose));
all(".filter button").forEach(button => button.addEventListener("click", () => {
  all("[name=shown]").forEach(box => { box.checked = button.value === "all"; });
  choose();
}));

// The table of all numbers

const headers = all("#entries thead tr:last-child th");
headers.forEach(header => find("button", header).addEventListener("click", () => {
  const order = header.getAttribute("aria-sort");
  const next = order === null ? header.dataset.first : order === "ascending" ? "descending" : "ascending";
  headers.forEach(other => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", next);
  const metric = header.dataset.metric;
  arrange(all("#entries tbody tr"), each => metric ? each.values[metric] : each.entry, next === "ascending" ? 1 : -1);
}));

// Quality against speed, or any number against any other

const live = document.getElementById("live");
const axes = document.getElementById("axes");
const measure = document.createElement("canvas").getContext("2d");
const MARGIN = {top: 14, right: 18, bottom: 46, left: 62};

function element(name, attributes, within, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  within.append(made);
  return made;
}

// From numbers of a metric to pixels between two ends, the better the nearer to the second; logarithmic over a decade.
function scaled(metric, points, from, to) {
  const values = points.map(each => each.values[metric]);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high > 10 * low;
  for (const [a, b] of points.map(each => each.ends[metric]).filter(Boolean)) {
    if (!log || a > low / 4) low = Math.min(low, a);
    high = Math.max(high, b);
  }
  const along = log ? Math.log10 : value => value;
  const room = 0.07 * (along(high) - along(low)) || 0.5;
  const [start, end] = [along(low) - room, along(high) + room];
  const share = value => Math.min(1.02, Math.max(-0.02, (along(Math.max(value, log ? 1e-300 : value)) - start) / (end - start)));
  const turned = metrics[metric].better !== "higher";
  return {
    place: value => from + (to - from) * (turned ? 1 - share(value) : share(value)),
    ticks: (log ? decades : even)(log ? 10 ** start : start, log ? 10 ** end : end),
  };
}

function even(low, high) {
  const rough = (high - low) / 5, unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find(each => each * unit >= rough);
  return Array.from({length: Math.floor(high / step) - Math.ceil(low / step) + 1}, (_, i) => (Math.ceil(low / step) + i) * step);
}

function decades(low, high) {
  const found = few => {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      ticks.push(...few.map(each => each * 10 ** power));
    }
    return ticks.filter(each => each >= low && each <= high);
  };
  return found(Math.log10(high / low) > 2.2 ? [1] : [1, 2, 5]);
}

const plain = value => Number(value.toPrecision(6)).toLocaleString("en", {maximumSignificantDigits: 6});

// Those that no other beats in both numbers.
function front(points, x, y) {
  const costs = points.map(each => [badness(x, each.values[x]), badness(y, each.values[y])]);
  return points.filter((_, i) => !costs.some(([a, b], j) =>
    j !== i && a <= costs[i][0] && b <= costs[i][1] && (a < costs[i][0] || b < costs[i][1])));
}

function draw() {
  if (!axes) return;
  const [x, y] = [axes.elements.x.value, axes.elements.y.value];
  document.getElementById("axes-about").hidden = x !== axes.dataset.x || y !== axes.dataset.y;
  const points = entries.filter(each => !left_out.has(each.entry) && [x, y].every(name => each.values[name] !== undefined));
  const usual = !document.getElementById("axes-about").hidden;
  document.getElementById("hollow").hidden = usual || !points.some(each => each.bounds.includes(y));
  const width = live.clientWidth, height = width < 600 ? 380 : 440;
  live.replaceChildren();
  const title = name => `${metrics[name].title} ${metrics[name].unit}`.trim();
  const svg = element("svg", {width, height, role: "group", "aria-label": `${title(y)} against ${title(x)}: ${points.length} entries, each a link`}, live);
  if (!points.length) return;
  const across = scaled(x, points, MARGIN.left, width - MARGIN.right);
  const up = scaled(y, points, height - MARGIN.bottom, MARGIN.top);
  const place = each => [across.place(each.values[x]), up.place(each.values[y])];
  frame(svg, width, height, across, up, title(x), title(y));
  const best = front(points, x, y).map(place).sort((a, b) => a[0] - b[0]);
  element("path", {class: "front", d: `M${best.map(each => each.join(" ")).join("L")}`}, svg);
  points.filter(each => points.includes(named[each.teacher])).forEach(each =>
    element("path", {class: "taught", d: `M${place(named[each.teacher]).join(" ")}L${place(each).join(" ")}`}, svg));
  const leading = new Set(front(points, x, y));
  points.forEach(each => mark(svg, each, place(each), [x, y], up, leading.has(each)));
  label(svg, points.map(each => [each.entry, ...place(each)]), width, height);
}

function frame(svg, width, height, across, up, below, beside) {
  const [right, bottom] = [width - MARGIN.right, height - MARGIN.bottom];
  let last = -99;
  across.ticks.map(each => [across.place(each), plain(each)]).sort((a, b) => a[0] - b[0]).forEach(([at, text]) => {
    element("path", {class: "grid-line", d: `M${at} ${MARGIN.top}V${bottom}`}, svg);
    if (at - last > 7 * text.length + 6) element("text", {x: last = at, y: bottom + 18, "text-anchor": "middle"}, svg, text);
  });
  up.ticks.forEach(each => {
    element("path", {class: "grid-line", d: `M${MARGIN.left} ${up.place(each)}H${right}`}, svg);
    element("text", {x: MARGIN.left - 8, y: up.place(each) + 4, "text-anchor": "end"}, svg, plain(each));
  });
  element("text", {class: "axis", x: right, y: height - 8, "text-anchor": "end"}, svg, `${below}, better →`);
  element("text", {class: "axis", transform: `translate(14 ${MARGIN.top}) rotate(-90)`, "text-anchor": "end"}, svg, `${beside}, better →`);
}

// A point that says what it is to those who point at it, tab to it or hear it; a link to its section.
function mark(svg, each, [left, top], [x, y], up, leads) {
  const words = [y, x].map(name => `${metrics[name].title} ${each.texts[name]}`);
  const link = element("a", {href: `#entry-${each.entry}`, class: leads ? "point leads" : "point", "aria-label": `${each.entry}: ${words.join(", ")}`}, svg);
  if (each.ends[y]) element("path", {class: "interval", d: `M${left} ${up.place(each.ends[y][0])}V${up.place(each.ends[y][1])}`}, link);
  element("circle", {class: "target", cx: left, cy: top, r: 14}, link);
  element("circle", {class: each.bounds.includes(y) ? "dot hollow" : "dot", cx: left, cy: top, r: 6}, link);
  const show = () => {
    const tip = Object.assign(document.createElement("div"), {className: "tip"});
    tip.append(Object.assign(document.createElement("b"), {textContent: each.entry}), ...words.map(text => Object.assign(document.createElement("span"), {textContent: text})));
    live.append(tip);
    const room = live.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, left + 12))}px`;
    tip.style.top = `${top + 12 + tip.offsetHeight > live.clientHeight ? top - 12 - tip.offsetHeight : top + 12}px`;
  };
  const hide = () => all(".tip", live).forEach(tip => tip.remove());
  for (const [shown, gone] of [["pointerenter", "pointerleave"], ["focus", "blur"]]) {
    link.addEventListener(shown, () => { hide(); show(); });
    link.addEventListener(gone, hide);
  }
}

// Names where they cover neither a point nor another name; where there is no room, pointing at the point tells it.
function label(svg, places, width, height) {
  measure.font = "13px system-ui, sans-serif";
  const taken = places.map(([, x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  const free = box => box[0] > MARGIN.left && box[2] < width && box[1] > 0 && box[3] < height - MARGIN.bottom
    && !taken.some(other => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
  for (const [name, x, y] of places) {
    const wide = measure.measureText(name).width;
    const boxes = [[9, -8], [-9 - wide, -8], [-wide / 2, -24], [-wide / 2, 8], [8, -21], [8, 6], [-8 - wide, -21], [-8 - wide, 6]]
      .map(([right, down]) => [x + right, y + down, x + right + wide, y + down + 16]);
    const box = boxes.find(free);
    if (!box) continue;
    taken.push(box);
    element("text", {class: "name", x: box[0], y: box[1] + 12, "aria-hidden": "true"}, svg, name);
  }
}

if (axes) {
  const drawn = Object.keys(metrics).filter(name => metrics[name].drawn);
  Object.assign(axes.dataset, {x: "samples_per_s", y: choices.find(name => name !== "samples_per_s")});
  for (const way of ["x", "y"]) {
    const title = name => `${metrics[name].title}${metrics[name].unit ? ` (${metrics[name].unit})` : ""}`;
    axes.elements[way].append(...drawn.map(name => new Option(title(name), name)));
    axes.elements[way].value = axes.dataset[way];
    axes.elements[way].addEventListener("change", draw);
  }
  live.hidden = false;
  new ResizeObserver(draw).observe(live);
}

// Sections unfold where a link leads to; a picture of a sound plays it

function unfold() {
  const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = there; each; each = each.parentElement) if (each.localName === "details") each.open = true;
  if (there) there.scrollIntoView();
}
addEventListener("hashchange", unfold);
if (location.hash) unfold();

// Beside the samples of a section that unfolds stand the real examples, which the page holds once.
all(".entry").forEach(each => each.addEventListener("toggle", () => {
  const samples = find(".samples", each), real = find("#real > figure");
  if (!samples || samples.children.length > 1 || !real || !find("img.grid", real)) return;
  samples.classList.add("pair");
  samples.append(real.cloneNode(true));
}));

all(".play").forEach(link => link.addEventListener("click", event => {
  event.preventDefault();
  all("audio").forEach(other => other.pause());
  const sound = document.getElementById(link.hash.slice(1));
  sound.currentTime = 0;
  sound.play();
}));

// On paper nothing can be opened.
addEventListener("beforeprint", () => all("details").forEach(each => { each.open = true; }));
