// The rules of `liverseg check` for an image without a mask (see dataset/check/rules.py).
import { LiverSegError } from "../../errors.js";
import { lowerHu } from "../../ct/intensity.js";
import { spacingOf } from "../../ct/volume.js";
import { findImageIssues } from "./image_rules.js";
import { measureIntensities } from "./intensities.js";
import { measureAnatomy } from "./orientation_check.js";

const MIN_LUNG = 0.015, MIN_SPINE = 0.0015, MIN_ABDOMEN = 0.5;
const SCANNER_PIXELS = 512;

// Refuses an image with errors; returns warnings, one line each.
export function checkImageRules(canonical, network) {
  const hasHu = network.tiles.percentiles === null;
  const windows = hasHu ? network.tiles.windows.map((window) =>
    ({ lower: lowerHu(window), upper: window.level_hu + window.width_hu / 2 })) : [];
  const values = measureIntensities(canonical);
  const spacingMm = spacingOf(canonical);
  const image = { ...canonical, spacingMm, lacksGeometry: lacksGeometry(canonical) };
  const { issues, hasValueError } = findImageIssues(image, values, hasHu, windows);
  const errors = issues.filter(({ severity }) => severity === "error").map(({ text }) => text);
  if (errors.length) {
    throw new LiverSegError(`Expected an image that passes the check. Received: ${errors.join("; ")}.`);
  }
  const warnings = issues.map(({ text }) => text);
  if (hasHu && !hasValueError) warnings.push(...checkOrientation(measureAnatomy(canonical, spacingMm)));
  return warnings;
}

// A header without geometry: 1 mm without rotation, and the matrix of a scanner or no origin
// (see ct/grid_correction.py). Axis order and flips of the canonical affine change neither.
function lacksGeometry(image) {
  if (image.lacksOrientation) return true;
  const linear = image.fileAffine.slice(0, 3).map((row) => row.slice(0, 3));
  const isUnit = linear.every((row, i) => row.every((value, j) =>
    Math.abs(Math.abs(value) - (i === j ? 1 : 0)) <= 1e-6 + 1e-5 * (i === j ? 1 : 0)));
  const isNative = image.shape.filter((length) => length === SCANNER_PIXELS).length >= 2;
  const hasNoOrigin = image.fileAffine.slice(0, 3).every((row) => Math.abs(row[3]) <= 1e-8);
  return isUnit && (isNative || hasNoOrigin);
}

function checkOrientation(anatomy) {
  const reasons = [];
  if (anatomy.spineFront > Math.max(MIN_SPINE, 1.5 * anatomy.spineBack)) reasons.push("spine in front");
  if (anatomy.abdomenUpper >= MIN_ABDOMEN && anatomy.lungLower > Math.max(MIN_LUNG, 3 * anatomy.lungUpper)) {
    reasons.push("lungs below");
  }
  return reasons.length ? [`${reasons.join(", ")}: the orientation in the header is probably wrong`] : [];
}
