// The page: takes images, shows the progress of the worker, and the masks.
import { button, byId, element, save } from "./dom.js";
import { connectControls, showLimits } from "./controls.js";
import { Engine } from "./engine.js";
import { casesOf, listChosen, listDropped } from "./inputs.js";
import { formatSeconds, listVolumes, resultTable, resultWarnings } from "./results.js";
import { Viewer } from "./viewer.js";

const COLOURS = ["#4dff88", "#ffe14d", "#ff5cf4", "#6f9dff", "#ff9a3d", "#3de8ff", "#b0ff3d", "#c08bff",
  "#ff4d4d", "#2fb8a0", "#ff8fb0", "#ffc08a", "#8ad0ff", "#f2f2f2", "#c96b2c", "#2c8fc9"];

const record = JSON.parse(byId("record").textContent);
const { regions } = record.network;
const viewer = new Viewer(regions, COLOURS);
const waiting = [];
let engine = null, current = null;

start();

function start() {
  byId("model").textContent = describeModel();
  for (const warning of record.warnings) byId("model-warnings").append(element("li", {}, warning));
  const obstacle = Engine.findObstacle();
  if (obstacle !== null) return showError(obstacle);
  engine = new Engine(record);
  connectControls(viewer, { s: () => byId("save")?.click(), d: () => byId("save-seg")?.click(), Escape: cancel });
  listenForFiles();
  byId("cancel").addEventListener("click", cancel);
  setState("start");
}

function describeModel() {
  const names = regions.map(([name]) => name).join(", ");
  const kind = record.network.tiles.percentiles === null ? "CT" : "images without HU (MR)";
  return `${record.name}, version ${record.version}: finds ${names} in ${kind}.`;
}

function setState(state) {
  document.documentElement.dataset.state = state;
}

// --- files ---

function listenForFiles() {
  byId("choose-files").addEventListener("click", () => byId("files").click());
  byId("choose-folder").addEventListener("click", () => byId("folder").click());
  for (const id of ["files", "folder"]) {
    byId(id).addEventListener("change", (event) => {
      add(listChosen(event.target));
      event.target.value = "";
    });
  }
  for (const type of ["dragenter", "dragover"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    add(await listDropped(event.dataTransfer));
  });
}

function add(files) {
  for (const one of casesOf(files)) {
    one.state = element("span", { class: "case-state" }, "waiting");
    one.row = element("li", {}, element("span", { class: "case-name" }, one.name), one.state);
    byId("cases").append(one.row);
    byId("cases-part").hidden = false;
    waiting.push(one);
  }
  if (current === null) next();
}

function next() {
  current = waiting.shift() ?? null;
  if (current === null) return;
  const one = current;
  one.started = performance.now();
  byId("error").textContent = "";
  byId("result").replaceChildren();
  byId("warnings").replaceChildren();
  showProgress("Starting", null);
  setState("working");
  byId("case-title").textContent = one.name;
  one.state.textContent = "working";
  engine.segment(one.files, (message) => { if (current === one) HANDLERS[message.type]?.(one, message); });
}

function finish(one, state) {
  one.state.textContent = state;
  byId("progress-part").hidden = true;
  current = null;
  if (waiting.length) next();
}

function cancel() {
  const one = current;
  if (one === null) return;
  engine.cancel();
  setState("cancelled");
  finish(one, "cancelled");
}

// --- messages of the worker ---

const HANDLERS = {
  reading: (one, { what, done, total }) => {
    showProgress(what === "files" ? `Looking at file ${done} of ${total}` : `Reading slice ${done}`, null);
  },

  async image(one, message) {
    one.isCt = message.isCt;
    for (const warning of message.warnings) byId("warnings").append(element("li", {}, warning));
    one.firstSliceAt = performance.now();
    byId("windows-part").hidden = false;
    if (!Viewer.isPossible) {
      byId("warnings").append(element("li", {}, "This browser has no WebGL 2: the image cannot be shown, but its mask can be saved."));
      return;
    }
    one.isShown = viewer.show(message).then(() => {
      showLimits(viewer, message.isCt);
      byId("view-title").textContent = `View of ${one.name}`;
      document.documentElement.dataset.image = "shown";
    });
    await one.isShown;
  },

  async slice(one, { z, done, total, labels }) {
    const seconds = (performance.now() - one.firstSliceAt) / 1000;
    const left = (seconds / done) * (total - done);
    const rate = done / seconds;
    showProgress(`Slice ${done} of ${total}, ${rate.toFixed(rate < 10 ? 1 : 0)} slices per second` +
      (done < total ? `, ${formatSeconds(left)} left` : ", finishing"), done / total);
    await one.isShown;
    if (current === one && one.isShown) viewer.addSlice(z, labels);
  },

  async result(one, { labels, table, file, seg, sliceSeconds }) {
    await one.isShown;
    if (one.isShown) {
      viewer.setLabels(labels);
      viewer.goToMask();
    }
    const seconds = (performance.now() - one.started) / 1000;
    const name = `${one.name}.nii.gz`;
    byId("result").replaceChildren(element("h2", {}, `Result of ${one.name}`), resultTable(table, COLOURS, one.isCt));
    for (const warning of resultWarnings(table)) byId("warnings").append(element("li", {}, warning));
    const buttons = element("div", { class: "buttons" }, button("Save mask (.nii.gz)", () => save(file, name), { id: "save" }));
    one.row.append(element("span", { class: "volumes" }, listVolumes(table)),
      button("Save", () => save(file, name), { "aria-label": `Save the mask of ${one.name}` }));
    if (seg?.file) {
      const saveSeg = () => save(seg.file, `${one.name}.seg.dcm`, "application/dicom");
      buttons.append(button("Save as DICOM-SEG", saveSeg, { id: "save-seg" }));
      one.row.append(button("SEG", saveSeg, { "aria-label": `Save the mask of ${one.name} as DICOM-SEG` }));
    } else if (seg) byId("warnings").append(element("li", {}, `The mask cannot be saved as DICOM-SEG. ${seg.reason}`));
    byId("result").append(buttons, element("p", { class: "small" }, `Computed in ${formatSeconds(seconds)} on this device; the network ` +
      `took ${sliceSeconds.toFixed(2)} s per slice.`));
    Object.assign(byId("result").dataset, { seconds, sliceSeconds });
    setState("result");
    finish(one, "done");
  },

  error(one, { message }) {
    showError(`${one.name}: ${message}`);
    finish(one, "failed");
  },
};

function showError(message) {
  byId("error").textContent = message;
  setState("error");
}

function showProgress(text, fraction) {
  byId("progress-part").hidden = false;
  byId("progress-text").textContent = text;
  if (fraction === null) byId("progress").removeAttribute("value");
  else byId("progress").value = fraction;
}
