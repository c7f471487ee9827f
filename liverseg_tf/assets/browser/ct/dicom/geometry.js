// Geometry of a DICOM series: the order of its slices, their affine, and consistency checks
// (see ct/dicom/geometry.py).
import { LiverSegError } from "../../errors.js";
import { count, formatNumber } from "../../plural.js";
import { norm } from "../affine.js";
import { GRID_TOLERANCE_VOXELS, ORTHONORMAL_TOLERANCE } from "../volume.js";
import { formatNumbers } from "./values.js";

const SAME_DIRECTION = 1e-4, SAME_PLACE_MM = 0.01;
const LPS_TO_RAS = [-1, -1, 1];

const dot = (a, b) => a.reduce((sum, value, axis) => sum + value * b[axis], 0);
const subtract = (a, b) => a.map((value, axis) => value - b[axis]);
const scale = (a, factor) => a.map((value) => value * factor);

// Sorts slices along their normal and computes the affine of the stack.
export function stackSlices(unsorted) {
  checkConsistent(unsorted);
  const { across, down, normal } = axesOf(unsorted[0]);
  const slices = unsorted.map((slice) => ({ slice, mm: dot(slice.positionMm, normal) }))
    .sort((a, b) => a.mm - b.mm).map(({ slice }) => slice);
  const distances = slices.map((slice) => dot(slice.positionMm, normal));
  let origin = slices[0].positionMm, step;
  if (slices.length > 1) {
    checkPositionsDiffer(slices, distances);
    [origin, step] = fitLine(slices, normal, distances);
  } else step = scale(normal, statedDistance(slices[0]));
  const [rowMm, columnMm] = slices[0].spacingMm;
  const affine = LPS_TO_RAS.map((sign, axis) =>
    [across[axis] * columnMm, down[axis] * rowMm, step[axis], origin[axis]].map((value) => value * sign));
  return [slices, [...affine, [0, 0, 0, 1]]];
}

function checkConsistent(slices) {
  checkSame(slices, "patient", (slice) => `'${slice.patient}'`);
  checkSame(slices, "modality", (slice) => slice.modality || "none");
  checkSame(slices, "kind, all with RescaleSlope and RescaleIntercept or all without",
    (slice) => (slice.rescaled ? "both" : "none"));
  checkSame(slices, "shape (rows x columns)", (slice) => slice.shape.join(" x "));
  const [first] = slices;
  for (const other of slices) {
    if (!other.spacingMm.every((mm) => mm > 0)) {
      throw new LiverSegError(`Expected a PixelSpacing above 0 mm in ${other.name}. Received ` +
        `${formatNumbers(other.spacingMm)} mm.`);
    }
    const differs = other.spacingMm.some((mm, axis) =>
      Math.abs(mm - first.spacingMm[axis]) * other.shape[axis] > GRID_TOLERANCE_VOXELS * first.spacingMm[axis]);
    if (differs) raiseMismatch(first, other, "pixel spacing", (slice) => `${formatNumbers(slice.spacingMm)} mm`);
    if (Math.max(...subtract(other.cosines, first.cosines).map(Math.abs)) > SAME_DIRECTION) {
      raiseMismatch(first, other, "orientation", (slice) => formatNumbers(slice.cosines));
    }
  }
}

function checkSame(slices, quantity, valueOf) {
  const other = slices.find((slice) => valueOf(slice) !== valueOf(slices[0]));
  if (other) raiseMismatch(slices[0], other, quantity, valueOf);
}

function raiseMismatch(first, other, quantity, valueOf) {
  throw new LiverSegError(`Expected slices of one ${quantity}. Received ${valueOf(first)} in ` +
    `${first.name} and ${valueOf(other)} in ${other.name}.`);
}

// Unit vectors along a row, along a column and along the stack, LPS.
function axesOf(slice) {
  let across = slice.cosines.slice(0, 3), down = slice.cosines.slice(3);
  const lengths = [norm(across), norm(down)];
  const deviation = Math.max(Math.abs(lengths[0] - 1), Math.abs(lengths[1] - 1), Math.abs(dot(across, down)));
  if (!(deviation <= ORTHONORMAL_TOLERANCE)) {
    throw new LiverSegError("Expected ImageOrientationPatient with two perpendicular unit vectors in " +
      `${slice.name}. Received ${formatNumbers(slice.cosines)}.`);
  }
  across = across.map((value) => value / lengths[0]);
  down = down.map((value) => value / lengths[1]);
  const cross = [across[1] * down[2] - across[2] * down[1], across[2] * down[0] - across[0] * down[2],
    across[0] * down[1] - across[1] * down[0]];
  const largest = cross.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best));
  const factor = Math.sign(largest) / norm(cross);
  return { across, down, normal: scale(cross, factor) };
}

function checkPositionsDiffer(slices, distances) {
  const same = distances.slice(1).map((mm, index) => [mm - distances[index], index])
    .filter(([gap]) => gap < SAME_PLACE_MM);
  if (!same.length) return;
  const [, index] = same[0];
  throw new LiverSegError(`Expected one slice at each position. Received ${slices.length} slices at ` +
    `${count(slices.length - same.length, "position")}, for example ${slices[index].name} and ` +
    `${slices[index + 1].name} at ${distances[index].toFixed(2)} mm (several phases, echoes or ` +
    "reconstructions?).");
}

// Fits an evenly spaced line to the positions by least squares: [origin, step], LPS.
function fitLine(slices, normal, distances) {
  const positions = slices.map((slice) => slice.positionMm);
  const index = positions.map((_, i) => i - (positions.length - 1) / 2);
  const squares = dot(index, index);
  const along = (axis) => positions.map((position) => position[axis]);
  const mean = [0, 1, 2].map((axis) => along(axis).reduce((sum, mm) => sum + mm, 0) / positions.length);
  let step = [0, 1, 2].map((axis) => dot(index, along(axis)) / squares);
  const residuals = positions.map((position, i) => subtract(subtract(position, mean), scale(step, index[i])));
  const spacing = dot(step, normal);
  if (!(Math.max(...residuals.map((r) => Math.abs(dot(r, normal)))) <= GRID_TOLERANCE_VOXELS * spacing)) {
    raiseUneven(slices, distances);
  }
  const tolerance = GRID_TOLERANCE_VOXELS * Math.min(...slices[0].spacingMm);
  const beside = residuals.map((r) => norm(subtract(r, scale(normal, dot(r, normal)))));
  const worst = beside.indexOf(Math.max(...beside));
  if (beside[worst] > tolerance) {
    throw new LiverSegError("Expected slices that lie on one straight line. Received " +
      `${slices[worst].name}, ${beside[worst].toFixed(2)} mm beside it.`);
  }
  const drift = subtract(step, scale(normal, spacing));
  const tilt = norm(drift) / spacing;
  if (tilt > 0.9 * ORTHONORMAL_TOLERANCE) {
    if (norm(drift) * (slices.length - 1) > tolerance) {
      throw new LiverSegError("Expected slices perpendicular to the direction in which they are stacked. " +
        `Received a gantry tilt of ${((Math.atan(tilt) * 180) / Math.PI).toFixed(2)} degrees (resample the ` +
        "series onto an orthogonal grid first).");
    }
    step = scale(normal, spacing); // the drift of a few slices is only rounding
  }
  return [mean.map((mm, axis) => mm + index[0] * step[axis]), step];
}

function raiseUneven(slices, distances) {
  const gaps = distances.slice(1).map((mm, index) => mm - distances[index]);
  const sorted = [...gaps].sort((a, b) => a - b), middle = sorted.length >> 1;
  const usual = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  const widest = gaps.reduce((best, gap, i) => (Math.abs(gap - usual) > Math.abs(gaps[best] - usual) ? i : best), 0);
  const missing = Math.round(gaps[widest] / usual) - 1;
  const hint = missing > 0 ? ` (${count(missing, "missing slice")}?)` : "";
  throw new LiverSegError(`Expected ${slices.length} slices at equal distances. Received a usual distance ` +
    `of ${formatNumber(usual, 3)} mm, but ${formatNumber(gaps[widest], 3)} mm between ` +
    `${slices[widest].name} and ${slices[widest + 1].name}${hint}.`);
}

function statedDistance({ distanceMm, name }) {
  if (!(distanceMm > 0 && distanceMm < Infinity)) {
    const thickness = distanceMm === null ? "without one" : `with ${formatNumber(distanceMm)} mm`;
    throw new LiverSegError("Expected at least two slices, or one slice with a SliceThickness above 0 mm. " +
      `Received only ${name} ${thickness}.`);
  }
  return distanceMm;
}
