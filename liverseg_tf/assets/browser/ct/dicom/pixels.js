// Pixels of a DICOM series, decoded slice by slice into one array (see ct/dicom/pixels.py).
import { LiverSegError } from "../../errors.js";
import { checkSize } from "../size_limit.js";
import { decodeFrame, isCompressed, isRead } from "./decoders.js";
import { splitFrames } from "./encapsulated.js";
import { parseDicom } from "./file.js";
import { toUnits } from "./padding.js";

const RANK = [Uint8Array, Int16Array, Int32Array, Float32Array];

// Reads slices of one shape, each with its own slope and intercept. `onSlice` gets the number of
// slices that were read. Returns a typed array (z, row, col).
export async function readPixels(slices, onSlice = async () => {}) {
  const [rows, cols] = slices[0].shape;
  checkSize([cols, rows, slices.length], "the series");
  slices.forEach(checkSyntax);
  let array = null, known = { file: null };
  for (const [z, slice] of slices.entries()) {
    if (known.file !== slice.file) known = await openFile(slice);
    const stored = isCompressed(slice.syntax) ? await decodeFrame(known.frames[slice.frame], slice) : frameBytes(known, slice);
    const values = toUnits(stored, slice);
    array = widen(array, values, slices.length * rows * cols);
    array.set(values, z * rows * cols);
    await onSlice(z + 1);
  }
  return array;
}

function checkSyntax({ syntax, name }) {
  if (isRead(syntax)) return;
  throw new LiverSegError(`Expected pixels in ${name} that are not compressed, or with RLE, lossless JPEG, ` +
    "JPEG-LS or JPEG 2000. Received another compression, which this page does not read: convert the series with " +
    "dcm2niix to NIfTI, decompress it with gdcmconv --raw, or use liverseg predict.");
}

// Reads the file of a slice; of a compressed one also its `frames`.
async function openFile(slice) {
  const { file } = slice, known = { file, ...parseDicom(await file.load()) };
  if (!isCompressed(slice.syntax)) return known;
  checkIntegers(known, file.path);
  if (known.pixels.length !== null) {
    throw new LiverSegError(`Expected compressed pixel data in ${file.path}, as its transfer syntax states. ` +
      "Received uncompressed pixels: copy the file again.");
  }
  return { ...known, frames: splitFrames(known, countFrames(known), file.path) };
}

function countFrames({ dataset }) {
  return dataset.get("52009230")?.items?.length ?? 1;
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

function checkIntegers({ pixels }, name) {
  if (pixels === null) {
    throw new LiverSegError(`Expected pixel data in ${name}. Received a header without pixels.`);
  }
  if (pixels.tag !== "7fe00010") {
    throw new LiverSegError(`Expected integers as pixel data in ${name}. Received floating-point ones, ` +
      "which are not supported.");
  }
}

// The bytes of one uncompressed frame, after a check of the length of the pixel element.
function frameBytes(known, slice) {
  const { bytes, pixels } = known, name = slice.file.path;
  checkIntegers(known, name);
  if (pixels.length === null) {
    throw new LiverSegError(`Expected uncompressed pixel data in ${name}, as its transfer syntax states. ` +
      "Received compressed pixels: copy the file again.");
  }
  const frames = countFrames(known);
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
