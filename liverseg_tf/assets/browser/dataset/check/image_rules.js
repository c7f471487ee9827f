// Rules for an image alone: header, modality and intensities (see dataset/check/image_rules.py).
// Each issue is {severity, text}.
import { formatNumber } from "../../plural.js";
import { AIR_HU, HUGE_HU, LOWEST_HU, SOFT_TISSUE_HU } from "./intensities.js";

const SPACING_MM = [0.09, 50];
const MAX_SIDE_MM = [3000, 2000, 2000]; // (z, row, col)
const NO_AIR_HU = -500, NO_FAT_HU = -30, MAX_CLIPPED_AIR_HU = -900;
const MAX_HUGE_FRACTION = 0.02, MIN_AIR_FRACTION = 0.01, MAX_AT_TOP = 0.3;
const SHIFTED_AIR = [-880, -600];
const MAX_DENSE_FRACTION = 0.1, MIN_SPREAD = 0.55, MAX_SCALED_AIR = -350;
const MAX_COMMON_FRACTION = 0.999, MIN_SOFT_TISSUE_FRACTION = 0.02;
const MAX_STEP_HU = 20, MIN_TOLD_FRACTION = 0.01;
const CT_MODALITIES = ["", "CT", "OT"];

const error = (text) => ({ severity: "error", text });
const warning = (text) => ({ severity: "warning", text });
const percent = (fraction) => `${formatNumber(100 * fraction, 2)} %`;

// Finds the issues of an image. `image` has shape, spacingMm, modality and warnings; `windows` are
// those of the model, as {lower, upper}.
export function findImageIssues(image, values, hasHu, windows) {
  const issues = [...image.warnings.map(warning), ...checkGrid(image), ...checkModality(image, values, hasHu)];
  let hasValueError = false;
  if (values.minimum === values.maximum) {
    issues.push(error(`all voxels have the same value, ${formatNumber(values.minimum)}`));
    hasValueError = true;
  } else if (values.fractionMostCommon > MAX_COMMON_FRACTION) {
    issues.push(error("nearly all voxels have the same value"));
    hasValueError = true;
  } else if (hasHu) {
    const reason = findReasonAgainstHu(values);
    if (reason !== null) issues.push(error(reason));
    else issues.push(...checkRange(values, windows));
    hasValueError = reason !== null;
  }
  return { issues, hasValueError };
}

// Finds a reason why the values cannot be HU; null if they can.
export function findReasonAgainstHu(values) {
  const { minimum: low, maximum: high, tissue } = values;
  const ends = `values from ${formatNumber(low)} to ${formatNumber(high)}`;
  const isCutCt = low < NO_FAT_HU && values.clippedBelow !== null && values.clippedAbove !== null;
  if (high - low <= 50) return `${ends}: normalised, not HU`;
  if ((low >= 0 && high <= 256) || (low >= -128 && high <= 127 && !isCutCt)) {
    return `${ends}: an 8-bit image, not HU`;
  }
  if (values.fractionHuge > MAX_HUGE_FRACTION) {
    return `${percent(values.fractionHuge)} of the voxels are above ${HUGE_HU}: HU below 0 read as unsigned numbers?`;
  }
  if (values.fractionBelow > MAX_HUGE_FRACTION) {
    return `${percent(values.fractionBelow)} of the voxels are below ${LOWEST_HU}: wrong scale?`;
  }
  if (low >= 0) return `${ends}: not HU (rescale intercept left out, or MR?)`;
  const hasAir = values.fractionAir >= MIN_AIR_FRACTION;
  if (!hasAir && values.fractionDense > MAX_DENSE_FRACTION) {
    return `${percent(values.fractionDense)} of the voxels are as dense as bone: rescale intercept left out?`;
  }
  if (!hasAir && values.clippedBelow === null && values.fractionAtMaximum > MAX_AT_TOP) {
    return `${percent(values.fractionAtMaximum)} of the voxels have the highest value, ${formatNumber(high)}: inverted?`;
  }
  if (values.clippedBelow !== null && values.clippedBelow > SHIFTED_AIR[0] && values.clippedBelow < SHIFTED_AIR[1]) {
    return `air has ${formatNumber(values.clippedBelow)} HU: wrong rescale intercept?`;
  }
  if (low > NO_FAT_HU) return `${ends}: neither air nor fat, so not HU (MR?)`;
  if (tissue !== null && !(tissue >= SOFT_TISSUE_HU[0] && tissue <= SOFT_TISSUE_HU[1])) {
    return `most tissue has about ${Math.round(tissue)} HU: wrong scale or rescale intercept?`;
  }
  if (low > MAX_SCALED_AIR && values.spread < MIN_SPREAD * Math.abs(low)) {
    return `${ends}, and most tissue within ${Math.round(values.spread)}: scaled to another range?`;
  }
  if (values.fractionSoftTissue < MIN_SOFT_TISSUE_FRACTION) {
    return `only ${percent(values.fractionSoftTissue)} of the voxels have ${SOFT_TISSUE_HU.join(" to ")} HU: wrong rescale intercept?`;
  }
  return null;
}

function checkGrid({ shape, spacingMm, lacksGeometry }) {
  const issues = [];
  if (lacksGeometry) issues.push(error("header without geometry: correct it first"));
  const spacing = spacingMm.map((mm) => formatNumber(mm, 3)).join(" x ");
  const sides = shape.map((length, axis) => length * spacingMm[axis]);
  if (Math.min(...spacingMm) < SPACING_MM[0] || Math.max(...spacingMm) > SPACING_MM[1]) {
    issues.push(error(`spacing of ${spacing} mm, not that of a scanner: is it in mm?`));
  } else if (sides.some((side, axis) => side > MAX_SIDE_MM[axis])) {
    issues.push(error(`image of ${sides.map(Math.round).join(" x ")} mm, larger than a patient: is its spacing in mm?`));
  }
  return issues;
}

function checkModality({ modality }, values, hasHu) {
  if (hasHu && !CT_MODALITIES.includes(modality)) {
    return [error(`the image is ${modality}, and CT is expected`)];
  }
  if (!hasHu && (modality === "CT" || (!modality && looksLikeCt(values)))) {
    return [warning("the image is CT, and images without HU (MR) are expected")];
  }
  return [];
}

function looksLikeCt(values) {
  const atAir = values.minimum >= AIR_HU[0] && values.minimum <= AIR_HU[1];
  const hasAir = values.fractionAir >= MIN_AIR_FRACTION || atAir;
  return hasAir && values.tissue !== null && findReasonAgainstHu(values) === null;
}

// Compares the range to which HU were clipped with the windows.
function checkRange(values, windows) {
  const high = values.clippedAbove;
  const low = values.clippedBelow !== null && values.clippedBelow > MAX_CLIPPED_AIR_HU ? values.clippedBelow : null;
  if (low === null && high === null) {
    if (values.minimum <= NO_AIR_HU) return [];
    return [warning(`values from ${formatNumber(values.minimum)} to ${formatNumber(values.maximum)}: no air in the image`)];
  }
  const clipped = [["below", low], ["above", high]].filter(([, end]) => end !== null)
    .map(([word, end]) => `${word} ${formatNumber(end)}`).join(" and ");
  const tolerance = Math.max(2, 2 * Math.min(values.step, MAX_STEP_HU));
  for (const { lower, upper } of windows) {
    if ((low !== null && lower < low - tolerance) || (high !== null && upper > high + tolerance)) {
      const reach = `${formatNumber(lower)} to ${formatNumber(upper)} HU`;
      return [error(`clipped ${clipped} HU; the window of ${reach} reaches further`)];
    }
  }
  const isTold = low !== null || values.fractionAtMaximum > MIN_TOLD_FRACTION;
  return isTold ? [warning(`clipped ${clipped} HU`)] : [];
}
