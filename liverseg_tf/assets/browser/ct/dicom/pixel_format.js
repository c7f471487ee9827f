// How the pixels of a DICOM file are stored (see ct/dicom/pixel_format.py).
import { LiverSegError } from "../../errors.js";
import { TAGS } from "./dictionary.js";
import { isEmpty, readInteger, readText } from "./values.js";

const LARGEST_PIXELS = 2 ** 26;

export function readShape(dataset, file) {
  const [rows, columns] = ["Rows", "Columns"].map((keyword) => readInteger(dataset, keyword, file));
  if (!(rows > 0 && columns > 0 && rows * columns <= LARGEST_PIXELS)) {
    throw new LiverSegError(`Expected a slice of 1 to ${LARGEST_PIXELS} pixels in ${file}. Received ` +
      `${rows} rows and ${columns} columns.`);
  }
  const colours = readText(dataset, "PhotometricInterpretation");
  const samples = isEmpty(dataset, "SamplesPerPixel") ? 0 : readInteger(dataset, "SamplesPerPixel", file);
  if (!colours || !samples) {
    throw new LiverSegError(`Expected PhotometricInterpretation and SamplesPerPixel in ${file}. ` +
      "The tags are missing or empty.");
  }
  if (samples !== 1 || !["MONOCHROME1", "MONOCHROME2"].includes(colours)) {
    throw new LiverSegError(`Expected one grey value per pixel in ${file}. Received a colour image ` +
      `(${colours}, values per pixel: ${samples}).`);
  }
  return [rows, columns];
}

// Returns {allocated, stored, signed, padding}; `padding` is [first, last] stored value, or null.
export function readPixelFormat(dataset, file) {
  const allocated = readInteger(dataset, "BitsAllocated", file);
  const stored = readInteger(dataset, "BitsStored", file);
  const sign = readInteger(dataset, "PixelRepresentation", file);
  if (![8, 16, 32].includes(allocated)) {
    throw new LiverSegError(
      `Expected 8, 16 or 32 BitsAllocated for the pixel data of ${file}. Received ${allocated}.`);
  }
  if (!(stored >= 1 && stored <= allocated)) {
    throw new LiverSegError(`Expected BitsStored from 1 to ${allocated} (BitsAllocated) for the ` +
      `pixel data of ${file}. Received ${stored}.`);
  }
  if (![0, 1].includes(sign)) {
    throw new LiverSegError(`Expected a PixelRepresentation of 0 or 1 in ${file}. Received ${sign}.`);
  }
  const stated = dataset.has(TAGS.HighBit) || stored !== allocated;
  const high = stated ? readInteger(dataset, "HighBit", file) : stored - 1;
  if (high !== stored - 1) {
    throw new LiverSegError(`Expected a HighBit of ${stored - 1} (BitsStored - 1) in ${file}. ` +
      `Received ${high}: readers disagree about such values; write the file again with its pixels ` +
      "in the lowest bits.");
  }
  return { allocated, stored, signed: sign === 1, padding: readPadding(dataset, sign === 1, allocated, file) };
}

// Writers confuse the sign of these values: a negative value is taken as signed, and one that is too
// large for signed pixels as unsigned.
function readPadding(dataset, signed, bits, file) {
  if (isEmpty(dataset, "PixelPaddingValue")) return null;
  const keywords = ["PixelPaddingValue", "PixelPaddingRangeLimit"];
  let ends = keywords.filter((keyword) => !isEmpty(dataset, keyword))
    .map((keyword) => readInteger(dataset, keyword, file, signed));
  const half = 2 ** (bits - 1);
  if (Math.min(...ends) < 0 && Math.max(...ends) >= half) {
    ends = ends.map((end) => (end >= half ? end - 2 ** bits : end));
  }
  return [Math.min(...ends), Math.max(...ends)];
}
