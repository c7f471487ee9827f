// Compressed images inside DICOM files: kind, size and completeness, before they are decoded
// (see ct/dicom/codestream.py).
import { LiverSegError } from "../../errors.js";

export const RLE = "1.2.840.10008.1.2.5";
export const JPEG_LOSSLESS = new Set(["1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"]);
export const JPEG_LS = new Set(["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"]);
export const JPEG_2000 = new Set(["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"]);
// start of frame: all but the tables (DHT, JPG, DAC) that lie between; JPEG-LS has its own
const JPEG_LS_MARKER = 0xf7;
const FRAME_MARKERS = new Set([...Array.from({ length: 16 }, (_, index) => 0xc0 + index)
  .filter((marker) => ![0xc4, 0xc8, 0xcc].includes(marker)), JPEG_LS_MARKER]);
const JP2_START = [0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20], J2K_START = [0xff, 0x4f, 0xff, 0x51];
const LONGEST_JP2_HEADER = 4096;

// Refuses an image of another encoding, shape or number of bits than the header states.
export function checkCodestream(codestream, slice) {
  if (slice.syntax === RLE) checkRle(codestream, slice);
  else if (JPEG_2000.has(slice.syntax)) checkJpeg2000(codestream, slice);
  else checkJpeg(codestream, slice);
}

function checkRle(codestream, slice) {
  const expected = slice.pixels.allocated / 8;
  const refuse = () => refuseImage(slice, `something else than ${expected} segments of runs`);
  if (codestream.length < 64) refuse();
  const view = new DataView(codestream.buffer, codestream.byteOffset, 64);
  const offsets = Array.from({ length: expected }, (_, index) => view.getUint32(4 + 4 * index, true));
  if (view.getUint32(0, true) !== expected || offsets[0] !== 64) refuse();
  if ([...offsets, codestream.length].some((offset, index, all) => index > 0 && offset <= all[index - 1])) {
    refuseImage(slice, "segments out of order");
  }
}

function checkJpeg(codestream, slice) {
  if (codestream[0] !== 0xff || codestream[1] !== 0xd8) refuseImage(slice, "something else");
  const place = findFrame(codestream);
  if (place < 0) refuseImage(slice, "an image without a frame header");
  const isLs = codestream[place + 1] === JPEG_LS_MARKER;
  if (isLs !== JPEG_LS.has(slice.syntax)) refuseImage(slice, isLs ? "JPEG-LS" : "JPEG");
  const [bits, high, low, wide, narrow, samples] = codestream.subarray(place + 4, place + 10);
  checkImage(slice, [256 * high + low, 256 * wide + narrow], bits, samples);
  checkEnd(codestream, slice);
}

function checkJpeg2000(codestream, slice) {
  const startsWith = (start, at) => start.every((byte, index) => codestream[at + index] === byte);
  let place = startsWith(J2K_START, 0) ? 0 : -1;
  if (startsWith(JP2_START, 0)) { // after the first boxes of the JP2 file
    for (let at = 0; at < LONGEST_JP2_HEADER && place < 0; at++) if (startsWith(J2K_START, at)) place = at;
  }
  const size = codestream.subarray(place + 4, place + 43);
  if (place < 0 || size.length < 39) refuseImage(slice, "something else");
  const view = new DataView(size.buffer, size.byteOffset, size.length);
  const [right, bottom, left, top] = [4, 8, 12, 16].map((at) => view.getUint32(at));
  checkImage(slice, [bottom - top, right - left], (size[38] & 0x7f) + 1, view.getUint16(36));
  checkEnd(codestream, slice);
}

function checkEnd(codestream, slice) {
  let end = codestream.length;
  while (end && (codestream[end - 1] === 0 || codestream[end - 1] === 0xff)) end--; // to an even length
  if (codestream[end - 1] !== 0xd9 || codestream[end - 2] !== 0xff) {
    throw new LiverSegError(`Expected complete pixel data in ${slice.file.path}. Received a compressed image ` +
      "without its end: copy the file again.");
  }
}

// The place of the marker of the frame header; -1 if there is no complete one.
function findFrame(codestream) {
  let place = 2;
  while (place + 10 <= codestream.length && codestream[place] === 0xff) {
    const marker = codestream[place + 1];
    if (FRAME_MARKERS.has(marker)) return place;
    if (marker === 0xff) place++;
    else if (marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) place += 2;
    else place += 2 + 256 * codestream[place + 2] + codestream[place + 3];
  }
  return -1;
}

function checkImage(slice, shape, bits, samples) {
  if (shape.some((length, axis) => length !== slice.shape[axis])) refuseImage(slice, `an image of ${shape.join(" x ")}`);
  if (samples !== 1) refuseImage(slice, `an image with ${samples} values per pixel`);
  if (bits > slice.pixels.allocated) refuseImage(slice, `an image of ${bits} bits`);
}

export function refuseImage(slice, received) {
  const [rows, cols] = slice.shape;
  throw new LiverSegError(`Expected complete pixel data, a compressed image of ${rows} x ${cols} pixels with ` +
    `at most ${slice.pixels.allocated} bits, in ${slice.file.path}. Received ${received}: the file is damaged, ` +
    "or its header is wrong.");
}
