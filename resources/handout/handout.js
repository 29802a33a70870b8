"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const words = data.words;
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const sections = [...document.querySelectorAll("section")];

// From one step to the next: buttons, Page Down as a clicker sends it, and the arrows where nothing else wants them.
const shown = () => {
  const top = sections.map((s) => s.getBoundingClientRect().top);
  let at = 0;
  top.forEach((y, n) => { if (y < window.innerHeight / 2) at = n; });
  return at;
};
const say = () => {
  document.getElementById("where").textContent = fill(words.place, {n: shown() + 1, count: sections.length});
};
const go = (by) => {
  const to = sections[Math.min(Math.max(shown() + by, 0), sections.length - 1)];
  to.scrollIntoView();
  to.focus({preventScroll: true});
};
document.getElementById("next").addEventListener("click", () => go(1));
document.getElementById("back").addEventListener("click", () => go(-1));
document.addEventListener("scroll", say, {passive: true});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
  const by = {PageDown: 1, ArrowRight: 1, PageUp: -1, ArrowLeft: -1}[event.key];
  if (by) { event.preventDefault(); go(by); }
});
say();

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// What stands in the cell under the pointer, by its tensor and index, and a click opens it where it is opened below.
const space = "http://www.w3.org/2000/svg";
for (const [id, groups] of Object.entries(data.cells)) {
  const figure = document.getElementById(id), svg = figure.querySelector("svg"), told = figure.querySelector(".told");
  const lit = document.createElementNS(space, "rect");
  lit.setAttribute("data-lit", "");
  lit.setAttribute("visibility", "hidden");
  svg.append(lit);
  const found = (event) => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    for (const group of groups) {
      const [left, top, width, height] = group.at, [rows, columns] = group.shape;
      if (x < left || y < top || x >= left + width || y >= top + height) continue;
      const row = Math.floor((y - top) / height * rows), column = Math.floor((x - left) / width * columns);
      const at = group.stride === null ? row * group.width + column : group.start + row * group.stride + column;
      const value = group.values[at];
      if (value === null || value === undefined) continue;
      const r = group.stride === null ? row : 0, c = group.stride === null ? column : at;
      const col = group.cols ? group.cols[c] : group.first[1] + c;
      const places = {row: group.rows ? group.rows[r] : group.first[0] + r, col: col,
        group: Math.floor(col / group.group), within: col % group.group};
      const index = group.index.map((i) => typeof i === "string" ? places[i] : i);
      const w = width / columns, h = height / rows;
      return {group, index, value, at: [left + column * w, top + row * h, w, h]};
    }
    return null;
  };
  svg.addEventListener("pointermove", (event) => {
    const cell = found(event);
    lit.setAttribute("visibility", cell ? "visible" : "hidden");
    if (!cell) { told.textContent = ""; return; }
    ["x", "y", "width", "height"].forEach((name, n) => lit.setAttribute(name, cell.at[n]));
    const axes = cell.group.axes.map((axis, n) => `${axis} ${cell.index[n]}`).join(", ");
    told.textContent = `${cell.group.name}[${cell.index.join(", ")}] = ${cell.value}` + (axes ? ` · ${axes}` : "");
  });
  svg.addEventListener("pointerleave", () => lit.setAttribute("visibility", "hidden"));
  svg.addEventListener("click", (event) => {
    const cell = found(event);
    if (!cell) return;
    const name = `${cell.group.name}[${cell.index.join(", ")}]`;
    for (const one of figure.parentElement.querySelectorAll("details[data-cell]")) {
      if (one.dataset.cell !== name) continue;
      one.open = true;
      one.querySelector("summary").focus();
    }
  });
}

// Questions: what comes after one is covered until it is answered; one nudge after a miss, then what is so.
for (const [n, ask] of Object.entries(data.asks)) {
  const place = document.querySelector(`[data-ask="${n}"]`), after = document.getElementById(`s${Number(n) + 1}`);
  const verdict = place.querySelector(".verdict");
  let misses = 0;
  const cover = (on) => {
    after.classList.toggle("covered", on);
    if (on) after.dataset.covered = words.covered;
  };
  const judge = (right) => {
    if (right || ++misses > 1) {
      verdict.textContent = `${right ? words.right : words.wrong} ${ask.truth}`;
      cover(false);
    } else verdict.textContent = ask.nudge || words.again;
  };
  cover(true);
  place.querySelectorAll("[data-answer]").forEach((button) => button.addEventListener("click", () => {
    place.querySelectorAll("[data-answer]").forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    judge(ask.right.includes(Number(button.dataset.answer)));
  }));
  const form = place.querySelector("form");
  if (form) form.addEventListener("submit", (event) => {
    event.preventDefault();
    judge(form.querySelector("input").value.trim() === ask.text);
  });
  place.querySelector(".reveal").addEventListener("click", () => { verdict.textContent = ask.truth; cover(false); });
}

// Sampling on the model's own logits: temperature, then top-k, then top-p, as the program does it.
const share = (p) => p > 0 && p < 0.00005 ? "<0.01 %" : p >= 0.99995 && p < 1 ? ">99.99 %" : `${(100 * p).toFixed(2)} %`;
data.tries.forEach((one, n) => {
  const place = document.querySelector(`[data-try="${n}"]`);
  const bytes = Uint8Array.from(atob(one.logits), (c) => c.charCodeAt(0));
  const logits = new Float32Array(bytes.buffer), count = logits.length;
  const set = {t: 1, k: 0, p: 1};
  place.querySelectorAll("input[type=number]").forEach((input) => { set[input.dataset.set] = Number(input.value); });
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(set)) if (asked.has(name) && isFinite(asked.get(name))) set[name] = Number(asked.get(name));
  let final = [], sums = [];
  const show = (landed) => {
    place.querySelectorAll("[data-set]").forEach((input) => {
      if (input !== document.activeElement) input.value = set[input.dataset.set];
    });
    const weights = new Float64Array(count);
    const total = new Float64Array(count);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      weights[i] = Math.exp((logits[i] - logits[0]) / set.t);
      total[i] = sum += weights[i];
    }
    const topK = set.k ? Math.min(set.k, count) : count;
    let kept = topK;
    if (set.p < 1) {
      kept = 1;
      while (kept < topK && total[kept - 1] / total[topK - 1] < set.p) kept++;
    }
    final = weights.slice(0, kept).map((w) => w / total[kept - 1]);
    sums = total.slice(0, kept).map((w) => w / total[kept - 1]);
    const body = place.querySelector("tbody");
    body.textContent = "";
    for (let i = 0; i < Math.min(12, kept); i++) {
      const row = body.insertRow(), bar = document.createElement("i");
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = one.labels[i];
      row.append(name);
      bar.style.width = `${100 * final[i] / final[0]}%`;
      row.insertCell().append(bar);
      const cell = row.insertCell();
      cell.textContent = share(final[i]);
      cell.dataset.share = final[i];
      if (i === landed) row.className = "drawn-row";
    }
    const line = place.querySelector(".kept");
    line.textContent = fill(words.kept, {kept: kept, count: count});
    line.dataset.kept = kept;
  };
  place.querySelectorAll("[data-set]").forEach((input) => input.addEventListener("input", () => {
    const value = Number(input.value), name = input.dataset.set;
    if (input.value === "" || !(value >= (name === "k" ? 0 : 0.01)) || (name === "p" && value > 1)) return;
    set[name] = name === "k" ? Math.round(value) : value;
    place.querySelector(".drawn").textContent = "";
    show();
  }));
  place.querySelector(".draw").addEventListener("click", () => {
    const u = Math.random();
    let landed = 0;
    while (landed < sums.length - 1 && sums[landed] <= u) landed++;
    show(landed);
    place.querySelector(".drawn").textContent = fill(words.drawn, {u: u.toFixed(4), token: one.labels[landed]});
  });
  show();
});
})();
