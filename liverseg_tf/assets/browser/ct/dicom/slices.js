// Headers of DICOM files: position, orientation, spacing and rescaling of each slice
// (see ct/dicom/slices.py).
import { LiverSegError } from "../../errors.js";
import { count } from "../../plural.js";
import { readAttributes, readGroupAttributes } from "./attributes.js";
import { TAGS } from "./dictionary.js";
import { readPixelFormat, readShape } from "./pixel_format.js";
import { readModality, readRescaling } from "./units.js";
import { checkNumbers, readIntegerText, readNumbers, readText, readTexts } from "./values.js";

// Multi-frame files store these values in sequences, per frame or shared by all frames.
const GROUPS = {
  ImagePositionPatient: "PlanePositionSequence", ImageOrientationPatient: "PlaneOrientationSequence",
  PixelSpacing: "PixelMeasuresSequence", SliceThickness: "PixelMeasuresSequence",
  SpacingBetweenSlices: "PixelMeasuresSequence", RescaleSlope: "PixelValueTransformationSequence",
  RescaleIntercept: "PixelValueTransformationSequence", RescaleType: "PixelValueTransformationSequence",
};
const IMPLICIT = "1.2.840.10008.1.2", EXPLICIT = "1.2.840.10008.1.2.1";

// Returns one slice per frame. `file` is {path, load}; `parsed` comes from `parseDicom`.
export function slicesOf(file, parsed) {
  const { dataset } = parsed, name = file.path;
  const shape = readShape(dataset, name);
  const pixels = readPixelFormat(dataset, name);
  const frames = readIntegerText(dataset, "NumberOfFrames", name, 1) || 1;
  const groups = dataset.get(TAGS.PerFrameFunctionalGroupsSequence)?.items ?? null;
  if (groups === null && frames > 1) {
    throw new LiverSegError(`Expected a position for each of the ${frames} frames of ${name} (enhanced ` +
      "CT or MR). Received a multi-frame file without functional groups.");
  }
  if (groups !== null && groups.length !== frames) {
    throw new LiverSegError(`Expected functional groups for ${count(frames, "frame")} of ${name}. ` +
      `Received ${groups.length}.`);
  }
  if (groups === null) checkNoMosaic(dataset, name);
  const header = { file, parsed, shape, pixels };
  const own = readAttributes(dataset);
  if (groups === null) return [buildSlice(header, wholeFile(dataset, name), 0, own)];
  const shared = dataset.get(TAGS.SharedFunctionalGroupsSequence)?.items?.[0] ?? new Map();
  return groups.map((group, frame) => buildSlice(header, frameOf(dataset, group, shared, name), frame,
    new Map([...own, ...readGroupAttributes(group)])));
}

export function isLocalizer(dataset) {
  return readTexts(dataset, "ImageType").some((value) => value.toUpperCase() === "LOCALIZER");
}

// Functions that look up numbers and text of a single-frame file by keyword.
function wholeFile(dataset, name) {
  return {
    numbers: (keyword) => readNumbers(dataset, keyword, name),
    text: (keyword) => readText(dataset, keyword),
  };
}

// The same for a frame: its own groups come first, then the shared ones.
function frameOf(dataset, own, shared, name) {
  const find = (keyword) => {
    for (const groups of [own, shared]) {
      for (const group of groups.get(TAGS[GROUPS[keyword]])?.items ?? []) {
        if (group.has(TAGS[keyword])) return group;
      }
    }
    return keyword.startsWith("Rescale") ? dataset : new Map();
  };
  return {
    numbers: (keyword) => readNumbers(find(keyword), keyword, name),
    text: (keyword) => readText(find(keyword), keyword),
  };
}

function buildSlice({ file, parsed, shape, pixels }, frame, index, attributes) {
  const { dataset } = parsed, name = file.path;
  const numbers = (keyword, length) => checkNumbers(frame.numbers(keyword), keyword, length, name);
  const modality = readModality(dataset);
  const [stated] = [...frame.numbers("SpacingBetweenSlices"), ...frame.numbers("SliceThickness")].filter(Boolean);
  return {
    file, frame: index, shape, pixels, modality, attributes, header: dataset,
    name: name + (index ? ` frame ${index + 1}` : ""),
    uid: readText(dataset, "SOPInstanceUID"),
    patient: readText(dataset, "PatientID"),
    localizer: isLocalizer(dataset),
    ...readRescaling(dataset, frame, modality, name),
    positionMm: numbers("ImagePositionPatient", 3),
    cosines: numbers("ImageOrientationPatient", 6),
    spacingMm: numbers("PixelSpacing", 2),
    distanceMm: stated ? Math.abs(stated) : null,
    syntax: readText(parsed.meta, "TransferSyntaxUID") || (parsed.explicit ? EXPLICIT : IMPLICIT),
  };
}

// Refuses files whose pixels are several slices side by side (Siemens, United Imaging).
function checkNoMosaic(dataset, name) {
  const isMosaic = readTexts(dataset, "ImageType").some((value) => value.toUpperCase() === "MOSAIC");
  if (isMosaic || hasTiles(dataset)) {
    throw new LiverSegError(`Expected one slice per image in ${name}. Received a mosaic of several ` +
      "slices: export the series as single slices, or convert it with dcm2niix.");
  }
}

function hasTiles(dataset) {
  const creators = [["0019", "SIEMENS MR HEADER", "0a"], ["0065", "Image Private Header", "50"]];
  return creators.some(([group, creator, element]) => {
    for (let block = 0x10; block < 0x100; block++) {
      const hex = block.toString(16).padStart(2, "0");
      const bytes = dataset.get(`${group}00${hex}`)?.bytes;
      if (!bytes || String.fromCharCode(...bytes).trim() !== creator) continue;
      const value = dataset.get(group + hex + element);
      if (!value?.bytes?.length) continue;
      const binary = value.bytes.length === 2 ? value.bytes[0] + 256 * value.bytes[1] : NaN;
      const text = Number(String.fromCharCode(...value.bytes));
      if (binary > 1 || text > 1) return true;
    }
    return false;
  });
}
