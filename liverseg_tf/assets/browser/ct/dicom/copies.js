// Copies of slices in a series: the same file twice (see ct/dicom/copies.py).
import { LiverSegError } from "../../errors.js";
import { readPixels } from "./pixels.js";

const COMPARED = ["uid", "frame", "patient", "modality", "localizer", "positionMm", "cosines", "spacingMm",
  "distanceMm", "shape", "slope", "intercept", "rescaled", "pixels"];

// Removes copies. Slices with one SOPInstanceUID are copies only if geometry, units and pixels are
// equal. If all files have one UID, it says nothing: then only slices at one place are compared.
export async function dropCopies(slices) {
  const ofVolume = new Set(slices.map(({ uid, frame }) => `${uid} ${frame}`)).size > 1;
  const kept = new Map();
  for (const current of slices) {
    let key = `${current.uid} ${current.frame}`;
    if (!current.uid) key = `${current.file.path} ${current.frame}`;
    else if (!ofVolume) key += ` ${current.positionMm.join()}`;
    const first = kept.get(key);
    if (!first) kept.set(key, current);
    else if (!(await areCopies(first, current))) {
      throw new LiverSegError("Expected slices with different SOPInstanceUIDs. Received one UID in " +
        `${first.name} and ${current.name}, whose pixels or positions differ (two phases, or UIDs that ` +
        "were replaced): separate the phases, or export the series again.");
    }
  }
  return [...kept.values()];
}

async function areCopies(first, second) {
  const same = COMPARED.every((name) => JSON.stringify(first[name]) === JSON.stringify(second[name]));
  if (!same) return false;
  const [one, other] = [await readPixels([first]), await readPixels([second])];
  return one.every((value, index) => value === other[index]);
}
