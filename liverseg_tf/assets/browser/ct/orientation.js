// Canonical order (radiological axial slices), and the exact way back to the order of the file
// (see ct/orientation.py).
import { multiply, voxelSizes } from "./affine.js";

const CANONICAL_SIGNS = [-1, -1, 1]; // the voxel axes (col, row, z) run to left, posterior, superior

// Returns, for each canonical array axis (z, row, col), the axis of the source and whether it runs in
// the opposite direction.
export function orientationOf(affine) {
  const sizes = voxelSizes(affine);
  const cosines = affine.slice(0, 3).map((row) => row.slice(0, 3).map((mm, axis) => mm / sizes[axis]));
  const axes = [0, 0, 0], flips = [false, false, false];
  const largest = (column) => Math.max(...cosines.map((row) => Math.abs(row[column])));
  // from the clearest axis to the least clear one; the sort is stable
  const order = [0, 1, 2].map((axis) => [axis, largest(axis)]).sort((a, b) => b[1] - a[1]);
  const free = new Set([0, 1, 2]);
  for (const [source] of order) {
    let anatomical = -1;
    for (const axis of free) {
      const value = Math.abs(cosines[axis][source]);
      if (anatomical < 0 || value > Math.abs(cosines[anatomical][source])) anatomical = axis;
    }
    free.delete(anatomical);
    const sign = cosines[anatomical][source] < 0 ? -1 : 1;
    axes[2 - anatomical] = 2 - source;
    flips[2 - anatomical] = sign !== CANONICAL_SIGNS[anatomical];
  }
  return { axes, flips };
}

function stridesOf(shape) {
  return [shape[1] * shape[2], shape[2], 1];
}

export function canonicalShape(orientation, shape) {
  return orientation.axes.map((axis) => shape[axis]);
}

// Calls `copy(canonicalIndex, sourceIndex, step, length)` for each line of the canonical array.
function forEachLine(orientation, shape, copy) {
  const { axes, flips } = orientation;
  const strides = stridesOf(shape);
  const [planes, rows, cols] = canonicalShape(orientation, shape);
  const steps = axes.map((axis, index) => (flips[index] ? -strides[axis] : strides[axis]));
  const start = axes.reduce(
    (sum, axis, index) => sum + (flips[index] ? (shape[axis] - 1) * strides[axis] : 0), 0);
  for (let z = 0, canonical = 0; z < planes; z++) {
    for (let row = 0; row < rows; row++, canonical += cols) {
      copy(canonical, start + z * steps[0] + row * steps[1], steps[2], cols);
    }
  }
}

// Returns an array (in the order of the source, of the given shape) in canonical order. The array
// itself if the order is the same.
export function toCanonicalArray(orientation, array, shape) {
  if (isIdentity(orientation)) return array;
  const out = new array.constructor(array.length);
  forEachLine(orientation, shape, (canonical, source, step, length) => {
    for (let i = 0, at = source; i < length; i++, at += step) out[canonical + i] = array[at];
  });
  return out;
}

// The exact inverse of `toCanonicalArray`; `shape` is that of the source.
export function fromCanonicalArray(orientation, array, shape) {
  if (isIdentity(orientation)) return array;
  const out = new array.constructor(array.length);
  forEachLine(orientation, shape, (canonical, source, step, length) => {
    for (let i = 0, at = source; i < length; i++, at += step) out[at] = array[canonical + i];
  });
  return out;
}

// The affine of the canonical array, from (col, row, z) to RAS+ mm.
export function canonicalAffine(orientation, affine, shape) {
  const toSource = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]];
  orientation.axes.forEach((source, canonical) => {
    const flip = orientation.flips[canonical];
    toSource[2 - source][2 - canonical] = flip ? -1 : 1;
    toSource[2 - source][3] = flip ? shape[source] - 1 : 0;
  });
  return multiply(affine, toSource);
}

// Brings a volume into radiological axial order, without interpolation.
export function toCanonical(volume) {
  const orientation = orientationOf(volume.affine);
  return {
    ...volume,
    array: toCanonicalArray(orientation, volume.array, volume.shape),
    shape: canonicalShape(orientation, volume.shape),
    affine: canonicalAffine(orientation, volume.affine, volume.shape),
    header: null,
  };
}

function isIdentity({ axes, flips }) {
  return axes.every((axis, index) => axis === index) && !flips.includes(true);
}
