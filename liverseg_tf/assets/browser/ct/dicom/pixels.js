// Pixels of a DICOM series, slice by slice into one array (see ct/dicom/pixels.py). Only
// uncompressed pixels are read.
import { LiverSegError } from "../../errors.js";
import { checkSize } from "../size_limit.js";
import { parseDicom } from "./file.js";
import { toUnits } from "./padding.js";

const UNCOMPRESSED = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"]);
const RANK = [Uint8Array, Int16Array, Int32Array, Float32Array];

// Reads slices of one shape, each with its own slope and intercept. `onSlice` gets the number of
// slices that were read. Returns a typed array (z, row, col).
export async function readPixels(slices, onSlice = async () => {}) {
  const [rows, cols] = slices[0].shape;
  checkSize([cols, rows, slices.length], "the series");
  slices.forEach(checkSyntax);
  let array = null, known = { file: null };
  for (const [z, slice] of slices.entries()) {
    if (known.file !== slice.file) known = { file: slice.file, ...parseDicom(await slice.file.load()) };
    const values = toUnits(frameBytes(known, slice), slice);
    array = widen(array, values, slices.length * rows * cols);
    array.set(values, z * rows * cols);
    await onSlice(z + 1);
  }
  return array;
}

function checkSyntax({ syntax, name }) {
  if (UNCOMPRESSED.has(syntax)) return;
  throw new LiverSegError(`Expected uncompressed pixels in ${name}. Received compressed ones, which this ` +
    "page does not read: convert the series with dcm2niix to NIfTI, decompress it with gdcmconv --raw, " +
    "or use liverseg predict.");
}

// Int16 holds most CTs; 32 bits or floats only where a slice needs them.
function widen(array, values, length) {
  const rank = Math.max(1, RANK.findIndex((type) => values instanceof type));
  const wanted = array === null ? rank : Math.max(rank, RANK.findIndex((type) => array instanceof type));
  if (array instanceof RANK[wanted]) return array;
  const wider = new RANK[wanted](length);
  if (array !== null) wider.set(array);
  return wider;
}

// The bytes of one frame, after a check of the length of the pixel element.
function frameBytes({ bytes, dataset, pixels }, slice) {
  const name = slice.file.path;
  if (pixels === null) {
    throw new LiverSegError(`Expected pixel data in ${name}. Received a header without pixels.`);
  }
  if (pixels.tag !== "7fe00010") {
    throw new LiverSegError(`Expected integers as pixel data in ${name}. Received floating-point ones, ` +
      "which are not supported.");
  }
  if (pixels.length === null) {
    throw new LiverSegError(`Expected uncompressed pixel data in ${name}, as its transfer syntax states. ` +
      "Received compressed pixels: copy the file again.");
  }
  const frames = dataset.get("52009230")?.items?.length ?? 1;
  const [rows, cols] = slice.shape, pixelBytes = slice.pixels.allocated / 8;
  const size = rows * cols * pixelBytes, expected = frames * size;
  const available = bytes.length - pixels.start, length = Math.min(pixels.length, available);
  // less than a row and a column of excess bytes is padding: no other shape explains it
  const excess = Math.max(Math.min(rows, cols) * pixelBytes - 1, 1);
  if (!(length >= expected && length <= expected + excess) || pixels.length > available) {
    throw new LiverSegError(`Expected ${expected} bytes of pixel data in ${name}, ${rows} x ${cols} pixels ` +
      `of ${pixelBytes * 8} bits. Received ${length} of ${pixels.length} bytes: the file is damaged, or ` +
      "its header is wrong.");
  }
  const start = pixels.start + slice.frame * size;
  return bytes.subarray(start, start + size);
}
