// Position of the anatomy in a CT, to recognise flipped and reversed volumes
// (see dataset/check/orientation_check.py). The page has no mask, so that only lungs and spine count.
import { clamp, roundHalfEven } from "../../arithmetic.js";
import { BODY_HU } from "../../ct/intensity.js";

const COARSE_MM = 4;
const LUNG_HU = [-950, -600], BONE_HU = 250;
const SPINE_PART = 8;
const LUNG_SLICE = 0.1;
const TRUNK_WIDTH = 0.75, TRUNK_ASPECT = 1.1;
const MIN_SAMPLES = 64;

// Measures a canonical volume: amounts of tissue in parts of the body, relative to the whole body.
export function measureAnatomy({ array, shape }, spacingMm) {
  const steps = shape.map((length, axis) => Math.max(1,
    Math.min(roundHalfEven(COARSE_MM / spacingMm[axis]), Math.floor(length / MIN_SAMPLES))));
  const [planes, rows, cols] = shape.map((length, axis) => Math.ceil(length / steps[axis]));
  const coarse = new Float32Array(planes * rows * cols);
  for (let z = 0, i = 0; z < planes; z++) {
    for (let row = 0; row < rows; row++) {
      const start = (z * steps[0] * shape[1] + row * steps[1]) * shape[2];
      for (let col = 0; col < cols; col++, i++) coarse[i] = array[start + col * steps[2]];
    }
  }
  const size = rows * cols, isBody = Uint8Array.from(coarse, (hu) => (hu > BODY_HU ? 1 : 0));
  const inRows = new Float64Array(rows), inCols = new Float64Array(cols), lung = new Float64Array(planes);
  let bodyVoxels = 0;
  const slices = [];
  for (let z = 0; z < planes; z++) {
    const body = isBody.subarray(z * size, (z + 1) * size);
    const enclosed = enclosedBy(body, rows, cols);
    const perRow = new Float64Array(rows), perCol = new Float64Array(cols);
    let voxels = 0;
    for (let i = 0; i < size; i++) {
      const hu = coarse[z * size + i];
      if (hu > LUNG_HU[0] && hu < LUNG_HU[1] && enclosed[i]) lung[z]++;
      if (!body[i]) continue;
      voxels++;
      perRow[Math.floor(i / cols)]++;
      perCol[i % cols]++;
    }
    perRow.forEach((count, row) => { inRows[row] += count; });
    perCol.forEach((count, col) => { inCols[col] += count; });
    if (lung[z] < LUNG_SLICE * voxels) lung[z] = 0;
    bodyVoxels += voxels;
    slices.push({ width: filled(perCol), depth: filled(perRow) });
  }
  bodyVoxels = Math.max(1, bodyVoxels);
  const isTrunk = lung.some((count) => count > 0);
  const [top, bottom] = extent(inRows), [right, left] = extent(inCols);
  const width = Math.max(1, left - right), middle = Math.ceil((top + bottom) / 2);
  const widest = Math.max(...slices.map((slice) => slice.width));
  const aspect = (spacingMm[1] * steps[1]) / (spacingMm[2] * steps[2]);
  const wide = slices.map((slice) => slice.width >= TRUNK_WIDTH * widest &&
    slice.width >= TRUNK_ASPECT * slice.depth * aspect);
  let front = 0, back = 0;
  for (let z = 0; z < planes; z++) {
    if (!wide[z] || !isTrunk) continue;
    for (let i = 0; i < size; i++) {
      const near = Math.abs((i % cols) - (right + left) / 2) < width / SPINE_PART;
      if (!near || !(coarse[z * size + i] > BONE_HU)) continue;
      if (Math.floor(i / cols) < middle) front++;
      else back++;
    }
  }
  const half = Math.floor(planes / 2), upper = planes - half;
  const sum = (part) => part.reduce((total, count) => total + count, 0) / bodyVoxels;
  const abdomen = wide.slice(upper).filter((isWide, index) => isWide && lung[upper + index] === 0).length;
  return {
    lungLower: sum(lung.slice(0, half)), lungUpper: sum(lung.slice(upper)),
    abdomenUpper: half ? abdomen / half : 0,
    spineFront: front / bodyVoxels, spineBack: back / bodyVoxels,
  };
}

// Number of lines that hold at least a tenth of the fullest one.
function filled(counts) {
  const least = Math.max(1, Math.max(...counts) / 10);
  return counts.filter((count) => count >= least).length;
}

function extent(counts) {
  const least = Math.max(1, Math.max(...counts) / 10);
  const full = Array.from(counts.keys()).filter((index) => counts[index] >= least);
  return full.length ? [full[0], full[full.length - 1]] : [0, counts.length - 1];
}

// Pixels with body on all four sides, unlike the foam of the table.
function enclosedBy(body, rows, cols) {
  const inside = new Uint8Array(body.length).fill(1);
  const scan = (length, at) => {
    for (const reversed of [false, true]) {
      let seen = 0;
      for (let step = 0; step < length; step++) {
        const i = at(clamp(reversed ? length - 1 - step : step, 0, length - 1));
        seen |= body[i];
        inside[i] &= seen;
      }
    }
  };
  for (let row = 0; row < rows; row++) scan(cols, (col) => row * cols + col);
  for (let col = 0; col < cols; col++) scan(rows, (row) => row * cols + col);
  return inside;
}
