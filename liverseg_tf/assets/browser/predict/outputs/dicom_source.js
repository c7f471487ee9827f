// Headers of the DICOM images from which the slices of a volume were read
// (see predict/outputs/dicom_source.py).
import { LiverSegError } from "../../errors.js";
import { count } from "../../plural.js";
import { TAGS } from "../../ct/dicom/dictionary.js";
import { readText } from "../../ct/dicom/values.js";

const REQUIRED = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"];

// One source for each z: {header, slice, frame, thicknessMm}. `frame`: number from 1 in a multi-frame
// file, or null. `slices`: those of the volume in their order; `distanceMm`: between the slices.
export function readSourceSlices(slices, distanceMm) {
  const sources = slices.map((slice) => {
    const { header } = slice;
    const missing = REQUIRED.filter((keyword) => !readText(header, keyword));
    if (missing.length) {
      throw new LiverSegError(`Expected ${missing.join(", ")} in ${slice.file.path}, which DICOM results ` +
        `refer to. The ${missing.length === 1 ? "tag is" : "tags are"} missing or empty.`);
    }
    const isMultiFrame = header.has(TAGS.PerFrameFunctionalGroupsSequence);
    return { header, slice, frame: isMultiFrame ? slice.frame + 1 : null, thicknessMm: thicknessOf(slice, distanceMm) };
  });
  const identifiers = new Set(sources.map(({ slice, frame }) => `${slice.uid} ${frame}`));
  if (identifiers.size < slices.length) {
    throw new LiverSegError(`Expected ${count(slices.length, "file")} with different SOPInstanceUIDs, one ` +
      `for each slice. Received ${identifiers.size}.`);
  }
  const frames = new Set(sources.map(({ header }) => readText(header, "FrameOfReferenceUID")));
  if (frames.size > 1) {
    throw new LiverSegError("Expected one FrameOfReferenceUID, to which DICOM objects refer. Received " +
      `${frames.size} different ones, which happens in files that were anonymised one by one: save the mask ` +
      "as NIfTI, or anonymise the series again.");
  }
  return sources;
}

// The item of a sequence that refers to the image of a source.
export function referenceTo({ header, frame }) {
  return {
    ReferencedSOPClassUID: readText(header, "SOPClassUID"),
    ReferencedSOPInstanceUID: readText(header, "SOPInstanceUID"),
    ...(frame === null ? {} : { ReferencedFrameNumber: String(frame) }),
  };
}

function thicknessOf({ header, frame }, distanceMm) {
  const measures = ["PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"].map((keyword, shared) =>
    header.get(TAGS[keyword])?.items?.[shared ? 0 : frame]?.get(TAGS.PixelMeasuresSequence)?.items?.[0]);
  for (const group of [header, ...measures]) {
    const thicknessMm = group ? Number(readText(group, "SliceThickness")) : 0;
    if (Number.isFinite(thicknessMm) && thicknessMm > 0) return thicknessMm;
  }
  return distanceMm;
}
