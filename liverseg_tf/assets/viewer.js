"use strict";
// Shows the volumes of the page with NiiVue. `scene` describes them (see write_viewer.py).
(async () => {
  const byId = (id) => document.getElementById(id);
  const scene = JSON.parse(byId("scene").textContent);
  const VIEWS = { Axial: 0, Coronal: 1, Sagittal: 2, "3 planes": 3, "3D": 4 };
  const SLICE_AXIS = [2, 1, 0, 2, 2]; // RAS axis perpendicular to the slices of each view
  const masks = scene.masks.map((mask) => ({ ...mask, opacity: 0.5, shown: true }));
  let view = matchMedia("(max-width: 760px)").matches ? 0 : 3;
  let nv;

  byId("title").textContent = scene.title;
  byId("message").textContent = "Loading …";
  for (const alert of scene.alerts) byId("alerts").append(element("p", {}, alert));
  for (const note of scene.notes) byId("notes").append(element("li", {}, note));
  if (!document.createElement("canvas").getContext("webgl2")) {
    byId("message").textContent = "This page requires a browser with WebGL 2.";
    return;
  }
  try {
    await load();
  } catch (error) {
    console.error(error);
    byId("message").textContent = `The volumes cannot be displayed: ${error.message || error}`;
    return;
  }
  buildViews();
  buildWindows();
  buildLegend();
  const goToComponent = buildFindings(`Components of ${scene.componentsOf}`, scene.components);
  const goToDifference = buildFindings("Differences", scene.differences);
  document.addEventListener("keydown", onKey, true);
  (scene.components.length ? goToComponent : goToDifference)(1);
  setView(view);
  byId("message").textContent = "";
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
    await nv.attachToCanvas(byId("canvas"), false);
    const [level, width] = scene.window;
    nv.addVolume(await volumes.read("volume-0", true, level - width / 2, level + width / 2));
    for (const [index, mask] of masks.entries()) {
      mask.volume = await volumes.read(`volume-${index + 1}`, false, 0, 255);
      mask.volume.setColormapLabel(volumes.labelColours(mask));
      mask.labelMap = mask.volume.img.slice();
      nv.addVolume(mask.volume);
    }
  }

  function buildViews() {
    for (const [name, number] of Object.entries(VIEWS)) {
      byId("views").append(button(name, () => setView(number), { "data-view": number }));
    }
    byId("slice").addEventListener("input", (event) => {
      const axis = SLICE_AXIS[view], steps = Number(event.target.value) - voxel()[axis];
      move(axis, steps);
    });
  }

  function setView(number) {
    view = number;
    for (const viewButton of byId("views").children) {
      viewButton.setAttribute("aria-pressed", String(Number(viewButton.dataset.view) === number));
    }
    byId("slice").max = nv.volumes[0].dimsRAS[1 + SLICE_AXIS[view]] - 1;
    nv.opts.sliceType = number;
    showMasks();
    nv.createOnLocationChange();
  }

  // Updates the masks for the current view: outlines or areas, and opacity. In 3D, the image is
  // hidden unless it was requested.
  function showMasks() {
    const is2d = view < 4;
    const outlined = byId("outline").checked && is2d;
    const [cols, rows] = nv.volumes[0].hdr.dims.slice(1, 3);
    const steps = [[1, cols], [1, cols * rows], [cols, cols * rows], [1, cols]][view];
    for (const mask of masks) {
      mask.volume.img.set(outlined ? volumes.outline(mask.labelMap, steps) : mask.labelMap);
      mask.volume.opacity = !mask.shown ? 0 : outlined ? Math.min(1, 2 * mask.opacity) : mask.opacity;
    }
    nv.volumes[0].opacity = is2d || !masks.length || byId("image-3d").checked ? 1 : 0;
    nv.updateGLVolume();
  }

  function voxel() { return nv.frac2vox(nv.scene.crosshairPos); }

  function move(axis, steps) {
    const shift = [0, 0, 0];
    shift[axis] = steps;
    nv.moveCrosshairInVox(...shift);
  }

  function showLocation({ mm, values }) {
    const position = [mm[0] < 0 ? "L" : "R", mm[1] < 0 ? "P" : "A", mm[2] < 0 ? "I" : "S"]
      .map((side, axis) => `${side} ${Math.abs(mm[axis]).toFixed(1)}`).join("   ");
    const [cols, rows] = nv.volumes[0].hdr.dims.slice(1, 3), [x, y, z] = voxel();
    // the axes of the files point to left, posterior, superior; x and y point the other way
    const regions = masks.flatMap((mask) => {
      const label = mask.labelMap[(z * rows + (rows - 1 - y)) * cols + (cols - 1 - x)];
      const entry = mask.labels.find(([known]) => known === label);
      return entry && label ? [`${mask.name}: ${mask.regions[entry[1]].name}`] : [];
    });
    const value = values[0].value;
    const text = scene.isCt ? `${Math.round(value)} HU` : `value ${value.toPrecision(4)}`;
    byId("readout").textContent = [`${position} mm`, text, ...regions].join("\n");
    const axis = SLICE_AXIS[view], index = voxel()[axis];
    byId("slice").value = index;
    byId("slice-number").textContent = `${index + 1} / ${Number(byId("slice").max) + 1}`;
  }

  function buildWindows() {
    for (const [name, [level, width]] of Object.entries(scene.windows)) {
      byId("windows").append(button(`${name} ${level}/${width}`, () => setWindow(level, width), { "data-window": `${level}/${width}` }));
    }
    if (!scene.isCt) byId("windows").append(button("reset", () => setWindow(...scene.window)));
    showWindow(nv.volumes[0].cal_min, nv.volumes[0].cal_max);
    for (const id of ["level", "width"]) {
      byId(id).addEventListener("change", () => {
        setWindow(Number(byId("level").value), Number(byId("width").value));
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
    byId("level").value = round((low + high) / 2);
    byId("width").value = round(high - low);
    for (const windowButton of byId("windows").children) {
      const isCurrent = windowButton.dataset.window === `${round((low + high) / 2)}/${round(high - low)}`;
      windowButton.setAttribute("aria-pressed", String(isCurrent));
    }
  }

  function buildLegend() {
    byId("mask-part").hidden = masks.length === 0;
    byId("outline").checked = masks.length > 1;
    for (const id of ["outline", "image-3d"]) byId(id).addEventListener("change", showMasks);
    for (const mask of masks) {
      const shown = element("input", { type: "checkbox", checked: "", "aria-label": `Show ${mask.name}` });
      const slider = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: mask.opacity,
        title: "Opacity", "aria-label": `Opacity of ${mask.name}` });
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
      byId("legend").append(element("div", { class: "mask" },
        element("div", { class: "row" }, shown, element("span", { class: "name" }, mask.name), slider),
        element("table", {}, element("tbody", {}, ...rows))));
    }
  }

  // Adds a heading, buttons and a text for a list of findings. Returns a function that goes a number
  // of findings forwards or backwards.
  function buildFindings(heading, findings) {
    if (!findings.length) return () => {};
    let current = -1;
    const text = element("span", { class: "finding" });
    const go = (steps) => {
      current = (Math.max(current, steps < 0 ? 0 : -1) + steps + findings.length) % findings.length;
      const { text: description, volume_ml: ml, position_mm: mm } = findings[current];
      text.textContent = `${current + 1} of ${findings.length}: ${description}, ${ml.toFixed(ml < 1 ? 2 : 1)} ml`;
      nv.scene.crosshairPos = nv.mm2frac(mm, 0, true); // true: exact on oblique grids, too
      nv.createOnLocationChange();
      nv.drawScene();
    };
    text.textContent = `${findings.length} found`;
    byId("findings").append(element("h2", {}, heading), element("div", { class: "row" },
      button("◀", () => go(-1), { "aria-label": `${heading}: previous` }), text,
      button("▶", () => go(1), { "aria-label": `${heading}: next` })));
    return go;
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SUMMARY)$/.test(event.target.tagName)) return;
    const axis = SLICE_AXIS[view], across = axis === 0 ? 1 : 0;
    const toggle = (box) => { box.checked = !box.checked; box.dispatchEvent(new Event("change")); };
    const actions = {
      ArrowUp: () => move(axis, 1), PageUp: () => move(axis, 1),
      ArrowDown: () => move(axis, -1), PageDown: () => move(axis, -1),
      ArrowLeft: () => move(across, 1), ArrowRight: () => move(across, -1), // as seen in the picture
      n: () => goToComponent(1), p: () => goToComponent(-1), d: () => goToDifference(1),
      o: () => toggle(byId("outline")), m: () => masks.forEach((mask) => toggle(mask.checkbox)),
    };
    const numbers = Object.values(VIEWS).map((number) => [String(number + 1), () => setView(number)]);
    const action = { ...actions, ...Object.fromEntries(numbers) }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  function button(text, onClick, attributes = {}) {
    const node = element("button", { type: "button", ...attributes }, text);
    node.addEventListener("click", onClick);
    return node;
  }

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }
})();
