// Recognising DICOM files by their content: slices, other objects, and files that are damaged
// (see ct/dicom/recognise.py). A file is {path, size, load}; `load` returns its bytes.
import { SLICE_CLASSES, STANDARD_ROOT, STANDARD_UIDS, TAGS } from "./dictionary.js";
import { parseDicom, UnreadError } from "./file.js";
import { isLocalizer } from "./slices.js";
import { readLine, readText } from "./values.js";

const OTHER_MODALITIES = new Set(["RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "SEG", "REG", "SR", "PR", "KO"]);
const DIRECTORY = "1.2.840.10008.1.3.10";
export const SLICE = "slice", DAMAGED = "damaged", OTHER_OBJECT = "other object", NO_DICOM = "no DICOM";

// Returns {file, kind, reason, uid, ...}; of slices also `parsed`, without their pixels.
export async function recognise(file) {
  const bytes = await file.load();
  const named = /\.(dcm|dicom)$/i.test(file.path);
  const marked = bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
  const old = (bytes[0] === 8 || bytes[0] === 2) && bytes[1] === 0; // no preamble: the first tags
  if (!marked && !old) {
    if (named) return damaged(file, bytes.length ? "no DICOM file" : "an empty file");
    return { file, kind: NO_DICOM, uid: "" };
  }
  let parsed;
  try {
    parsed = parseDicom(bytes);
  } catch (error) {
    if (error instanceof UnreadError) return damaged(file, error.message);
    if (marked || named) return damaged(file, "a truncated or damaged header");
    return { file, kind: NO_DICOM, uid: "" };
  }
  if (isSlice(parsed)) return describe(file, parsed);
  if (hasOtherClass(parsed)) return { file, kind: OTHER_OBJECT, uid: "" };
  if (marked || named) return damaged(file, "a truncated or damaged header");
  return { file, kind: NO_DICOM, uid: "" };
}

function damaged(file, reason) {
  return { file, kind: DAMAGED, reason, uid: "" };
}

function describe(file, parsed) {
  const { dataset } = parsed;
  const frames = readLine(dataset, "NumberOfFrames");
  return {
    file, kind: SLICE, parsed: { ...parsed, bytes: null },
    uid: readText(dataset, "SeriesInstanceUID"),
    modality: readLine(dataset, "Modality"),
    number: readLine(dataset, "SeriesNumber"),
    description: readLine(dataset, "SeriesDescription"),
    localizer: isLocalizer(dataset),
    captured: !isSliceByClass(parsed),
    frames: /^\d+$/.test(frames) ? Number(frames) : 1,
  };
}

// Software that converts images to DICOM often stores them as Secondary Capture, with a position.
function isSlice(parsed) {
  const placed = parsed.dataset.has(TAGS.ImagePositionPatient);
  return isSliceByClass(parsed) || (placed && !OTHER_MODALITIES.has(readLine(parsed.dataset, "Modality")));
}

function isSliceByClass({ dataset, meta }) {
  const sopClass = readText(dataset, "SOPClassUID"), modality = readLine(dataset, "Modality");
  if (SLICE_CLASSES.has(sopClass) || (!sopClass && ["CT", "MR", "PT"].includes(modality))) return true;
  return SLICE_CLASSES.has(readText(meta, "MediaStorageSOPClassUID")); // the other tag may be damaged
}

// Whether the file is of a known or private class, or a DICOMDIR, which has none.
function hasOtherClass({ dataset, meta }) {
  if (readText(meta, "MediaStorageSOPClassUID") === DIRECTORY) return true;
  const sopClass = readText(dataset, "SOPClassUID");
  if (sopClass.startsWith(STANDARD_ROOT) || STANDARD_ROOT.startsWith(sopClass)) {
    return STANDARD_UIDS.has(sopClass.slice(STANDARD_ROOT.length)) && sopClass.length > STANDARD_ROOT.length;
  }
  return sopClass.length <= 64 && /^(0|[1-9]\d*)(\.(0|[1-9]\d*))*$/.test(sopClass);
}
