// Units of a slice: its modality, and the factors from stored values to HU or other units
// (see ct/dicom/units.py).
import { LiverSegError } from "../../errors.js";
import { checkNumbers, isEmpty, readInteger, readText } from "./values.js";

const OTHER_UNITS = new Set(["OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"]);
const MODALITY_OF_CLASS = {
  "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.2.1": "CT", "1.2.840.10008.5.1.4.1.1.2.2": "CT",
  "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR", "1.2.840.10008.5.1.4.1.1.4.4": "MR",
};

export function readModality(dataset) {
  return readText(dataset, "Modality").toUpperCase() ||
    (MODALITY_OF_CLASS[readText(dataset, "SOPClassUID")] ?? "");
}

// Returns {slope, intercept, rescaled}. `frame` has `numbers` and `text` of a frame by keyword.
export function readRescaling(dataset, frame, modality, file) {
  if (!isEmpty(dataset, "ModalityLUTSequence")) {
    throw new LiverSegError(`Expected RescaleSlope and RescaleIntercept in ${file}. Received a ` +
      "look-up table (ModalityLUTSequence), which is not supported.");
  }
  const units = frame.text("RescaleType").toUpperCase();
  if (modality === "CT" && OTHER_UNITS.has(units)) {
    throw new LiverSegError(
      `Expected a CT in HU in ${file}. Received values of the RescaleType ${units}.`);
  }
  const slopes = frame.numbers("RescaleSlope"), intercepts = frame.numbers("RescaleIntercept");
  const rescaled = slopes.length > 0 && intercepts.length > 0;
  if (modality === "CT" && !rescaled && readInteger(dataset, "PixelRepresentation", file) === 0) {
    throw new LiverSegError(`Expected RescaleSlope and RescaleIntercept in ${file}. Received ` +
      "unsigned values without these tags: they are not HU.");
  }
  if (slopes.length > 0 !== intercepts.length > 0) {
    throw new LiverSegError(
      `Expected RescaleSlope and RescaleIntercept in ${file}. Received only one of them.`);
  }
  if (!rescaled) return { slope: 1, intercept: 0, rescaled };
  const [slope] = checkNumbers(slopes, "RescaleSlope", 1, file);
  const [intercept] = checkNumbers(intercepts, "RescaleIntercept", 1, file);
  if (slope === 0) {
    throw new LiverSegError(`Expected a RescaleSlope other than 0 in ${file}. Received 0.`);
  }
  return { slope, intercept, rescaled };
}
