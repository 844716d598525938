"use strict";
// The page keeps its state behind '#': q=what is searched, o=order, f=the feature that is open.
// Tests read from the body how long it took until the list stood there, and what went wrong.
addEventListener("error", (event) => { document.body.dataset.error = event.message || `not loaded: ${event.target.src}`; }, true);
const element = (id) => document.getElementById(id);
const make = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const shown = (token) => token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ +/, (spaces) => "·".repeat(spaces.length));
const figure = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
const percent = (share) => (100 * share >= 0.995 ? (100 * share).toFixed(1) : (100 * share).toPrecision(2)) + " %";
const STEP = 200;
let index = null, places = new Map(), shownRows = [], listed = 0, wanted = "";
const chunks = new Map(), waiting = new Map();

function narrows(data) {
  if (data.features) begin(data);
  else {
    chunks.set(data.place, data.whole);
    (waiting.get(data.place) || []).forEach((go) => go());
    waiting.delete(data.place);
  }
}

function begin(data) {
  index = data;
  data.features.forEach((row, place) => {
    places.set(row[0], place);
    // What is searched: the tokens at which it fires most, and those that it promotes.
    row.push(row[3].join("\n").toLowerCase(), row[4].join("\n").toLowerCase());
  });
  document.title = `Features of ${data.model} at ${data.tap}`;
  element("title").textContent = `Features at ${data.tap}`;
  element("subtitle").textContent =
    `${data.model}, ${data.basis}: ${data.features.length.toLocaleString("en")} of ${data.count.toLocaleString("en")} features over ${data.tokens.toLocaleString("en")} tokens`;
  element("search").addEventListener("input", () => { go({ q: element("search").value || null }); });
  element("order").addEventListener("change", () => { go({ o: element("order").value }); });
  addEventListener("hashchange", draw);
  addEventListener("keydown", step);
  draw();
  document.body.dataset.ready = Math.round(performance.now());
}

function state() {
  return new URLSearchParams(location.hash.slice(1));
}

function go(changes) {
  const next = state();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) next.delete(key);
    else next.set(key, value);
  }
  history.replaceState(null, "", "#" + next);
  draw();
}

// A leading space may be typed as the list shows it.
function sought(query) {
  return (query.includes("·") ? query.replace(/·/g, " ") : query.trim()).toLowerCase();
}

// Digits are numbers of features and tokens as well.
function hit(row) {
  if (/^\d+$/.test(wanted) && String(row[0]).startsWith(wanted)) return "number";
  if (row[5].includes(wanted)) return "fires";
  return row[6].includes(wanted) ? "promotes" : "";
}

const orders = {
  number: (a, b) => a[0] - b[0],
  dense: (a, b) => b[1] - a[1] || a[0] - b[0],
  rare: (a, b) => (a[1] || 2) - (b[1] || 2) || a[0] - b[0],
  large: (a, b) => b[2] - a[2] || a[0] - b[0],
};

function draw() {
  const now = state();
  const query = now.get("q") || "";
  if (element("search").value !== query) element("search").value = query;
  const order = orders[now.get("o")] ? now.get("o") : "number";
  element("order").value = order;
  wanted = sought(query);
  shownRows = index.features.filter((row) => !wanted || hit(row)).sort(orders[order]);
  element("found").textContent = `${shownRows.length.toLocaleString("en")} found`;
  listed = 0;
  element("list").replaceChildren();
  const open = now.get("f") === null ? shownRows[0] && shownRows[0][0] : Number(now.get("f"));
  // What is open stands in the list, however far down.
  const place = shownRows.findIndex((row) => row[0] === open);
  do more(); while (listed <= place);
  if (places.has(open)) load(open);
  else element("feature").replaceChildren(make("p", query ? "Nothing is found." : "There is no such feature."));
}

function more() {
  const list = element("list");
  const last = list.querySelector("button");
  if (last) last.remove();
  const open = state().get("f");
  for (const row of shownRows.slice(listed, listed + STEP)) {
    const link = make("a");
    link.href = address(row[0]);
    link.dataset.feature = row[0];
    if (String(row[0]) === open) link.setAttribute("aria-current", "true");
    link.append(make("span", row[0], "number"), summary(row), make("span", percent(row[1]), "share"));
    list.append(link);
  }
  listed += STEP;
  if (listed < shownRows.length) {
    const button = make("button", `${(shownRows.length - listed).toLocaleString("en")} more`);
    button.addEventListener("click", more);
    list.append(button);
  }
}

// The tokens of a row of the list. One that is found only for what it promotes says so.
function summary(row) {
  const part = make("span", undefined, "tokens");
  if (wanted && hit(row) === "promotes") {
    part.classList.add("promotes");
    part.append(make("small", "promotes "));
    row[4].filter((token) => token.toLowerCase().includes(wanted)).forEach((token) => part.append(make("i", shown(token))));
    return part;
  }
  [...new Set(row[3])].forEach((token) => part.append(make("i", shown(token))));
  if (!row[3].length) part.append(make("small", "never fires"));
  return part;
}

function address(feature) {
  const next = state();
  next.set("f", feature);
  return "#" + next;
}

function step(event) {
  if (event.target.tagName === "INPUT" || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const open = Number(state().get("f"));
  const place = shownRows.findIndex((row) => row[0] === open);
  const next = shownRows[place + (event.key === "ArrowRight" ? 1 : -1)];
  if (next) location.hash = address(next[0]);
}

function load(feature) {
  const place = Math.floor(places.get(feature) / index.chunk);
  const open = () => show(chunks.get(place).find((own) => own.feature === feature));
  if (chunks.has(place)) return open();
  if (waiting.has(place)) { waiting.get(place).push(open); return; }
  waiting.set(place, [open]);
  const script = make("script");
  script.src = `data/${String(place).padStart(3, "0")}.js`;
  document.head.append(script);
}

function bars(title, rows, kind) {
  const part = make("div");
  part.append(make("h3", title));
  const most = Math.max(...rows.map((row) => Math.abs(row[1])), 1e-9);
  for (const [token, weight] of rows) {
    const line = make("div", undefined, "bar " + kind);
    line.append(make("span", shown(token), "token"));
    const bar = make("i");
    bar.style.width = `${(100 * Math.abs(weight)) / most}%`;
    line.append(bar, make("span", figure(weight), "number"));
    part.append(line);
  }
  return part;
}

function histogram(own) {
  const part = make("div");
  part.append(make("h3", "Codes that are not 0"));
  const most = Math.max(...own.histogram, 1);
  const name = "http:" + "//www.w3.org/2000/svg";
  const svg = document.createElementNS(name, "svg");
  svg.setAttribute("viewBox", `0 0 ${own.histogram.length} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  own.histogram.forEach((count, bin) => {
    const rect = document.createElementNS(name, "rect");
    // A root, so that rare large codes can be seen.
    const height = 100 * Math.sqrt(count / most);
    for (const [key, value] of [["x", bin + 0.06], ["width", 0.88], ["y", 100 - height], ["height", height]]) rect.setAttribute(key, value);
    const title = document.createElementNS(name, "title");
    title.textContent = `${count} tokens`;
    rect.append(title);
    svg.append(rect);
  });
  const axis = make("div", undefined, "axis");
  axis.append(make("span", "0"), make("span", "heights: square roots of counts"), make("span", figure(own.largest)));
  part.append(svg, axis);
  return part;
}

function context([tokens, codes, peak], largest) {
  const line = make("div", undefined, "context");
  tokens.forEach((token, place) => {
    const span = make("span", token.replace(/\n/g, "↵"), place === peak ? "peak" : "");
    const share = codes[place] / largest;
    if (share > 0) {
      span.style.background = `rgba(var(--warm), ${(0.12 + 0.68 * share).toFixed(3)})`;
      span.title = figure(codes[place]);
      span.dataset.code = codes[place];
    }
    line.append(span);
  });
  return line;
}

function links(title, others) {
  const part = make("div", undefined, "links");
  const there = others.filter(([feature]) => places.has(feature));
  if (there.length) part.append(make("h3", title));
  for (const [feature, value] of there) {
    const link = make("a", `${feature} `);
    link.href = address(feature);
    const row = index.features[places.get(feature)];
    link.append(make("small", `${row[3].length ? shown(row[3][0]) : "–"} ${value.toFixed(2)}`));
    part.append(link);
  }
  return part;
}

function show(own) {
  const page = element("feature");
  page.replaceChildren(make("h2", `Feature ${own.feature}`));
  const facts = make("p", undefined, "facts");
  for (const [name, value] of [["fires at", percent(own.density)], ["largest code", figure(own.largest)], ["mean code", figure(own.mean)]]) {
    const fact = make("span", name + " ");
    fact.append(make("b", value));
    facts.append(fact);
  }
  page.append(facts);
  const columns = make("div", undefined, "columns");
  if (own.promoted.length) columns.append(bars("Tokens that it promotes", own.promoted, "high"), bars("Tokens that it suppresses", own.suppressed, "low"));
  columns.append(histogram(own));
  page.append(columns);
  page.append(links("Near: cosine of directions", own.near));
  const some = index.one_in > 1 ? `, counted at one token in ${index.one_in.toLocaleString("en")}` : "";
  page.append(links(`Together: share of common tokens${some}`, own.together));
  if (!own.top.length) page.append(make("p", "It never fires in this text."));
  else page.append(make("h3", "Where it fires most"));
  own.top.forEach((one) => page.append(context(one, own.largest)));
  own.bands.forEach((band, place) => {
    if (!band.length) return;
    const parts = own.bands.length;
    page.append(make("h3", `Drawn from codes of ${(100 * (parts - 1 - place)) / parts} to ${(100 * (parts - place)) / parts} % of the largest`));
    band.forEach((one) => page.append(context(one, own.largest)));
  });
  const list = element("list");
  list.querySelectorAll("a").forEach((link) => {
    if (link.dataset.feature !== String(own.feature)) return link.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    // Only the list is scrolled, and only if the row is out of sight.
    const row = link.getBoundingClientRect(), box = list.getBoundingClientRect();
    if (row.top < box.top || row.bottom > box.bottom) list.scrollTop += row.top - box.top - box.height / 3;
  });
}
