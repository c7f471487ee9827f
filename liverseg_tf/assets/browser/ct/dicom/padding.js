// Stored values of a slice to HU or MR units, with padding as air (see ct/dicom/padding.py).
import { LiverSegError } from "../../errors.js";
import { formatNumber } from "../../plural.js";
import { rescale } from "../rescale.js";

const AIR_HU = -1024;
const AIR_LIKE_HU = [-4096, -900]; // padding in this range is air already
const HIGHEST_TISSUE_HU = 3071;
const UNSIGNED = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array };
const SIGNED = { 8: Int8Array, 16: Int16Array, 32: Int32Array };

// Reads and rescales the pixels of a slice; `bytes` are those of one frame, little endian.
export function toUnits(bytes, slice) {
  const stored = storedValues(bytes, slice);
  const values = meaningfulBits(stored, slice);
  const padding = findPadding(stored, values, slice);
  if (padding === null) return rescale(values, slice.slope, slice.intercept);
  const isCt = slice.modality === "CT";
  let lowest = Infinity;
  for (let i = 0; i < values.length; i++) if (!padding[i] && values[i] < lowest) lowest = values[i];
  if (lowest === Infinity) return new Int16Array(values.length).fill(isCt ? AIR_HU : 0);
  const kept = values.map((value, i) => (padding[i] ? lowest : value));
  let rescaled = rescale(kept, slice.slope, slice.intercept);
  if (isCt) {
    if (rescaled instanceof Uint8Array) rescaled = Int16Array.from(rescaled);
    return rescaled.map((value, i) => (padding[i] ? AIR_HU : value));
  }
  const floor = rescaled.reduce((low, value) => Math.min(low, value), Infinity);
  return rescaled.map((value, i) => (padding[i] ? floor : value));
}

export function storedValues(bytes, { pixels: { allocated, signed } }) {
  return new (signed ? SIGNED : UNSIGNED)[allocated](bytes.slice().buffer);
}

// Clears the bits above BitsStored, or sets them to the sign.
export function meaningfulBits(stored, { pixels: { allocated, stored: bits, signed } }) {
  const unused = allocated - bits;
  if (!unused) return stored;
  const shift = 32 - bits;
  return stored.map((value) => (signed ? (value << shift) >> shift : (value << shift) >>> shift));
}

// Where the padding is, or null if nothing needs to be replaced.
function findPadding(stored, values, slice) {
  if (slice.pixels.padding === null) return null;
  // padding may have more bits than BitsStored: both are compared
  const first = isPadding(stored, slice), second = isPadding(values, slice);
  const padding = first.map((value, i) => value | second[i]);
  if (!padding.includes(1)) return null;
  if (slice.modality !== "CT") {
    let highest = -Infinity, lowest = Infinity;
    values.forEach((value, i) => {
      if (padding[i]) highest = Math.max(highest, value);
      else lowest = Math.min(lowest, value);
    });
    return lowest === Infinity || (highest - lowest) * slice.slope > 0 ? padding : null;
  }
  let low = Infinity, high = -Infinity, tissue = null;
  values.forEach((value, i) => {
    if (!padding[i]) return;
    const hu = value * slice.slope + slice.intercept;
    low = Math.min(low, hu);
    high = Math.max(high, hu);
    if (tissue === null && hu > AIR_LIKE_HU[1] && hu <= HIGHEST_TISSUE_HU) tissue = hu;
  });
  if (low >= AIR_LIKE_HU[0] && high <= AIR_LIKE_HU[1]) return null;
  const [rows, cols] = slice.shape, last = (rows - 1) * cols;
  const atCorner = [0, cols - 1, last, last + cols - 1].some((i) => padding[i]);
  if (tissue !== null && !atCorner) {
    throw new LiverSegError(`Expected PixelPaddingValue in ${slice.name} to be no value of tissue. ` +
      `Received ${formatNumber(tissue)} HU inside the slice and not at its corners: correct or remove ` +
      "PixelPaddingValue and PixelPaddingRangeLimit.");
  }
  return padding;
}

function isPadding(stored, { pixels: { allocated, signed, padding: [first, last] } }) {
  // the header may state -2000 as 63536, and the other way round
  const asSigned = first < 0 || (last < 2 ** (allocated - 1) && signed);
  const bits = new (asSigned ? SIGNED : UNSIGNED)[allocated](stored.buffer);
  return Uint8Array.from(bits, (value) => (value >= first && value <= last ? 1 : 0));
}
