"use strict";
// The page of `qsmcmb review`: three planes around each candidate, verdicts by key. All texts of the study are set as text.

const PREFETCH = 4, HELD = 12, ZOOMS = [1, 1.6, 2.5];
const GLYPHS = { accept: "✓", reject: "✗", unsure: "?" };
const MIMIC_KEYS = { calcification: "c", vein: "v", iron: "i", artefact: "f", other: "o" };
const KEYS = [
  ["A  R  U", "accept as a microbleed, reject, unsure: saved, next candidate"],
  ["Shift + A  R  U", "the same at all visits of this lesion; Z takes them back together"],
  ["D  P", "an accepted one is definite or possible"],
  ["V  C  I  F  O", "a rejected one is a vein, calcification, iron, artefact, other: before R, or right after it"],
  ["G  T", "region, comment; Enter or Esc goes back to the images"],
  ["1  2  3  4", "map, magnitude, SWI, field"],
  ["+  -  0", "brighter, darker, as at the start"],
  ["arrows, Page Up, Page Down", "crosshair right, left, front, back, up, down by a voxel"],
  ["K", "right of the head on the left of the picture, as radiologists read; again: back"],
  ["X  S", "zoom; crosshair back to the candidate"],
  ["M", "the lesion is at the crosshair: measured there once applied (M again: back)"],
  ["L", "add a lesion at the crosshair, with the certainty chosen"],
  ["N  B", "next, previous candidate, without a verdict"],
  ["E", "next candidate without a verdict"],
  ["W", "the same lesion at its next visit"],
  ["Z", "undo the last verdict"],
  ["?", "this list"],
];
const state = {
  secret: "", study: null, at: 0, contrast: 0, brightness: 0, zoom: 0, certainty: "definite", kind: null, moved: null,
  cross: [0, 0, 0], patch: null, done: [], busy: false, timings: [],
  // Whether the reader has chosen the kind; the rejection that a key of a kind still amends.
  kindChosen: false, rejected: null, radiological: sessionStorage.getItem("radiological") === "1",
};
const patches = new Map();
const byId = (id) => document.getElementById(id);

async function ask(path, body) {
  const options = { headers: { "x-qsmcmb-session": state.secret }, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let text = await answer.text();
  try { text = JSON.parse(text).error || text; } catch { /* plain text */ }
  throw new Error(text);
}

async function enter() {
  const token = location.hash.startsWith("#") ? location.hash.slice(1) : "";
  history.replaceState(null, "", location.pathname);
  if (token) {
    const answer = await ask("/api/session", { token });
    sessionStorage.setItem("qsmcmb", (await answer.json()).secret);
  }
  state.secret = sessionStorage.getItem("qsmcmb") || "";
  if (!state.secret) throw new Error("open the address that qsmcmb review has printed");
}

async function load() {
  state.study = await (await ask("/api/study")).json();
  const { reader, blind, adjudicate, regions, max_comment: longest } = state.study;
  byId("who").textContent = `reader ${reader}${blind ? ", blind" : ""}${adjudicate ? ", adjudication" : ""}`;
  byId("comment").maxLength = longest;
  byId("region").replaceChildren(option("", "as in the table"), ...regions.map((r) => option(r, r)));
}

function option(value, text) {
  const found = document.createElement("option");
  found.value = value;
  found.textContent = text;
  return found;
}

const items = () => state.study.items;
const here = () => items()[state.at];

// ---- images

function fetchPatch(id) {
  if (!patches.has(id)) {
    const promise = ask(`/api/patch/${id}`).then((a) => a.arrayBuffer()).then(parse);
    promise.catch(() => patches.delete(id));
    patches.set(id, promise);
    while (patches.size > HELD) patches.delete(patches.keys().next().value);
  }
  return patches.get(id);
}

function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const volume = head.shape[0] * head.shape[1] * head.shape[2], whole = head.whole.shape[0] * head.whole.shape[1];
  let offset = 4 + length;
  for (const contrast of head.contrasts) {
    contrast.levels = new Int16Array(buffer, offset, volume);
    contrast.whole = new Int16Array(buffer, offset + 2 * volume, whole);
    offset += 2 * (volume + whole);
  }
  return head;
}

function prefetch() {
  let count = 0;
  for (let n = state.at + 1; n < items().length && count < PREFETCH; n++, count++) fetchPatch(items()[n].id);
}

function table(contrast) {
  const [black, white] = contrast.window, shift = state.brightness * 0.1 * (white - black);
  const grey = new Uint8ClampedArray(32768);
  for (let level = 0; level < 32768; level++) {
    grey[level] = (255 * (contrast.low + contrast.step * level + shift - black)) / (white - black);
  }
  return grey;
}

// Each plane: the axis to the right, the axis up, the axis across, and what lies at the left, right, top and bottom edge.
// Left of the picture is left of the head, as on the subject's page; K turns axial and coronal pictures over.
const PLANES = { axial: [0, 1, 2, "LRAP"], coronal: [0, 2, 1, "LRSI"], sagittal: [1, 2, 0, "PASI"] };
const isTurned = (right) => right === 0 && state.radiological;
const BAR_MM = 10;
const sheet = document.createElement("canvas");

function paint(canvas, size, voxel, pick, marks, zoom, centre, letters, turned) {
  const column = (u) => (turned ? size[0] - 1 - u : u);
  const box = canvas.parentElement.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(box.width * scale)), height = Math.max(1, Math.round(box.height * scale));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  sheet.width = size[0];
  sheet.height = size[1];
  const image = new ImageData(size[0], size[1]), data = new Uint32Array(image.data.buffer);
  for (let v = 0; v < size[1]; v++) {
    for (let u = 0; u < size[0]; u++) {
      const grey = pick(u, v);
      data[(size[1] - 1 - v) * size[0] + column(u)] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }
  sheet.getContext("2d").putImageData(image, 0, 0);
  const unit = Math.min(width / (size[0] * voxel[0]), height / (size[1] * voxel[1])) * zoom;
  const left = zoom === 1 ? (width - size[0] * voxel[0] * unit) / 2 : width / 2 - (column(centre[0]) + 0.5) * voxel[0] * unit;
  const top = zoom === 1 ? (height - size[1] * voxel[1] * unit) / 2 : height / 2 - (size[1] - 0.5 - centre[1]) * voxel[1] * unit;
  context.imageSmoothingEnabled = true;
  context.drawImage(sheet, left, top, size[0] * voxel[0] * unit, size[1] * voxel[1] * unit);
  canvas.toVoxel = (x, y) => [column((x * scale - left) / (voxel[0] * unit) - 0.5), size[1] - 0.5 - (y * scale - top) / (voxel[1] * unit)];
  marks(context, (u, v) => [left + (column(u) + 0.5) * voxel[0] * unit, top + (size[1] - 0.5 - v) * voxel[1] * unit], unit, scale);
  drawScale(context, height, unit, scale);
  drawLetters(context, width, height, turned ? letters[1] + letters[0] + letters.slice(2) : letters, scale);
  canvas.dataset.left = turned ? letters[1] : letters[0];
}

function drawLetters(context, width, height, [left, right, up, down], scale) {
  context.fillStyle = "#f0e442";
  context.font = `bold ${15 * scale}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const middle = height * 0.5 - 14 * scale, centre = width * 0.5 + 9 * scale;
  for (const [text, x, y] of [[left, 6 * scale, middle], [right, width - 18 * scale, middle], [up, centre, 14 * scale], [down, centre, height - 12 * scale]]) context.fillText(text, x, y);
  context.textBaseline = "alphabetic";
}

function drawScale(context, height, unit, scale) {
  const left = 10 * scale, bottom = height - 10 * scale;
  context.fillStyle = "#f0e442";
  context.fillRect(left, bottom - 3 * scale, BAR_MM * unit, 3 * scale);
  context.font = `${12 * scale}px system-ui, sans-serif`;
  context.fillText(`${BAR_MM} mm`, left, bottom - 7 * scale);
}

function drawPlanes() {
  const patch = state.patch;
  if (!patch) return;
  state.contrast = Math.min(state.contrast, patch.contrasts.length - 1);
  const contrast = patch.contrasts[state.contrast], grey = table(contrast), [, ny, nz] = patch.shape;
  for (const [name, [right, up, across, letters]] of Object.entries(PLANES)) {
    const strides = [ny * nz, nz, 1], at = clampVoxel(Math.round(state.cross[across]), across);
    const base = at * strides[across];
    paint(
      byId(name), [patch.shape[right], patch.shape[up]], [patch.voxel_mm[right], patch.voxel_mm[up]],
      (u, v) => grey[contrast.levels[base + u * strides[right] + v * strides[up]]],
      (context, to, unit, scale) => drawCross(context, to(state.cross[right], state.cross[up]), unit, scale),
      ZOOMS[state.zoom], [state.cross[right], state.cross[up]], letters, isTurned(right),
    );
  }
  const whole = patch.whole, columns = whole.shape[1];
  paint(
    byId("whole"), whole.shape, patch.voxel_mm, (u, v) => grey[contrast.whole[u * columns + v]],
    (context, to, _, scale) => {
      const [x1, y1] = to(whole.first[0], whole.first[1]), [x2, y2] = to(whole.first[0] + patch.shape[0], whole.first[1] + patch.shape[1]);
      context.strokeStyle = "#f0e442";
      context.lineWidth = scale;
      context.strokeRect(Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1));
    }, 1, [0, 0], PLANES.axial[3], isTurned(0),
  );
  drawContrasts();
}

function drawCross(context, [x, y], unit, scale) {
  const gap = 5 * unit;
  context.strokeStyle = "#f0e442";
  context.lineWidth = scale;
  context.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + gap * dx, y + gap * dy);
    context.lineTo(x + 3000 * dx, y + 3000 * dy);
  }
  context.stroke();
}

function drawContrasts() {
  const names = state.patch.contrasts.map((c, n) => chip(`${c.name}${c.unit ? ` (${c.unit})` : ""}`, String(n + 1), n === state.contrast));
  byId("contrasts").replaceChildren(...names);
}

function chip(text, key, chosen) {
  const button = document.createElement("button"), cap = document.createElement("kbd");
  button.type = "button";
  button.dataset.key = key;
  button.className = chosen ? "chosen" : "";
  button.setAttribute("aria-pressed", String(chosen));
  cap.textContent = key.toUpperCase();
  button.append(`${text} `, cap);
  return button;
}

const clampVoxel = (value, axis) => Math.max(0, Math.min(state.patch.shape[axis] - 1, value));

function crossInMm() {
  const [i, j, k] = state.cross;
  return [0, 1, 2].map((r) => {
    const row = state.patch.affine[r];
    return Math.round(1000 * (row[0] * i + row[1] * j + row[2] * k + row[3])) / 1000;
  });
}

// ---- panel

function drawPanel() {
  const item = here();
  byId("progress").textContent = progress();
  const entries = items().map(entry), away = items().findIndex((i) => i.turned_away);
  if (away > 0 && items().slice(away).every((i) => i.turned_away)) entries.splice(away, 0, divider());
  byId("list").replaceChildren(...entries);
  byId("list").querySelector(".here")?.scrollIntoView({ block: "nearest" });
  if (!item) return;
  byId("title").textContent = `${state.at + 1} of ${items().length}: ${nameOf(item)}, ${item.scan}`;
  const given = item.verdict, standing = byId("standing");
  standing.className = given ? given.verdict : "";
  standing.textContent = given ? `${GLYPHS[given.verdict]} ${describe(given)}` : "not read yet";
  const facts = [["position", `${item.position_mm.map((v) => v.toFixed(1)).join(", ")} mm`]];
  const d = item.detector;
  if (d.kind) facts.push(["detector", `${d.kind}, ${d.certainty}`], ["probability", round(d.score)]);
  if (d.kind) facts.push(["total", totalOf(d)]);
  if (d.mars_region || d.territory) facts.push(["region", [d.side, d.territory, d.mars_region].filter(Boolean).join(", ")]);
  if (d.flags) facts.push(["flags", d.flags.replaceAll(";", "; ")]);
  for (const [reader, verdict] of Object.entries(item.others)) facts.push([`reader ${reader}`, describe(verdict)]);
  if (given && given.comment) facts.push(["comment", given.comment]);
  byId("facts").replaceChildren(...facts.flatMap(([name, text]) => {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text;
    return [term, value];
  }));
  drawVisits(item);
  drawForm();
  byId("end").textContent = endOfList();
}

// How many candidates are read: those that count, and those that the detector has turned away.
function progress() {
  const [counting, away] = [false, true].map((wanted) => items().filter((i) => i.turned_away === wanted));
  const read = (found) => found.filter((i) => i.verdict).length;
  const text = `${read(counting)} of ${counting.length} read`;
  return away.length ? `${text}; ${read(away)} of ${away.length} that the detector turned away` : text;
}

// The same lesion at the other visits; a verdict that differs is marked.
function drawVisits(item) {
  const twins = twinsOf(item);
  byId("visits").hidden = !twins.length;
  byId("visit-list").replaceChildren(...twins.map((twin) => {
    const button = document.createElement("button"), d = twin.detector;
    const total = d.total_chi_ppm_mm3 ? `${d.kind}, ${d.certainty}, ${totalOf(d)}` : "";
    const given = twin.verdict ? `${GLYPHS[twin.verdict.verdict]} ${describe(twin.verdict)}` : "not read yet";
    button.type = "button";
    button.dataset.at = items().indexOf(twin);
    button.className = contradicts(item.verdict, twin.verdict) ? "differs" : twin.verdict ? twin.verdict.verdict : "";
    button.textContent = [`${twin.session}, ${nameOf(twin)}`, total, given].filter(Boolean).join(": ");
    return button;
  }));
}

const twinsOf = (item) => item.twins.map((id) => items().find((i) => i.id === id)).filter(Boolean);
const contradicts = (one, other) => Boolean(one && other) && (one.verdict === "reject") !== (other.verdict === "reject") && one.verdict !== "unsure" && other.verdict !== "unsure";

// What a verdict at one visit alone leaves behind at the others; empty where they agree.
function unlike(item) {
  const open = twinsOf(item).filter((t) => contradicts(item.verdict, t.verdict) || (item.verdict.verdict === "reject" && !t.verdict && !t.turned_away));
  if (!open.length) return "";
  const said = open.map((t) => `${t.session} ${t.verdict ? `says ${describe(t.verdict)}` : "still holds it"}`);
  return `${nameOf(item)}, ${item.session}: ${describe(item.verdict)}, but ${said.join(", ")}. B, then Shift with the key: one verdict at all visits`;
}

const round = (v) => (v === null || v === undefined ? "n/a" : Number(v).toPrecision(3));
const totalOf = (d) => `${round(d.total_chi_ppm_mm3)} ppm mm³ (${round(d.total_chi_low_ppm_mm3)} to ${round(d.total_chi_high_ppm_mm3)})`;
const nameOf = (item) => (item.added ? "added lesion" : `lesion ${item.label}`);

// What the reader may know at the last candidate, and once all are read.
function endOfList() {
  const apply = "qsmcmb review OUT --apply writes the verdicts into the tables.";
  const left = items().filter((i) => !i.verdict).length, counting = items().filter((i) => !i.turned_away);
  if (here().turned_away && counting.every((i) => i.verdict) && left) return `All that count have a verdict; the detector turned the others away: they need none. End the server with Ctrl-C; ${apply}`;
  if (!left) return `All candidates have a verdict. End the server with Ctrl-C; ${apply}`;
  if (state.at + 1 < items().length) return "";
  if (!here().verdict) return `The last candidate of the list. Afterwards ${apply}`;
  return `The list has ended; ${left} without a verdict (E: go there). Or end the server with Ctrl-C; ${apply}`;
}

function describe(v) {
  const what = v.verdict === "accept" ? `microbleed, ${v.certainty}` : v.verdict === "reject" ? `rejected: ${v.kind}` : "unsure";
  return what + (v.region ? `, ${v.region}` : "") + (v.moved_to_mm ? ", moved" : "");
}

function drawForm() {
  byId("certainty").replaceChildren(...["definite", "possible"].map((c) => chip(c, c[0], c === state.certainty)));
  byId("kinds").replaceChildren(...state.study.mimics.map((k) => chip(k, MIMIC_KEYS[k] || "o", k === state.kind)));
  byId("point").textContent = state.moved ? `moved to ${state.moved.map((v) => v.toFixed(1)).join(", ")} mm` : "as found (M: move it to the crosshair)";
}

function entry(item, n) {
  const line = document.createElement("li"), button = document.createElement("button");
  button.type = "button";
  button.dataset.at = n;
  button.className = `${item.verdict ? item.verdict.verdict : ""}${n === state.at ? " here" : ""}${item.turned_away ? " away" : ""}`;
  button.textContent = `${n + 1} ${item.verdict ? GLYPHS[item.verdict.verdict] : "·"}`;
  button.setAttribute("aria-label", `candidate ${n + 1}, ${item.verdict ? describe(item.verdict) : "not read"}`);
  line.append(button);
  return line;
}

function divider() {
  const line = document.createElement("li");
  line.className = "divider";
  line.textContent = "turned away by the detector; they need no verdict";
  return line;
}

function say(text) { byId("message").textContent = text; }

// ---- moving between candidates

async function go(n) {
  if (!items().length) {
    byId("empty").hidden = false;
    byId("empty").textContent = state.study.adjudicate ? "The readers agree: there is nothing to decide." : "There is no candidate to read.";
    byId("title").textContent = "No candidate";
    byId("form").disabled = true;
    drawPanel();
    return;
  }
  state.at = Math.max(0, Math.min(items().length - 1, n));
  state.kindChosen = false;
  const item = here(), given = item.verdict;
  state.certainty = given ? given.certainty : "definite";
  state.kind = given && given.verdict === "reject" ? given.kind : state.study.mimics.includes(item.detector.kind) ? item.detector.kind : "other";
  state.moved = given ? given.moved_to_mm : null;
  byId("region").value = (given && given.region) || "";
  byId("comment").value = (given && given.comment) || "";
  drawPanel();
  try {
    const patch = await fetchPatch(item.id);
    if (here() !== item) return;
    state.patch = patch;
    state.cross = [...patch.point];
    drawPlanes();
    if (patch.missing.length) say(patch.missing.join("; "));
  } catch (error) {
    say(`images: ${error.message}`);
  }
  prefetch();
}

const unread = () => {
  const ahead = items().findIndex((i, n) => n > state.at && !i.verdict);
  return ahead >= 0 ? ahead : items().findIndex((i) => !i.verdict);
};

function judgement(verdict) {
  return {
    verdict, certainty: state.certainty, kind: state.kind || "other", region: byId("region").value || null,
    comment: byId("comment").value, moved_to_mm: verdict === "accept" ? state.moved : null,
  };
}

// Send a verdict on a candidate, and on the same lesion at other visits; return the events, that of the candidate first.
async function send(item, given, twins) {
  const body = { candidate: item.id, seen: item.seen, ...given };
  if (twins.length) body.twins = Object.fromEntries(twins.map((t) => [t.id, t.seen]));
  const { events } = await (await ask("/api/verdict", body)).json();
  for (const event of events) {
    const judged = items().find((i) => i.id === event.candidate);
    judged.verdict = judged === item ? given : { ...given, moved_to_mm: null };
    judged.event = judged.seen = event.number;
    judged.together = twins.length > 0;
  }
  return events;
}

async function give(verdict, everywhere) {
  const item = here(), given = judgement(verdict), began = performance.now(), amendable = verdict === "reject" && !state.kindChosen;
  const twins = everywhere ? twinsOf(item) : [];
  const [done, ...others] = await send(item, given, twins);
  state.done.push({ id: item.id, number: done.number });
  say("");
  const at = state.at, judged = new Set(twins);
  let next = at + 1;
  while (next < items().length && judged.has(items()[next])) next++;
  await go(next < items().length ? next : at);
  state.rejected = amendable ? item : null;
  const seen = byId("message").textContent;
  const tell = (text) => say([text, seen].filter(Boolean).join("; "));
  const what = verdict === "reject" ? `rejected as ${given.kind}` : describe(given), visits = others.length ? ` at ${others.length + 1} visits` : "";
  const conflict = [done, ...others].find((e) => e.conflicts_with);
  if (conflict) tell(`candidate ${at + 1}: verdict ${conflict.conflicts_with}, given elsewhere since this page was loaded, is kept; this one counts now`);
  else if (unlike(item)) tell(unlike(item));
  else if (amendable) tell(`${nameOf(item)}: ${what}${visits} (V C I F O now: as another kind)`);
  else if (everywhere) tell(`${nameOf(item)}: ${what}${visits || "; it is matched with no other visit"}`);
  requestAnimationFrame(() => setTimeout(() => {
    state.timings.push(performance.now() - began);
    document.body.dataset.drawn = String(state.timings.length);
  }));
}

// A new verdict with another kind in place of the last rejection, which is taken back.
async function amend(item, kind) {
  if (kind !== item.verdict.kind) {
    const last = state.done[state.done.length - 1], replaced = last.number;
    const twins = item.together ? twinsOf(item).filter((t) => t.together) : [];
    last.number = (await send(item, { ...item.verdict, kind }, twins))[0].number;
    const { events } = await (await ask("/api/undo", { candidate: item.id, undoes: replaced })).json();
    for (const event of events) items().find((i) => i.id === event.candidate).seen = event.number;
  }
  state.rejected = null;
  if (here() === item) state.kind = kind;
  drawPanel();
  say(`${nameOf(item)}: rejected as ${kind}`);
}

function chooseKind(kind) {
  if (state.rejected) return amend(state.rejected, kind);
  state.kind = kind;
  state.kindChosen = true;
  return drawForm();
}

async function undo() {
  const last = state.done.pop() || lastOfPage();
  if (!last) return say("nothing to undo");
  await ask("/api/undo", { candidate: last.id, undoes: last.number });
  await load();
  patches.delete(last.id);
  const at = items().findIndex((i) => i.id === last.id);
  await go(at >= 0 ? at : state.at);
  say("the last verdict is taken back");
}

const lastOfPage = () => {
  const item = here();
  return item && item.event ? { id: item.id, number: item.event } : null;
};

async function addLesion() {
  const given = { certainty: state.certainty, region: byId("region").value || null, comment: byId("comment").value };
  const { events: [done] } = await (await ask("/api/add", { beside: here().id, position_mm: crossInMm(), ...given })).json();
  const beside = here().id;
  state.done.push({ id: done.candidate, number: done.number });
  await load();
  await go(items().findIndex((i) => i.id === beside));
  say(`lesion added; it is candidate ${items().findIndex((i) => i.id === done.candidate) + 1}`);
}

function step(axis, by) {
  state.cross[axis] = clampVoxel(Math.round(state.cross[axis]) + by, axis);
  drawPlanes();
}

const redraw = (change) => () => { change(); drawPlanes(); };
const choose = (name, value) => () => { state[name] = value; drawForm(); };
const ACTIONS = {
  a: (shift) => give("accept", shift), r: (shift) => give("reject", shift), u: (shift) => give("unsure", shift),
  d: choose("certainty", "definite"), p: choose("certainty", "possible"),
  g: () => byId("region").focus(), t: () => byId("comment").focus(),
  "+": redraw(() => { state.brightness = Math.min(9, state.brightness + 1); }), "=": redraw(() => { state.brightness = Math.min(9, state.brightness + 1); }),
  "-": redraw(() => { state.brightness = Math.max(-9, state.brightness - 1); }), 0: redraw(() => { state.brightness = 0; }),
  ArrowRight: () => step(0, isTurned(0) ? -1 : 1), ArrowLeft: () => step(0, isTurned(0) ? 1 : -1), ArrowUp: () => step(1, 1), ArrowDown: () => step(1, -1),
  PageUp: () => step(2, 1), PageDown: () => step(2, -1),
  k: redraw(() => {
    state.radiological = !state.radiological;
    sessionStorage.setItem("radiological", state.radiological ? "1" : "");
  }),
  x: redraw(() => { state.zoom = (state.zoom + 1) % ZOOMS.length; }), s: redraw(() => { state.cross = [...state.patch.point]; }),
  m: () => { state.moved = state.moved ? null : crossInMm(); drawForm(); },
  l: addLesion, n: () => go(state.at + 1), b: () => go(state.at - 1),
  e: () => { const at = unread(); return at < 0 ? say("all candidates have a verdict") : go(at); },
  w: () => {
    const twins = twinsOf(here()).map((t) => items().indexOf(t));
    if (!twins.length) return say("this lesion is matched with no other visit");
    return go(Math.min(...twins.filter((n) => n > state.at), ...(twins.some((n) => n > state.at) ? [] : twins)));
  },
  z: undo, "?": () => byId("help").showModal(),
};
for (const n of [0, 1, 2, 3]) ACTIONS[n + 1] = redraw(() => { if (n < state.patch.contrasts.length) state.contrast = n; });
for (const [kind, key] of Object.entries(MIMIC_KEYS)) ACTIONS[key] = () => chooseKind(kind);
const WITHOUT_CANDIDATE = new Set(["?"]);
const LEAVES_REJECTION = new Set(["?", ...Object.values(MIMIC_KEYS)]);

async function act(key, shift) {
  const name = key.length === 1 ? key.toLowerCase() : key, action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : null;
  if (!action || !state.study || (!state.patch && !WITHOUT_CANDIDATE.has(name))) return false;
  if (state.busy) return true;
  if (!LEAVES_REJECTION.has(name)) state.rejected = null;
  state.busy = true;
  document.body.dataset.busy = "1";
  try { await action(shift); } catch (error) { say(error.message); } finally {
    state.busy = false;
    delete document.body.dataset.busy;
  }
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const field = event.target.closest("textarea, select");
  if (field) {
    state.rejected = null;
    if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) { field.blur(); event.preventDefault(); }
    return;
  }
  if (event.key === "Enter" || event.key === " " || event.key === "Tab") return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (Object.hasOwn(ACTIONS, name)) { event.preventDefault(); act(name, event.shiftKey); }
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button || button.dataset.at !== undefined) state.rejected = null;
  if (!button) return;
  if (button.id === "help-button") byId("help").showModal();
  else if (button.dataset.at !== undefined) go(Number(button.dataset.at));
  else if (button.dataset.key) act(button.dataset.key, event.shiftKey);
  button.blur();
}

function onPoint(event) {
  const plane = PLANES[event.target.id];
  if (!plane || !event.target.toVoxel) return;
  const [right, up] = plane, box = event.target.getBoundingClientRect();
  const [u, v] = event.target.toVoxel(event.clientX - box.left, event.clientY - box.top);
  state.cross[right] = clampVoxel(Math.round(u), right);
  state.cross[up] = clampVoxel(Math.round(v), up);
  drawPlanes();
}

async function start() {
  byId("keys").replaceChildren(...KEYS.map(([keys, text]) => {
    const row = document.createElement("tr"), left = document.createElement("td"), right = document.createElement("td");
    for (const key of keys.split(keys.includes(",") ? ", " : "  ")) {
      const cap = document.createElement("kbd");
      cap.textContent = key;
      left.append(cap, " ");
    }
    right.textContent = text;
    row.append(left, right);
    return row;
  }));
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  byId("planes").addEventListener("pointerdown", onPoint);
  window.addEventListener("resize", drawPlanes);
  try {
    await enter();
    await load();
    const first = items().findIndex((i) => !i.verdict);
    await go(first < 0 ? 0 : first);
  } catch (error) {
    byId("empty").hidden = false;
    byId("empty").textContent = error.message;
  }
  document.body.dataset.ready = "1";
}

start();
