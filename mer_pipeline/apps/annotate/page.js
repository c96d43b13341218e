"use strict";
// What is seen, and the keys.

function render() {
  const one = entry(), counts = {};
  for (const each of work.entries) counts[each.status] = (counts[each.status] || 0) + 1;
  Object.assign(films[at], { open: counts.open || 0, accepted: counts.accepted || 0 });
  $("film").options[at].textContent = titled(films[at]);
  $("counts").textContent = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  $("title").textContent = one ? `Mark ${chosen + 1} of ${work.entries.length}: ${one.status}` : "No mark: N makes one at this frame";
  for (const id of ["accept", "reject", "kind", "aus", "emotion", "note"]) $(id).disabled = !one;
  $("undo").disabled = !undo.length;
  $("redo").disabled = !redo.length;
  $("kind").textContent = one ? `${one.kind} ` : "Kind ";
  $("kind").append(make("kbd", "M"));
  for (const name of ["emotion", "note", "aus"]) fill($(name), one ? one[name] : "");
  fill($("subject"), work.subject);
  $("subject").placeholder = film.person || "unknown";
  explain();
  renderEntries();
  renderPoints(one);
  renderTimelines();
  renderWorking();
}

function fill(field, text) {
  if (document.activeElement === field) return;
  field.value = text;
  if (field.id !== "aus") field.setAttribute("aria-invalid", "false");
}

function lasts(one) { return `${Math.round(1000 * (one.offset_frame - one.onset_frame) / film.fps)} ms`; }

function renderEntries() {
  const sign = { open: "\u00b7", accepted: "\u2713", rejected: "\u2717" };
  $("entries").replaceChildren(...work.entries.map((each, n) => {
    const row = make("li", "", each.status), button = make("button");
    button.type = "button";
    const sure = make("b", sign[each.status]);
    sure.title = each.status;
    const frames = `${each.onset_frame}\u2013${each.apex_frame}\u2013${each.offset_frame}`;
    const what = [each.kind, each.aus, each.emotion, each.note, each.flags && `(${each.flags})`].filter(Boolean).join(", ");
    button.append(sure, make("span", `${frames}, ${what}`, "what"), make("span", lasts(each), "soft"));
    if (wrong[each.aus]) button.children[1].append(make("span", " \u2013 these are no Action Units", "bad"));
    button.setAttribute("aria-label", `${each.status}: ${frames}, ${what}${wrong[each.aus] ? ": no Action Units" : ""}`);
    if (n === chosen) button.setAttribute("aria-current", "true");
    button.onclick = event => {
      choose(n);
      if (!event.detail) $("entries").children[chosen].firstChild.focus(); // pressed by the keyboard
    };
    row.append(button);
    return row;
  }));
}

function renderPoints(one) {
  if (!$("points").children.length) $("points").append(...POINTS.map((point, n) => {
    const box = make("div", "", "point"), canvas = make("canvas"), bar = make("div", "", "bar");
    canvas.setAttribute("role", "img");
    const hold = make("button", "Move "), here = make("button", "Here ");
    hold.append(make("kbd", n + 1));
    here.append(make("kbd", "OAF"[n]));
    hold.type = here.type = "button";
    hold.dataset.key = String(n + 1);
    here.dataset.key = "oaf"[n];
    hold.setAttribute("aria-label", `move the ${point} with the arrows`);
    here.setAttribute("aria-label", `${point} at this frame`);
    bar.append(hold, here);
    box.append(canvas, make("p"), bar);
    return box;
  }));
  POINTS.forEach((point, n) => {
    const [canvas, text, bar] = $("points").children[n].children, at = one ? one[`${point}_frame`] : null;
    text.textContent = one ? `${point} ${at}` : point;
    canvas.setAttribute("aria-label", one ? `${point}, frame ${at}` : `no ${point}`);
    bar.children[0].setAttribute("aria-pressed", String(held === point));
    for (const button of bar.children) button.disabled = !one;
    if (one) paint(canvas, at);
    else { canvas.dataset.wanted = ""; canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height); }
  });
}

// From which frame to which the upper strip shows: the mark and a second around it.
function nearby() {
  const one = entry(), around = Math.round(film.fps);
  const low = Math.min(frame, one && Math.abs(one.apex_frame - frame) < 8 * around ? one.onset_frame : frame) - around;
  const high = Math.max(frame, one && Math.abs(one.apex_frame - frame) < 8 * around ? one.offset_frame : frame) + around;
  return [Math.max(0, low), Math.min(film.frames - 1, high)];
}

function renderTimelines() {
  if (!film) return;
  strip($("near"), ...nearby(), 100, true);
  strip($("whole"), 0, film.frames - 1, 60, false);
}

function strip(svg, low, high, height, near) {
  const x = n => 1000 * (n - low) / Math.max(1, high - low), parts = [];
  const color = { open: "var(--micro)", accepted: "var(--accepted)", rejected: "var(--edge)" };
  for (const [kind, first, last] of film.events) {
    if (last < low || first > high) continue;
    const event = draw("rect", { x: x(first), y: height - 6, width: Math.max(2, x(last) - x(first)), height: 6, fill: "var(--edge)" });
    event.append(draw("title", {}));
    event.firstChild.textContent = kind;
    parts.push(event);
  }
  work.entries.forEach((each, n) => {
    if (each.offset_frame < low || each.onset_frame > high) return;
    const width = Math.max(near ? 2 : 4, x(each.offset_frame) - x(each.onset_frame));
    parts.push(draw("rect", { x: x(each.onset_frame), y: n === chosen ? 0 : 8, width, height: height - 8, fill: color[each.status],
      "fill-opacity": each.status === "rejected" ? 0.25 : 0.5, stroke: n === chosen ? "var(--ink)" : "none", "vector-effect": "non-scaling-stroke" }));
    if (near) parts.push(line(x(each.apex_frame), height, color[each.status], 2));
  });
  const points = film.energy.length, most = Math.max(0.5, ...film.energy.filter(value => value !== null));
  let path = "", broken = true;
  for (let k = Math.max(0, Math.floor(low * points / film.frames) - 1); k < points && k * film.frames / points <= high + film.frames / points; k++) {
    const value = film.energy[k];
    if (value === null) { broken = true; continue; }
    path += `${broken ? "M" : "L"}${x(k * film.frames / points).toFixed(1)} ${(height - 8 - (height - 16) * value / most).toFixed(1)}`;
    broken = false;
  }
  parts.push(draw("path", { d: path || "M0 0", fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
  parts.push(line(x(frame), height, "var(--accent)", 3));
  svg.replaceChildren(...parts);
  svg.onpointerdown = svg.onpointermove = event => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = svg.getBoundingClientRect();
    stop();
    if (event.type === "pointerdown") { held = null; svg.setPointerCapture(event.pointerId); svg.dataset.low = low; svg.dataset.high = high; }
    const [from, to] = [Number(svg.dataset.low), Number(svg.dataset.high)];
    show(Math.round(from + (to - from) * clamp((event.clientX - box.left) / box.width, 0, 1)));
  };
  svg.onpointerup = event => {
    const found = work.entries.findIndex(each => each.onset_frame <= frame && frame <= each.offset_frame);
    if (!near && found >= 0 && event.type === "pointerup") choose(found);
    else render();
  };
}

function line(x, height, color, width) {
  return draw("line", { x1: x, x2: x, y1: 0, y2: height, stroke: color, "stroke-width": width, "vector-effect": "non-scaling-stroke" });
}

function renderWorking() {
  const now = films[at] && films[at].candidates;
  if (!now) return;
  const share = now.progress ? ` ${Math.round(100 * now.progress[0] / now.progress[1])}\u00a0%` : "";
  $("working").textContent = { waiting: "candidates: waiting", working: `spotting${share}`, failed: "no candidates", off: "", done: "motion of the skin" }[now.state];
}

function renderOwner() {
  const text = owner === null ? "clips.csv is written with the first mark that is accepted." : `clips.csv of the folder is ${owner === coder ? "yours" : `${owner}'s`}. `;
  $("dataset").textContent = text;
  if (owner === null || owner === coder) return;
  const take = make("button", "Use mine");
  take.onclick = async () => {
    try { owner = (await get(`dataset?${as()}`, { method: "PUT" })).owner; renderOwner(); } catch (error) { trouble(error.message); }
  };
  $("dataset").append(take);
}

// --- agreement ----------------------------------------------------------------------------------------------------
async function compare() {
  const found = await list();
  for (const [n, id] of [[0, "first"], [1, "second"]]) {
    const before = $(id).value;
    $(id).replaceChildren(...found.coders.map(name => make("option", name)));
    $(id).value = found.coders.includes(before) ? before : found.coders[n] || "";
    $(id).onchange = agree;
  }
  if (!$("agreement").open) $("agreement").showModal();
  agree();
}

async function agree() {
  const out = $("agreed");
  if (!$("first").value || !$("second").value || $("first").value === $("second").value) {
    out.replaceChildren(make("p", "Two coders are needed: each marks the films under a name of their own."));
    return;
  }
  try {
    const found = await get(`agreement?first=${encodeURIComponent($("first").value)}&second=${encodeURIComponent($("second").value)}`);
    const rows = [["all films", found.all], ...Object.entries(found.films)].map(([name, each]) => {
      const ms = point => each.errors[point] ? `${each.errors[point].absolute_ms} ms` : "\u2013";
      const kappa = each.kappa.any === null ? "\u2013" : each.kappa.any.toFixed(2), all = each.scores.all;
      return [name, all.f1.toFixed(2), kappa, `${all.tp} / ${all.fn} / ${all.fp}`, ms("onset"), ms("apex"), ms("offset")];
    });
    const wide = make("div", "", "wide");
    wide.append(table(["film", "F1", "kappa", "both / first / second", "onset", "apex", "offset"], rows));
    const said = ["F1: intervals that match (intersection over union of at least 0.5). Kappa: over frames. Onset, apex, offset: how far apart, on average, where intervals match."];
    if (found.open) said.push(`${found.open} candidates are still open.`);
    out.replaceChildren(wide, ...said.map(text => make("p", text, "soft")));
  } catch (error) { out.replaceChildren(make("p", error.message, "bad")); }
}

function table(head, rows) {
  const whole = make("table"), top = make("tr");
  for (const name of head) { const cell = make("th", name); cell.scope = "col"; top.append(cell); }
  whole.append(top, ...rows.map(cells => { const row = make("tr"); row.append(...cells.map(text => make("td", text))); return row; }));
  return whole;
}

// --- keys ---------------------------------------------------------------------------------------------------------
const KEYS = new Map([
  ["ArrowLeft", ["one frame back, or the point that is held", () => go(-1)]],
  ["ArrowRight", ["one frame on, or the point that is held", () => go(1)]],
  ["Shift+ArrowLeft", ["ten frames back", () => go(-STEP)]],
  ["Shift+ArrowRight", ["ten frames on", () => go(STEP)]],
  ["Home", ["first frame", () => { stop(); show(0); }]],
  ["End", ["last frame", () => { stop(); show(film.frames - 1); }]],
  ["ArrowUp", ["mark before", () => next(chosen, -1)]],
  ["ArrowDown", ["mark after", () => next(chosen, 1)]],
  ["Enter", ["accept, and go to the next open mark", () => judge("accepted")]],
  ["x", ["reject, and go to the next open mark", () => judge("rejected")]],
  ["r", ["open again", () => { if (entry()) change(() => { entry().status = "open"; }); }]],
  ["1", ["take hold of the onset: the arrows move it; again to let go", () => grab("onset")]],
  ["2", ["take hold of the apex", () => grab("apex")]],
  ["3", ["take hold of the offset", () => grab("offset")]],
  ["o", ["onset at this frame", () => put("onset", frame)]],
  ["a", ["apex at this frame", () => put("apex", frame)]],
  ["f", ["offset at this frame", () => put("offset", frame)]],
  ["n", ["new mark from this frame on", add]],
  ["m", ["micro or macro", () => { if (entry()) change(() => { entry().kind = entry().kind === "micro" ? "macro" : "micro"; }); }]],
  ["u", ["write Action Units; Enter goes back to the film", () => $("aus").focus()]],
  ["e", ["write the emotion", () => $("emotion").focus()]],
  ["t", ["write a note", () => $("note").focus()]],
  ["w", ["write who is seen", () => $("subject").focus()]],
  ["z", ["undo", () => step(undo, redo)]],
  ["y", ["redo", () => step(redo, undo)]],
  ["PageUp", ["film before", () => pick(at - 1)]],
  ["PageDown", ["film after", () => pick(at + 1)]],
  [" ", ["play, stop", () => play(1, frame >= film.frames - 1 ? 0 : frame, film.frames - 1, false)]],
  ["l", ["play the mark at a quarter of its speed, over and over", () => { if (entry()) play(0.25, entry().onset_frame, entry().offset_frame, true); }]],
  ["b", ["show the onset in the place of this frame; again to go back", () => peek(!peeking)]],
  ["+", ["larger", () => enlarge(zoom * 1.5)]],
  ["-", ["smaller", () => enlarge(zoom / 1.5)]],
  ["Escape", ["let go, stop", () => { held = null; stop(); peek(false); render(); }]],
  ["g", ["agreement of two coders", compare]],
  ["?", ["these keys", () => $("keys").showModal()]],
]);

function pick(n) { if (n >= 0 && n < films.length) open(n); }

function peek(on) {
  peeking = on && !!entry();
  $("blink").setAttribute("aria-pressed", String(peeking));
  show(frame);
}

function enlarge(by) {
  zoom = clamp(by, 1, 6);
  $("picture").style.transform = zoom === 1 ? "" : `scale(${zoom})`;
}

function press(name) { if (film && KEYS.has(name)) KEYS.get(name)[1](); }

addEventListener("keydown", event => {
  const target = event.target, writes = target.matches("input, select, textarea");
  if (document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && !writes && "zy".includes(event.key.toLowerCase())) {
    event.preventDefault();
    return press(event.shiftKey || event.key.toLowerCase() === "y" ? "y" : "z");
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (writes) {
    if (target.matches("input") && ["Enter", "Escape"].includes(event.key)) { event.preventDefault(); target.blur(); }
    return;
  }
  // A button that has the focus is pressed by these.
  if (target.matches("button") && [" ", "Enter"].includes(event.key)) return;
  const plain = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : plain;
  if (!film || !KEYS.has(name)) return;
  event.preventDefault();
  press(name);
});

document.addEventListener("click", event => {
  const button = event.target.closest("[data-key]");
  if (!button) return;
  press(button.dataset.key);
  // After the pointer, the keys go to the film again; who presses a button by the keyboard stays on it.
  if (event.detail) button.blur();
});

$("picture").onclick = event => {
  const box = event.target.getBoundingClientRect();
  event.target.style.transformOrigin = `${100 * (event.clientX - box.left) / box.width}% ${100 * (event.clientY - box.top) / box.height}%`;
  enlarge(zoom > 1 ? 1 : 2.5);
};
$("aus").oninput = () => type($("aus"), entry(), "aus");
$("emotion").oninput = () => type($("emotion"), entry(), "emotion");
$("note").oninput = () => type($("note"), entry(), "note");
$("subject").oninput = () => type($("subject"), work, "subject");
$("film").onchange = () => { open(Number($("film").value)); $("film").blur(); };
$("coder").onchange = () => become($("coder").value);
$("entry").onsubmit = event => event.preventDefault();
$("show-keys").onclick = () => $("keys").showModal();
$("show-agreement").onclick = compare;
addEventListener("beforeunload", event => { if (unsaved || saving) event.preventDefault(); });

async function begin() {
  const shown = { " ": "Space", ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193",
    "Shift+ArrowLeft": "Shift \u2190", "Shift+ArrowRight": "Shift \u2192" };
  $("key-table").replaceChildren(...[...KEYS].map(([key, [words]]) => {
    const row = make("div"), cell = make("dt");
    cell.append(make("kbd", shown[key] || (key.length === 1 ? key.toUpperCase() : key)));
    row.append(cell, make("dd", words));
    return row;
  }));
  const facts = await get("facts");
  document.title = `${facts.folder} \u2013 mer annotate`;
  $("emotions").replaceChildren(...facts.emotions.map(name => { const option = make("option"); option.value = name; return option; }));
  films = (await list()).films;
  await become(facts.coder || localStorage.getItem("mer annotate coder") || "");
  watch();
}

begin().catch(error => trouble(error.message));
