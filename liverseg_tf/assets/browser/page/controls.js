// The controls of the view: planes, slices, windows, opacity, outlines and keys.
import { button, byId } from "./dom.js";
import { VIEWS } from "./viewer.js";

const WINDOWS = { abdomen: [40, 400], liver: [60, 160], "soft tissue": [50, 350], lung: [-600, 1500],
  bone: [400, 1800] };

// Connects the controls with the viewer. `keys`: further keys and what they do.
export function connectControls(viewer, keys) {
  buildViews(viewer);
  buildWindows(viewer);
  for (const id of ["outline", "shown"]) byId(id).addEventListener("change", () => showMask(viewer));
  byId("opacity").addEventListener("input", () => showMask(viewer));
  byId("slice").addEventListener("input", (event) => {
    viewer.move(viewer.axis, Number(event.target.value) - viewer.voxel[viewer.axis]);
  });
  document.addEventListener("keydown", (event) => onKey(viewer, keys, event), true);
  viewer.onLocation = (location) => showLocation(viewer, location);
  viewer.onWindow = showWindow;
}

// Shows the number of slices and the window of a new image.
export function showLimits(viewer, isCt) {
  byId("slice").max = viewer.sliceCount - 1;
  byId("slice").value = viewer.voxel[viewer.axis];
  byId("ct-windows").hidden = !isCt;
  showWindow(viewer.window);
}

function buildViews(viewer) {
  const narrow = matchMedia("(max-width: 760px)").matches;
  VIEWS.forEach((name, number) => {
    byId("views").append(button(name, () => setView(viewer, number), { "data-view": number }));
  });
  setView(viewer, narrow ? 0 : 3);
}

function setView(viewer, number) {
  viewer.setView(number);
  for (const one of byId("views").children) {
    one.setAttribute("aria-pressed", String(Number(one.dataset.view) === number));
  }
  if (viewer.shape) byId("slice").max = viewer.sliceCount - 1;
}

function buildWindows(viewer) {
  for (const [name, [level, width]] of Object.entries(WINDOWS)) {
    byId("ct-windows").append(button(name, () => viewer.setWindow(level, width), { "data-window": `${level}/${width}` }));
  }
  for (const id of ["level", "width"]) {
    byId(id).addEventListener("change", () => {
      viewer.setWindow(Number(byId("level").value), Number(byId("width").value));
    });
  }
}

function showWindow([level, width]) {
  const round = (number) => Number(number.toPrecision(4));
  byId("level").value = round(level);
  byId("width").value = round(width);
  for (const one of byId("ct-windows").children) {
    one.setAttribute("aria-pressed", String(one.dataset.window === `${round(level)}/${round(width)}`));
  }
}

function showMask(viewer) {
  viewer.outlined = byId("outline").checked;
  viewer.shown = byId("shown").checked;
  viewer.opacity = Number(byId("opacity").value);
  viewer.refresh();
}

function showLocation(viewer, { position, value, regions }) {
  const isCt = !byId("ct-windows").hidden;
  const text = isCt ? `${Math.round(value)} HU` : `value ${value.toPrecision(4)}`;
  byId("readout").textContent = [`${position} mm`, text, ...regions].join("\n");
  const index = viewer.voxel[viewer.axis];
  byId("slice").value = index;
  byId("slice-number").textContent = `${index + 1} / ${viewer.sliceCount}`;
}

// `others`: further keys and what they do.
function onKey(viewer, others, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SUMMARY)$/.test(event.target.tagName)) return;
  const across = viewer.axis === 0 ? 1 : 0;
  const toggle = (id) => {
    byId(id).checked = !byId(id).checked;
    showMask(viewer);
  };
  const actions = {
    ArrowUp: () => viewer.move(viewer.axis, 1), PageUp: () => viewer.move(viewer.axis, 1),
    ArrowDown: () => viewer.move(viewer.axis, -1), PageDown: () => viewer.move(viewer.axis, -1),
    ArrowLeft: () => viewer.move(across, 1), ArrowRight: () => viewer.move(across, -1), // as seen
    o: () => toggle("outline"), m: () => toggle("shown"), ...others,
  };
  VIEWS.forEach((_, number) => { actions[number + 1] = () => setView(viewer, number); });
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}
