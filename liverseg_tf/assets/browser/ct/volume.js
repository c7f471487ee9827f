// Volumes: voxels and their position in the patient (see ct/volume.py). A volume is an object with
// `array` (a typed array of z, row, col), `shape` [z, rows, cols], `affine`, `header` (of a NIfTI
// file, or null), `modality`, `lacksOrientation` and `warnings`.
import { LiverSegError } from "../errors.js";
import { formatNumber, formatShape, formatVector } from "../plural.js";
import { norm, voxelSizes } from "./affine.js";

const ORTHONORMAL_TOLERANCE = 1e-3;
export const GRID_TOLERANCE_VOXELS = 0.1;
const SPACING_RANGE_MM = [0.01, 100];
const MAX_LENGTH_MM = 5000;

export function createVolume(fields) {
  const volume = { header: null, modality: "", lacksOrientation: false, warnings: [], ...fields };
  if (volume.shape.length !== 3 || volume.shape.some((length) => length < 1)) {
    throw new LiverSegError(
      `Expected a 3D volume. Received the shape ${formatShape([...volume.shape].reverse())}.`);
  }
  checkAffine(volume.affine);
  return volume;
}

// Spacing along (z, row, col) in mm.
export function spacingOf(volume) {
  return voxelSizes(volume.affine).reverse();
}

export function voxelVolumeMl(volume) {
  const [z, row, col] = spacingOf(volume);
  return (z * row * col) / 1000;
}

export function checkAffine(affine) {
  if (!affine.slice(0, 3).flat().every(Number.isFinite)) {
    throw new LiverSegError(
      "Expected a finite affine. Received NaN or infinite values in it.");
  }
  const spacing = voxelSizes(affine);
  if (!(Math.min(...spacing) >= 1e-6)) {
    throw new LiverSegError("Expected an affine with a spacing above 0 mm along each axis. " +
      `Received the spacing ${formatVector(spacing)} mm.`);
  }
  let error = 0;
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      let product = 0;
      for (let row = 0; row < 3; row++) {
        product += (affine[row][i] / spacing[i]) * (affine[row][j] / spacing[j]);
      }
      error = Math.max(error, Math.abs(product - (i === j ? 1 : 0)));
    }
  }
  if (!(error <= ORTHONORMAL_TOLERANCE)) {
    throw new LiverSegError("Expected an affine with orthonormal direction cosines. Received axes " +
      `that deviate by ${formatNumber(error, 3)} (a sheared or tilted grid: resample the image to ` +
      "an orthogonal grid first).");
  }
}

export function checkPlausibleSpacing(volume, source) {
  const spacing = spacingOf(volume);
  const lengthMm = Math.max(...spacing.map((mm, axis) => mm * volume.shape[axis]));
  const [smallest, largest] = SPACING_RANGE_MM;
  if (Math.min(...spacing) < smallest || Math.max(...spacing) > largest ||
      lengthMm > MAX_LENGTH_MM) {
    throw new LiverSegError(
      `Expected a spacing from ${smallest} to ${largest} mm and at most ${MAX_LENGTH_MM / 1000} m ` +
      `along each axis in ${source}. Received ${formatVector(spacing.reverse())} mm and up to ` +
      `${formatNumber(lengthMm / 1000, 3)} m (not in mm, or a wrong header?): correct the header.`);
  }
}

export function isFloat(array) {
  return array instanceof Float32Array || array instanceof Float64Array;
}

export function countNotFinite(array) {
  if (!isFloat(array)) return 0;
  let count = 0;
  for (let i = 0; i < array.length; i++) if (!Number.isFinite(array[i])) count++;
  return count;
}

export function checkFinite(image) {
  const count = countNotFinite(image.array);
  if (count) {
    throw new LiverSegError(`Expected finite values in the image. Received ${count} of ` +
      `${image.array.length} voxels that are NaN or infinite: replace them first (air has -1024 HU).`);
  }
}

export { norm, ORTHONORMAL_TOLERANCE };
