// Shows an image and its mask with NiiVue: three planes, 3D, windows, opacity and outlines.
// `niivue` is the global of the vendored script.
import { byId } from "./dom.js";

const SLICE_AXIS = [2, 1, 0, 2, 2]; // RAS axis perpendicular to the slices of each view
export const VIEWS = ["Axial", "Coronal", "Sagittal", "3 planes", "3D"];
const SHARE = 8; // a new picture of the mask takes at most an eighth of the time

export class Viewer {
  constructor(regions, colours) {
    Object.assign(this, { regions, colours, nv: null, view: 3, opacity: 0.5, outlined: false, shown: true });
    this.onLocation = () => {};
    this.onWindow = () => {};
  }

  static get isPossible() {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  }

  async _attach() {
    this.nv = new niivue.Niivue({
      isRadiologicalConvention: true, sagittalNoseLeft: true, backColor: [0, 0, 0, 1],
      crosshairColor: [1, 0.85, 0.2, 0.8], crosshairWidth: 0.25, crosshairWidthUnit: "percent",
      crosshairGap: 10, show3Dcrosshair: true, fontColor: [1, 1, 1, 1], fontMinPx: 15,
      dragMode: niivue.DRAG_MODE.windowing, dragAndDropEnabled: false, logLevel: "error",
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", loadingText: "",
      multiplanarShowRender: 0, multiplanarPadPixels: 6, isAlphaClipDark: true,
    });
    this.nv.onLocationChange = (location) => { this._tell(location); };
    this.nv.onIntensityChange = () => { this.onWindow(this.window); };
    await this.nv.attachToCanvas(byId("canvas"), false);
  }

  // Shows a new image, without a mask. `file`: NIfTI; `shape`: (z, rows, cols); `window`: of the record.
  async show({ file, shape, window: { level_hu: level, width_hu: width } }) {
    if (this.nv === null) await this._attach();
    while (this.nv.volumes.length) this.nv.removeVolumeByIndex(this.nv.volumes.length - 1);
    this.shape = shape;
    this.labels = new Uint8Array(shape[0] * shape[1] * shape[2]);
    const load = (bytes, name, low, high) => niivue.NVImage.new(bytes.buffer, name, "gray", 1, null, low, high);
    const empty = new Uint8Array(352 + this.labels.length);
    empty.set(file.subarray(0, 352));
    const header = new DataView(empty.buffer);
    header.setInt16(70, 2, true); // uint8
    header.setInt16(72, 8, true);
    this.nv.addVolume(await load(file, "image.nii", level - width / 2, level + width / 2));
    this.mask = await load(empty, "mask.nii", 0, 255);
    this.mask.setColormapLabel(this._colourTable());
    this.nv.addVolume(this.mask);
    this.setView(this.view);
    this._freeAt = 0;
  }

  // Adds the labels of a slice; the picture follows when there is time.
  addSlice(z, labels) {
    this.labels.set(labels, z * labels.length);
    const started = performance.now();
    if (started < this._freeAt) return;
    this._freeAt = Infinity; // until the picture is there
    this.refresh();
    requestAnimationFrame(() => requestAnimationFrame(() => {
      this._freeAt = performance.now() + SHARE * (performance.now() - started);
    }));
  }

  setLabels(labels) {
    this.labels = labels;
    this.refresh();
  }

  // Goes to the middle of the largest part of the mask: the slice with most labelled voxels.
  goToMask() {
    const size = this.shape[1] * this.shape[2];
    let best = -1, most = 0, centre = null;
    for (let z = 0; z < this.shape[0]; z++) {
      let count = 0, rows = 0, cols = 0;
      for (let i = 0; i < size; i++) {
        if (!this.labels[z * size + i]) continue;
        count++;
        rows += Math.floor(i / this.shape[2]);
        cols += i % this.shape[2];
      }
      if (count > most) [best, most, centre] = [z, count, [rows / count, cols / count]];
    }
    if (best < 0) return;
    // the axes of the file point to left, posterior, superior; x and y of NiiVue point the other way
    const frac = [1 - (centre[1] + 0.5) / this.shape[2], 1 - (centre[0] + 0.5) / this.shape[1], (best + 0.5) / this.shape[0]];
    this.nv.scene.crosshairPos = frac;
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }

  setView(view) {
    this.view = view;
    if (this.nv === null || !this.nv.volumes.length) return;
    this.nv.opts.sliceType = view;
    this.refresh();
    this.nv.createOnLocationChange();
  }

  refresh() {
    if (!this.mask) return;
    const outlined = this.outlined && this.view < 4;
    const [, rows, cols] = this.shape;
    const steps = [[1, cols], [1, cols * rows], [cols, cols * rows], [1, cols]][this.view];
    this.mask.img.set(outlined ? outline(this.labels, steps) : this.labels);
    this.mask.opacity = !this.shown ? 0 : outlined ? Math.min(1, 2 * this.opacity) : this.opacity;
    this.nv.volumes[0].opacity = this.view < 4 ? 1 : 0; // 3D shows the regions alone
    this.nv.updateGLVolume();
  }

  get window() {
    const { cal_min: low, cal_max: high } = this.nv.volumes[0];
    return [(low + high) / 2, high - low];
  }

  setWindow(level, width) {
    if (!(Number.isFinite(level) && width > 0) || !this.nv?.volumes.length) return;
    this.nv.volumes[0].cal_min = level - width / 2;
    this.nv.volumes[0].cal_max = level + width / 2;
    this.nv.updateGLVolume();
    this.onWindow(this.window);
  }

  get axis() {
    return SLICE_AXIS[this.view];
  }

  get sliceCount() {
    return [this.shape[2], this.shape[1], this.shape[0]][this.axis];
  }

  get voxel() {
    return this.nv.frac2vox(this.nv.scene.crosshairPos);
  }

  move(axis, steps) {
    if (!this.nv?.volumes.length) return;
    const shift = [0, 0, 0];
    shift[axis] = steps;
    this.nv.moveCrosshairInVox(...shift);
  }

  _tell({ mm, values }) {
    const position = [mm[0] < 0 ? "L" : "R", mm[1] < 0 ? "P" : "A", mm[2] < 0 ? "I" : "S"]
      .map((side, axis) => `${side} ${Math.abs(mm[axis]).toFixed(1)}`).join("   ");
    const [, rows, cols] = this.shape, [x, y, z] = this.voxel;
    const label = this.labels[(z * rows + (rows - 1 - y)) * cols + (cols - 1 - x)];
    this.onLocation({ position, value: values[0].value, regions: label ? this._regionsOf(label) : [] });
  }

  _regionsOf(label) {
    return this.regions.filter(([, labels]) => labels.includes(label)).map(([name]) => name);
  }

  // Colours of the labels in NiiVue's format: a label has the colour of its innermost region.
  _colourTable() {
    const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    const innermost = new Map();
    this.regions.forEach(([name, labels], index) => {
      for (const label of labels) innermost.set(label, { name, colour: this.colours[index] });
    });
    for (const [label, { name, colour }] of [...innermost].sort(([a], [b]) => a - b)) {
      ["R", "G", "B"].forEach((channel, index) => {
        table[channel].push(parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16));
      });
      table.A.push(255);
      table.I.push(label);
      table.labels.push(name);
    }
    return table;
  }
}

// Keeps the voxels that have a neighbour with another label in the plane.
function outline(labels, [across, down]) {
  const outlines = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label && !(labels[i - across] === label && labels[i + across] === label &&
        labels[i - down] === label && labels[i + down] === label)) outlines[i] = label;
  }
  return outlines;
}
