"use strict";
// Draws the page's volumes with NiiVue; `scene` says what they are (see viewer.py).
(async () => {
  const find = (id) => document.getElementById(id);
  const scene = JSON.parse(find("scene").textContent);
  const VIEWS = { Axial: 0, Coronal: 1, Sagittal: 2, "3 planes": 3, "3D": 4 };
  const STEP_AXIS = [2, 1, 0, 2, 2]; // RAS axis that the slices of each view follow
  const masks = scene.masks.map((mask) => ({ ...mask, opacity: 0.5, shown: true }));
  let view = matchMedia("(max-width: 760px)").matches ? 0 : 3;
  let nv;

  find("title").textContent = scene.title;
  find("message").textContent = "Loading …";
  for (const note of scene.notes) find("notes").append(element("li", {}, note));
  if (!document.createElement("canvas").getContext("webgl2")) {
    find("message").textContent = "This page needs a browser with WebGL 2.";
    return;
  }
  try {
    await load();
  } catch (error) {
    console.error(error);
    find("message").textContent = `The volumes can't be drawn: ${error.message || error}`;
    return;
  }
  buildViews();
  buildWindows();
  buildLegend();
  const jumps = {
    lesion: buildJump("Lesions", scene.lesions),
    difference: buildJump("Disagreements", scene.differences),
  };
  document.addEventListener("keydown", onKey, true);
  (scene.lesions.length ? jumps.lesion : jumps.difference)(1);
  setView(view);
  find("message").textContent = "";
  document.documentElement.dataset.state = "ready";

  async function load() {
    nv = new niivue.Niivue({
      isRadiologicalConvention: true, sagittalNoseLeft: true, backColor: [0, 0, 0, 1],
      crosshairColor: [1, 0.85, 0.2, 0.8], crosshairWidth: 0.25, crosshairWidthUnit: "percent",
      crosshairGap: 10, show3Dcrosshair: true, fontColor: [1, 1, 1, 1], fontMinPx: 15,
      dragMode: niivue.DRAG_MODE.windowing, dragAndDropEnabled: false, logLevel: "error",
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", loadingText: "",
      multiplanarShowRender: 0, multiplanarPadPixels: 6, isAlphaClipDark: true,
    });
    nv.onLocationChange = (location) => { showLocation(location); };
    nv.onIntensityChange = (volume) => { showWindow(volume.cal_min, volume.cal_max); };
    await nv.attachToCanvas(find("canvas"), false);
    const [level, width] = scene.window;
    nv.addVolume(await volumes.read("volume-0", true, level - width / 2, level + width / 2));
    for (const [place, mask] of masks.entries()) {
      mask.volume = await volumes.read(`volume-${place + 1}`, false, 0, 255);
      mask.volume.setColormapLabel(volumes.labelColours(mask));
      mask.whole = mask.volume.img.slice();
      nv.addVolume(mask.volume);
    }
  }

  function buildViews() {
    for (const [name, number] of Object.entries(VIEWS)) {
      find("views").append(button(name, () => setView(number), { "data-view": number }));
    }
    find("slice").addEventListener("input", (event) => {
      const axis = STEP_AXIS[view], steps = Number(event.target.value) - voxel()[axis];
      move(axis, steps);
    });
  }

  function setView(number) {
    view = number;
    for (const each of find("views").children) {
      each.setAttribute("aria-pressed", String(Number(each.dataset.view) === number));
    }
    find("slice").max = nv.volumes[0].dimsRAS[1 + STEP_AXIS[view]] - 1;
    nv.opts.sliceType = number;
    showMasks();
    nv.createOnLocationChange();
  }

  // Lines or areas, opacities, and in 3D the masks without the image, for the present view.
  function showMasks() {
    const isFlat = view < 4;
    const outlined = find("outline").checked && isFlat;
    const [cols, rows] = nv.volumes[0].hdr.dims.slice(1, 3);
    const steps = [[1, cols], [1, cols * rows], [cols, cols * rows], [1, cols]][view];
    for (const mask of masks) {
      mask.volume.img.set(outlined ? volumes.outline(mask.whole, steps) : mask.whole);
      mask.volume.opacity = !mask.shown ? 0 : outlined ? Math.min(1, 2 * mask.opacity) : mask.opacity;
    }
    nv.volumes[0].opacity = isFlat || !masks.length || find("image-3d").checked ? 1 : 0;
    nv.updateGLVolume();
  }

  function voxel() { return nv.frac2vox(nv.scene.crosshairPos); }

  function move(axis, steps) {
    const by = [0, 0, 0];
    by[axis] = steps;
    nv.moveCrosshairInVox(...by);
  }

  function showLocation({ mm, values }) {
    const places = [mm[0] < 0 ? "L" : "R", mm[1] < 0 ? "P" : "A", mm[2] < 0 ? "I" : "S"]
      .map((side, axis) => `${side} ${Math.abs(mm[axis]).toFixed(1)}`).join("   ");
    const [cols, rows] = nv.volumes[0].hdr.dims.slice(1, 3), [x, y, z] = voxel();
    const under = masks.flatMap((mask) => { // files run to left, posterior, superior; x and y the other way
      const label = mask.whole[(z * rows + (rows - 1 - y)) * cols + (cols - 1 - x)];
      const found = mask.labels.find(([known]) => known === label);
      return found && label ? [`${mask.name}: ${mask.regions[found[1]].name}`] : [];
    });
    const value = values[0].value;
    const text = scene.isCt ? `${Math.round(value)} HU` : `value ${value.toPrecision(4)}`;
    find("readout").textContent = [`${places} mm`, text, ...under].join("\n");
    const axis = STEP_AXIS[view], at = voxel()[axis];
    find("slice").value = at;
    find("slice-number").textContent = `${at + 1} / ${Number(find("slice").max) + 1}`;
  }

  function buildWindows() {
    for (const [name, [level, width]] of Object.entries(scene.windows)) {
      find("windows").append(button(`${name} ${level}/${width}`, () => setWindow(level, width), { "data-window": `${level}/${width}` }));
    }
    if (!scene.isCt) find("windows").append(button("reset", () => setWindow(...scene.window)));
    showWindow(nv.volumes[0].cal_min, nv.volumes[0].cal_max);
    for (const id of ["level", "width"]) {
      find(id).addEventListener("change", () => {
        setWindow(Number(find("level").value), Number(find("width").value));
      });
    }
  }

  function setWindow(level, width) {
    if (!(Number.isFinite(level) && width > 0)) return;
    nv.volumes[0].cal_min = level - width / 2;
    nv.volumes[0].cal_max = level + width / 2;
    nv.updateGLVolume();
    showWindow(nv.volumes[0].cal_min, nv.volumes[0].cal_max);
  }

  function showWindow(low, high) {
    const round = (number) => Number(number.toPrecision(4));
    find("level").value = round((low + high) / 2);
    find("width").value = round(high - low);
    for (const each of find("windows").children) {
      const isThis = each.dataset.window === `${round((low + high) / 2)}/${round(high - low)}`;
      each.setAttribute("aria-pressed", String(isThis));
    }
  }

  function buildLegend() {
    find("legend-part").hidden = masks.length === 0;
    find("outline").checked = masks.length > 1;
    for (const id of ["outline", "image-3d"]) find(id).addEventListener("change", showMasks);
    for (const mask of masks) {
      const shown = element("input", { type: "checkbox", checked: "", "aria-label": `Show ${mask.name}` });
      const slider = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: mask.opacity,
        "aria-label": `Opacity of ${mask.name}` });
      shown.addEventListener("change", () => { mask.shown = shown.checked; showMasks(); });
      slider.addEventListener("input", () => { mask.opacity = Number(slider.value); showMasks(); });
      mask.checkbox = shown;
      const rows = mask.regions.map((region) => {
        const colour = element("input", { type: "color", value: region.colour,
          "aria-label": `Colour of ${region.name} in ${mask.name}` });
        colour.addEventListener("input", () => {
          region.colour = colour.value;
          mask.volume.setColormapLabel(volumes.labelColours(mask));
          nv.updateGLVolume();
        });
        return element("tr", {}, element("td", {}, colour), element("td", {}, region.name),
          element("td", {}, `${region.ml.toFixed(1)} ml`));
      });
      find("legend").append(element("div", { class: "mask" },
        element("div", { class: "row" }, shown, element("span", { class: "name" }, mask.name), slider),
        element("table", {}, element("tbody", {}, ...rows))));
    }
  }

  // Heading, buttons and text for a list of findings; returns what goes `by` findings on.
  function buildJump(heading, findings) {
    if (!findings.length) return () => {};
    let at = -1;
    const text = element("span", { class: "found" }, `${findings.length} found`);
    const go = (by) => {
      at = (Math.max(at, by < 0 ? 0 : -1) + by + findings.length) % findings.length;
      const { text: what, volume_ml: ml, position_mm: mm } = findings[at];
      text.textContent = `${at + 1} of ${findings.length}: ${what}, ${ml.toFixed(ml < 1 ? 2 : 1)} ml`;
      nv.scene.crosshairPos = nv.mm2frac(mm);
      nv.createOnLocationChange();
      nv.drawScene();
    };
    find("jumps").append(element("h2", {}, heading), element("div", { class: "row" },
      button("◀", () => go(-1), { "aria-label": `Previous of ${heading}` }), text,
      button("▶", () => go(1), { "aria-label": `Next of ${heading}` })));
    return go;
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SUMMARY)$/.test(event.target.tagName)) return;
    const axis = STEP_AXIS[view], across = axis === 0 ? 1 : 0;
    const toggle = (box) => { box.checked = !box.checked; box.dispatchEvent(new Event("change")); };
    const actions = {
      ArrowUp: () => move(axis, 1), PageUp: () => move(axis, 1),
      ArrowDown: () => move(axis, -1), PageDown: () => move(axis, -1),
      ArrowLeft: () => move(across, 1), ArrowRight: () => move(across, -1), // towards the picture's left, right
      n: () => jumps.lesion(1), p: () => jumps.lesion(-1), d: () => jumps.difference(1),
      o: () => toggle(find("outline")), m: () => masks.forEach((mask) => toggle(mask.checkbox)),
    };
    const numbers = Object.values(VIEWS).map((number) => [String(number + 1), () => setView(number)]);
    const action = { ...actions, ...Object.fromEntries(numbers) }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  function button(text, onClick, attributes = {}) {
    const made = element("button", { type: "button", ...attributes }, text);
    made.addEventListener("click", onClick);
    return made;
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
})();
