// Intensities: windows in HU (or MR units) and their conversion to uint8 (see ct/intensity.py).
import { LiverSegError } from "../errors.js";
import { isFloat } from "./volume.js";

export const AIR_HU = -1024; // lowest value of tissue; scanners pad with -2048 or -3024
export const BODY_HU = -300; // voxels above this are the body
const PERCENTILE_SAMPLE = 1 << 21; // voxels

export function lowerHu({ level_hu: level, width_hu: width }) {
  return level - width / 2;
}

// The window between two percentiles of a volume, for images without HU.
export function windowOf({ lower, upper }, array) {
  const step = Math.max(1, Math.floor(array.length / PERCENTILE_SAMPLE));
  let sample = new array.constructor(Math.ceil(array.length / step));
  let length = 0, lowest = Infinity;
  for (let i = 0; i < array.length; i += step) {
    if (!Number.isFinite(array[i])) continue;
    sample[length++] = array[i];
    if (array[i] < lowest) lowest = array[i];
  }
  sample = sample.subarray(0, length).filter((value) => value > lowest);
  if (!sample.length) {
    throw new LiverSegError("Expected an image with contrast. Received one value everywhere.");
  }
  sample.sort(); // by value, since the array is typed
  const [low, high] = [lower, upper].map((percent) => percentile(sample, percent));
  return { level_hu: (low + high) / 2, width_hu: Math.max(high - low, 1e-6) };
}

// `np.percentile` of a sorted typed array.
function percentile(sorted, percent) {
  const place = (sorted.length - 1) * (percent / 100);
  const index = Math.min(Math.floor(place), sorted.length - 1), rest = place - index;
  const a = sorted[index], b = sorted[Math.min(index + 1, sorted.length - 1)];
  const distance = isFloat(sorted) ? Math.fround(b - a) : b - a;
  return rest < 0.5 ? a + distance * rest : b - distance * (1 - rest);
}

// Raises padding (-2048, -3024) and NaN to air; returns Float32Array, as the resampling needs it.
export function withoutPadding(plane, floor) {
  const lowest = isFloat(plane) ? Math.fround(floor) : Math.floor(floor);
  const out = new Float32Array(plane.length);
  for (let i = 0; i < plane.length; i++) out[i] = plane[i] > lowest ? plane[i] : lowest;
  return out;
}

// Maps a window to 0 to 255, with rounding and clipping; each step rounds to float32.
export function toUint8(values, window) {
  const fround = Math.fround;
  const lower = fround(lowerHu(window)), scale = fround(255 / window.width_hu);
  const out = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = fround(fround(fround(values[i] - lower) * scale) + 0.5);
    out[i] = value > 0 ? Math.min(value, 255) : 0;
  }
  return out;
}
