// Single images beside a series that are slices of it, with a SeriesInstanceUID of their own
// (see ct/dicom/strays.py).
import { LiverSegError } from "../../errors.js";
import { norm } from "../affine.js";
import { GRID_TOLERANCE_VOXELS } from "../volume.js";
import { slicesOf } from "./slices.js";

const TOLERANCE = 2 * GRID_TOLERANCE_VOXELS;

// Refuses single images at the position of a slice that the volume lacks.
export function checkNoStrays(slices, singleImages) {
  if (slices.length < 2) return;
  const first = slices[0].positionMm, last = slices[slices.length - 1].positionMm;
  const step = last.map((mm, axis) => (mm - first[axis]) / (slices.length - 1));
  const square = step.reduce((sum, mm) => sum + mm * mm, 0);
  for (const { file, parsed } of singleImages) {
    let others;
    try {
      others = slicesOf(file, parsed);
    } catch (error) {
      throw new LiverSegError("Expected images that can be read beside a series. Received " +
        `${file.path}, which may be one of its slices: ${error.message}`);
    }
    for (const other of others) {
      const offset = other.positionMm.map((mm, axis) => mm - first[axis]);
      const index = offset.reduce((sum, mm, axis) => sum + mm * step[axis], 0) / square;
      const beside = norm(offset.map((mm, axis) => mm - index * step[axis]));
      if (isLacking(index, slices.length) && beside <= TOLERANCE * Math.max(...slices[0].spacingMm)) {
        throw new LiverSegError(`Expected all slices of a volume in one series. Received ${file.path}, ` +
          "which is a slice of the volume with another SeriesInstanceUID (a damaged header?): copy it " +
          "again, or remove it if it does not belong to the series.");
      }
    }
  }
}

// Whether a slice at an index is one that a volume of even distances may lack.
function isLacking(index, count) {
  if (!(index >= -1 - TOLERANCE && index <= count + TOLERANCE)) return false;
  const nearest = Math.round(index);
  if (Math.abs(index - nearest) <= TOLERANCE) return nearest === -1 || nearest === count;
  return [2, 3].some((parts) => Math.abs(index * parts - Math.round(index * parts)) <= TOLERANCE);
}
