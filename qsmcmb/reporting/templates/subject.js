"use strict";
// The live viewer of a subject's page: volumes that lie in the page, drawn by NiiVue. Without WebGL 2 the pictures stay.
(() => {
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const element = (id) => document.getElementById(id);
  const state = { session: 0, image: 0, label: null, number: null, turn: 0 };
  const held = new Map();
  const viewer = { ready: false, location: null, state, show };
  let nv = null;
  window.qsmcmbViewer = viewer;

  // Return the decompressed bytes of a volume of the page.
  async function bytesOf(id) {
    const packed = Uint8Array.from(atob(element(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // Return a volume of the page as NiiVue holds it; each is read once.
  async function volumeOf(id, options) {
    if (!held.has(id)) {
      const image = await niivue.NVImage.loadFromUrl({ url: await bytesOf(id), name: id + ".nii", ...options });
      held.set(id, image);
    }
    return held.get(id);
  }

  function say(words) {
    const note = element("viewer-note");
    note.textContent = words;
    note.hidden = false;
  }

  function number(value) {
    return (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)).replace("-", "\u2212");
  }

  function readout(location) {
    const volume = data.sessions[state.session].volumes[state.image];
    const value = location.values[0].value;
    viewer.location = { mm: Array.from(location.mm).slice(0, 3), value, unit: volume.unit };
    const mm = viewer.location.mm.map((v) => v.toFixed(1).replace("-", "\u2212")).join(", ");
    const digits = volume.unit === "ppm" ? 4 : 2;
    element("viewer-readout").textContent =
      `${mm} mm: ${value.toFixed(digits).replace("-", "\u2212")} ${volume.unit}`;
  }

  // Window as chosen, around 0 where it is symmetric: NiiVue's own would come from the middle of the volume alone.
  function windowOf(volume) {
    const factor = Number(element("viewer-window").value);
    const [low, high] = volume.window;
    return [low * factor, high * factor];
  }

  function moveTo(mm) {
    nv.scene.crosshairPos = nv.mm2frac(mm, 0, true);
    nv.createOnLocationChange();
    nv.drawScene();
  }

  // Where the chosen lesion lies in the session that is shown; null where nobody knows.
  function target() {
    const session = data.sessions[state.session];
    const own = session.lesions.find((m) => m.label === state.label);
    if (own) return own.mm;
    const course = data.courses.find((c) => c.number === state.number);
    return (course && course.mm[session.name]) || null;
  }

  async function draw() {
    const turn = ++state.turn;
    viewer.ready = false;
    const session = data.sessions[state.session];
    const volume = session.volumes[state.image];
    const [low, high] = windowOf(volume);
    const image = await volumeOf(volume.id, { cal_min: low, cal_max: high, colormap: "gray" });
    const overlay = session.overlay ? await volumeOf(session.overlay, { colormap: "candidates", opacity: 0.35 }) : null;
    if (turn !== state.turn) return;
    image.cal_min = low;
    image.cal_max = high;
    if (overlay) {
      overlay.opacity = element("viewer-overlay").checked ? 0.35 : 0;
      overlay.cal_min = element("viewer-rejected").checked ? 0.5 : 1.5;
      overlay.cal_max = 2;
    }
    nv.volumes = overlay ? [image, overlay] : [image];
    nv.setVolume(image, 0);
    const mm = target();
    if (mm) moveTo(mm);
    else {
      nv.createOnLocationChange();
      nv.drawScene();
    }
    element("viewer-low").textContent = number(low);
    element("viewer-high").textContent = `${number(high)} ${volume.unit}`;
    press();
    viewer.ready = true;
  }

  // Left of the picture is left of the head, as in the pictures below, unless the reader turns it over.
  function chooseSides() {
    const turned = element("viewer-radiological").checked;
    nv.setRadiologicalConvention(turned);
    element("viewer-sides").textContent = `Left of the picture is ${turned ? "right" : "left"} of the head.`;
  }

  function press() {
    for (const [id, chosen] of [["viewer-sessions", state.session], ["viewer-images", state.image]]) {
      [...element(id).children].forEach((button) => {
        button.setAttribute("aria-pressed", String(Number(button.dataset.number) === chosen));
      });
    }
  }

  // Offer the images that a session has in the page.
  function offerImages() {
    const offered = data.sessions[state.session].volumes;
    if (state.image >= offered.length) state.image = 0;
    choices("viewer-images", offered.map((v) => v.title), (i) => { state.image = i; return draw(); });
  }

  function choices(id, names, choose) {
    element(id).replaceChildren(...names.map((name, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.dataset.number = String(i);
      button.disabled = id === "viewer-sessions" && !data.sessions[i].volumes.length;
      button.addEventListener("click", () => { choose(i).catch(fail); });
      return button;
    }));
  }

  // Show a session; the crosshair stays on the same lesion, where that session has it.
  function showSession(i) {
    const before = data.sessions[state.session].lesions.find((m) => m.label === state.label);
    if (before && before.number !== null) state.number = before.number;
    state.session = i;
    const same = data.sessions[i].lesions.find((m) => m.number !== null && m.number === state.number);
    state.label = same ? same.label : null;
    offerImages();
    return draw();
  }

  // Move the crosshair to a lesion, by label within a session or by its number over all.
  function show(name, label, lesion) {
    const i = data.sessions.findIndex((s) => s.name === name && s.volumes.length);
    if (i < 0) return Promise.resolve();
    state.session = i;
    const own = data.sessions[i].lesions.find((m) =>
      lesion === undefined ? m.label === label : m.number === lesion);
    state.label = own ? own.label : null;
    state.number = own ? own.number : lesion ?? null;
    offerImages();
    return draw();
  }

  function fail(error) {
    element("viewer").hidden = true;
    document.querySelectorAll("button.show").forEach((b) => { b.hidden = true; });
    document.querySelectorAll("details.still").forEach((d) => { d.open = true; });
    say(`The live viewer does not run here (${error.message || error}); the pictures below show the same.`);
  }

  async function start() {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL 2");
    if (typeof DecompressionStream === "undefined") throw new Error("no DecompressionStream");
    const first = data.sessions.findIndex((s) => s.volumes.length);
    state.session = first;
    element("viewer").hidden = false;
    nv = new niivue.Niivue({
      show3Dcrosshair: false, multiplanarShowRender: 0, multiplanarLayout: 3, multiplanarEqualSize: false, multiplanarPadPixels: 8,
      backColor: [0, 0, 0, 1], crosshairColor: [1, 0.3, 0.2, 0.8], crosshairWidth: 0.5, crosshairWidthUnit: "mm", crosshairGap: 8,
      fontColor: [1, 0.85, 0.2, 1], showAllOrientationMarkers: true, dragAndDropEnabled: false, isNearestInterpolation: true, logLevel: "error", loadingText: "",
    });
    nv.onLocationChange = readout;
    await nv.attachToCanvas(element("viewer-canvas"));
    // Accepted lesions are 2, red; rejected candidates 1, blue; nothing is 0.
    nv.addColormap("candidates", { R: [0, 60, 60, 255], G: [0, 140, 140, 0], B: [0, 255, 255, 0], A: [0, 255, 255, 255], I: [0, 1, 160, 255] });
    nv.setSliceType(nv.sliceTypeMultiplanar);
    viewer.nv = nv;
    chooseSides();
    element("viewer-radiological").addEventListener("change", chooseSides);
    choices("viewer-sessions", data.sessions.map((s) => s.name), showSession);
    offerImages();
    for (const id of ["viewer-overlay", "viewer-rejected", "viewer-window"]) {
      element(id).addEventListener("change", () => { draw().catch(fail); });
    }
    document.querySelectorAll("button.show").forEach((button) => {
      const { session, label, number: lesion } = button.dataset;
      button.hidden = !data.sessions.some((s) => s.name === session && s.volumes.length);
      button.addEventListener("click", () => {
        document.querySelectorAll(".card.chosen").forEach((c) => { c.classList.remove("chosen"); });
        button.closest(".card").classList.add("chosen");
        if (element("viewer").getBoundingClientRect().top < 0) element("viewer").scrollIntoView();
        show(session, label === undefined ? null : Number(label), lesion).catch(fail);
      });
    });
    await draw();
    document.querySelectorAll("details.still").forEach((d) => { d.open = false; });
  }

  // The page is drawn first; the viewer follows.
  requestAnimationFrame(() => setTimeout(() => { start().catch(fail); }, 0));
})();
