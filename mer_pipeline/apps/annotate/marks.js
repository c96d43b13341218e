"use strict";
// One film, one coder. Every change makes the marks anew, goes to the undo list, and is sent at once; while the server
// does not answer it is kept in the browser, and sent again.
const $ = id => document.getElementById(id);
const POINTS = ["onset", "apex", "offset"], MOST_PICTURES = 32, STEP = 10;
const writer = crypto.getRandomValues(new Uint32Array(4)).join("-");
let films = [], at = -1, film = null, coder = "", owner = null, wrong = {};
let work = { revision: 0, subject: "", entries: [] }, chosen = -1, frame = 0, held = null, zoom = 1;
let undo = [], redo = [], group = "", unsaved = false, saving = null, playing = 0, peeking = false;
const pictures = new Map();

const get = async (path, options) => {
  const answer = await fetch(path, options), values = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(values.error || `the server refused it (${answer.status})`), { status: answer.status });
  return values;
};
const as = () => `coder=${encodeURIComponent(coder)}`;
const seconds = n => `${(n / film.fps).toFixed(3)} s`;
const entry = () => work.entries[chosen];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function make(tag, text = "", cls = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (cls) element.className = cls;
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function trouble(text = "") { $("trouble").textContent = text; $("trouble").hidden = !text; }

// --- what is kept -------------------------------------------------------------------------------------------------
const place = () => `mer annotate ${location.pathname} ${film.name} ${coder}`;

function change(act, tag = "") {
  const before = JSON.stringify([work.entries, work.subject, chosen]);
  act();
  if (JSON.stringify([work.entries, work.subject, chosen]) === before) return;
  if (!tag || tag !== group) undo.push(before);
  group = tag;
  redo = [];
  keep();
}

function step(from, to) {
  if (!from.length) return;
  to.push(JSON.stringify([work.entries, work.subject, chosen]));
  [work.entries, work.subject, chosen] = JSON.parse(from.pop());
  group = "";
  keep();
  if (entry()) show(entry()[held ? `${held}_frame` : "apex_frame"]);
}

function keep() {
  unsaved = true;
  localStorage.setItem(place(), JSON.stringify({ ...work, writer }));
  render();
  saving = saving || send().finally(() => { saving = null; });
}

async function send() {
  while (unsaved) {
    const sent = JSON.stringify({ ...work, writer });
    unsaved = false;
    $("saved").textContent = "saving";
    try {
      const kept = await get(`films/${at}?${as()}`, { method: "PUT", headers: { "Content-Type": "application/json" }, body: sent, keepalive: sent.length < 60000 });
      work.revision = kept.revision;
      owner = kept.owner;
      if (JSON.stringify(wrong) !== JSON.stringify(kept.wrong)) { wrong = kept.wrong; renderEntries(); }
      trouble();
      if (!unsaved) { localStorage.removeItem(place()); $("saved").textContent = "saved"; }
      renderOwner();
    } catch (error) {
      if (error.status === 409) {
        localStorage.removeItem(place());
        setTimeout(() => open(at).then(() => trouble(error.message)));
        return;
      }
      if (error.status) { $("saved").textContent = "not saved"; trouble(error.message); return; }
      unsaved = true;
      $("saved").textContent = "not saved";
      trouble("The server does not answer: is mer annotate still running? What you mark is kept in this browser and sent when it answers.");
      await new Promise(resolve => setTimeout(resolve, 1000));
    }
  }
}

// --- films --------------------------------------------------------------------------------------------------------
async function open(number) {
  if (saving) await saving;
  stop();
  trouble();
  const before = at;
  at = number;
  $("film").value = at;
  let found;
  try { found = await get(`films/${at}?${as()}`); } catch (error) { at = before; trouble(error.message); $("film").value = before; return; }
  if (before !== at) { pictures.clear(); undo = []; redo = []; group = ""; chosen = -1; held = null; frame = 0; }
  const seen = before === at ? work.entries : [], own_at = entry() && JSON.stringify(entry());
  film = found;
  work = found.work;
  wrong = found.wrong;
  if (seen.length) follow(seen, own_at);
  const left = JSON.parse(localStorage.getItem(place()) || "null");
  const own = left && (left.revision === work.revision || left.writer === work.writer);
  if (left && !own) localStorage.removeItem(place());
  if (own) work = { ...left, revision: work.revision };
  $("notice").textContent = [film.candidates.error, ...film.warnings].filter(Boolean).join("; ");
  $("notice").hidden = !$("notice").textContent;
  $("length").textContent = `${film.frames} frames, ${seconds(film.frames)}`;
  history.replaceState(null, "", `#${at}`);
  if (own) keep();
  if (chosen < 0 && work.entries.length) next(-1, 1, work.entries.some(each => each.status === "open"));
  else show(clamp(frame, 0, film.frames - 1));
  render();
}

// Candidates that came while somebody worked: the mark stays chosen, and undoing does not take them away.
function follow(seen, chosen_before) {
  const id = each => JSON.stringify(each.spotted), there = new Set(seen.map(id));
  const added = work.entries.filter(each => each.spotted && !there.has(id(each)));
  const more = text => { const [entries, subject, n] = JSON.parse(text); return JSON.stringify([in_order([...entries, ...added]), subject, n]); };
  if (added.length) { undo = undo.map(more); redo = redo.map(more); }
  chosen = work.entries.findIndex(each => JSON.stringify(each) === chosen_before);
}

function titled(one) {
  const spotted = { working: "spotting", failed: "not spotted" }[one.candidates.state];
  return [one.name, `${one.accepted} accepted, ${one.open} open`, spotted].filter(Boolean).join(" \u00b7 ");
}

async function list() {
  const found = await get(`films?${as()}`);
  const now = $("film").value;
  films = found.films;
  owner = found.owner;
  $("film").replaceChildren(...films.map((each, n) => {
    const option = make("option", titled(each));
    option.value = n;
    return option;
  }));
  $("film").value = now;
  $("coders").replaceChildren(...found.coders.map(name => make("option", name)));
  renderOwner();
  return found;
}

async function watch() {
  for (;;) {
    await new Promise(resolve => setTimeout(resolve, 700));
    try {
      if (films.every(each => ["done", "failed", "off"].includes(each.candidates.state))) return;
      if (!coder || document.activeElement === $("film")) continue;
      const before = film && films[at].candidates.state;
      await list();
      const now = film && films[at].candidates;
      renderWorking();
      if (now && now.state !== before && ["done", "failed"].includes(now.state)) await open(at);
    } catch { /* a change that is sent says so */ }
  }
}

async function become(name) {
  const before = coder;
  if (saving) await saving;
  try {
    coder = name.trim();
    if (!coder) throw new Error("Say who marks: a name or a code for the coder.");
    await list();
    localStorage.setItem("mer annotate coder", coder);
    undo = []; redo = []; chosen = -1;
    await open(at < 0 ? clamp(Number(location.hash.slice(1)) || 0, 0, films.length - 1) : at);
  } catch (error) { coder = before; trouble(error.message); if (!coder) $("coder").focus(); }
  $("coder").value = coder;
}

// --- pictures -----------------------------------------------------------------------------------------------------
function load(n) {
  const key = `${at}/${n}`;
  const found = pictures.get(key) || fetch(`films/${at}/frames/${n}.jpg`).then(async answer => {
    if (!answer.ok) throw new Error((await answer.json()).error);
    return createImageBitmap(await answer.blob());
  });
  pictures.delete(key);
  pictures.set(key, found);
  found.catch(() => pictures.delete(key));
  while (pictures.size > MOST_PICTURES) pictures.delete(pictures.keys().next().value);
  return found;
}

async function paint(canvas, n) {
  canvas.dataset.wanted = n;
  try {
    const bitmap = await load(n);
    if (canvas.dataset.wanted !== String(n)) return;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) { canvas.width = bitmap.width; canvas.height = bitmap.height; }
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.dataset.frame = n;
  } catch (error) { trouble(error.message); }
}

function show(n) {
  const forward = n >= frame ? 1 : -1;
  frame = clamp(n, 0, film.frames - 1);
  const seen = peeking && entry() ? entry().onset_frame : frame;
  const painted = paint($("picture"), seen);
  $("picture").setAttribute("aria-label", `frame ${seen} of ${film.name}`);
  $("shown").hidden = seen === frame;
  $("shown").textContent = `onset, frame ${seen}`;
  $("where").textContent = `frame ${frame} \u00b7 ${seconds(frame)}`;
  renderTimelines();
  if (!playing) for (const by of [1, 2, 3, -1, 4]) {
    const beside = frame + by * forward;
    if (beside >= 0 && beside < film.frames) load(beside).catch(() => {});
  }
  return painted;
}

function stop() { cancelAnimationFrame(playing); playing = 0; $("play").textContent = "Play"; }

function play(speed, from, to, again) {
  if (playing) return stop();
  let start = performance.now(), busy = false;
  const first = from >= to ? 0 : from;
  const tick = now => {
    let wanted = first + Math.floor((now - start) / 1000 * film.fps * speed);
    if (wanted > to) {
      if (!again) { stop(); return show(to); }
      start = now;
      wanted = first;
    }
    // A frame that is not there yet is waited for, and those that would be late are left out.
    if (!busy) { busy = true; show(wanted).finally(() => { busy = false; }); }
    playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
  $("play").textContent = "Stop";
}

// --- marks --------------------------------------------------------------------------------------------------------
function choose(n, frameOf = "apex") {
  if (n < 0 || n >= work.entries.length) return;
  chosen = n;
  held = null;
  group = "";
  show(entry()[`${frameOf}_frame`]);
  render();
  const row = $("entries").children[n], list = $("entries"); // the list alone is scrolled, never the page
  list.scrollTop = clamp(list.scrollTop, row.offsetTop + row.offsetHeight - list.offsetTop - list.clientHeight, row.offsetTop - list.offsetTop);
}

function next(from, by, open = false) {
  for (let n = from + by; n >= 0 && n < work.entries.length; n += by) if (!open || work.entries[n].status === "open") return choose(n);
  if (open) for (let n = 0; n < work.entries.length; n++) if (work.entries[n].status === "open") return choose(n);
  if (!open) choose(clamp(from, 0, work.entries.length - 1));
}

function judge(status) {
  if (!entry()) return;
  change(() => { entry().status = status; });
  held = null;
  next(chosen, 1, true);
}

// The other points give way, so that onset < apex <= offset.
function put(point, n, tag = "") {
  if (!entry()) return;
  change(() => {
    const one = entry(), last = film.frames - 1;
    if (point === "onset") one.onset_frame = clamp(n, 0, last - 1);
    if (point === "apex") one.apex_frame = clamp(n, 1, last);
    if (point === "offset") one.offset_frame = clamp(n, 1, last);
    if (point === "onset") one.apex_frame = Math.max(one.apex_frame, one.onset_frame + 1);
    if (point === "offset") one.apex_frame = Math.min(one.apex_frame, one.offset_frame);
    one.onset_frame = Math.min(one.onset_frame, one.apex_frame - 1);
    one.offset_frame = Math.max(one.offset_frame, one.apex_frame);
    sort(one);
  }, tag);
}

function in_order(entries) {
  return entries.sort((a, b) => a.onset_frame - b.onset_frame || a.apex_frame - b.apex_frame || a.offset_frame - b.offset_frame);
}

function sort(one) {
  in_order(work.entries);
  chosen = work.entries.indexOf(one);
}

function grab(point) {
  if (!entry()) return;
  held = held === point ? null : point;
  group = "";
  if (held) show(entry()[`${point}_frame`]);
  render();
}

function go(by) {
  stop();
  if (held && entry()) { put(held, entry()[`${held}_frame`] + by, `${held} ${chosen}`); show(entry()[`${held}_frame`]); }
  else show(frame + by);
}

function add() {
  const onset = clamp(frame, 0, film.frames - 3), length = Math.max(2, Math.round(film.fps / 4));
  const offset = clamp(onset + length, 2, film.frames - 1), apex = Math.max(onset + 1, Math.round((onset + offset) / 2));
  const one = { kind: "micro", status: "accepted", onset_frame: onset, apex_frame: apex, offset_frame: offset, emotion: "", aus: "", note: "", flags: "", spotted: null };
  change(() => { work.entries.push(one); sort(one); });
  choose(chosen, "onset");
}

// What is typed is kept with every letter; the server says what it reads in Action Units.
const PLAIN = /^([\p{L}\p{N}][\p{L}\p{N}_ .'-]*\)?)?$/u;
let asking = 0;

function type(field, to, name) {
  const text = field.value.trim(), good = ["aus", "note"].includes(name) || (PLAIN.test(text) && !/[.'-]$/.test(text));
  field.setAttribute("aria-invalid", String(!good));
  if (to && good) change(() => { to[name] = text; }, `${name} ${chosen}`);
}

function explain() {
  clearTimeout(asking);
  asking = setTimeout(async () => {
    const text = entry() ? entry().aus : "";
    try {
      const found = text ? await get(`aus?text=${encodeURIComponent(text)}`) : { words: [] };
      if (text !== (entry() ? entry().aus : "")) return;
      $("aus").setAttribute("aria-invalid", String(!!found.error));
      $("aus-words").className = found.error ? "bad" : "soft";
      $("aus-words").textContent = found.error || found.words.join("; ");
    } catch { /* a change that is sent says so */ }
  }, 200);
}
