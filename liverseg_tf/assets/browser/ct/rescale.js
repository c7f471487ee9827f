// Stored values to HU: slope, intercept, and the smallest type that holds the result
// (see ct/rescale.py).
import { roundHalfEven } from "../arithmetic.js";

const isWhole = (value) => value === roundHalfEven(value);

function isInteger(array) {
  return !(array instanceof Float32Array || array instanceof Float64Array);
}

function extremes(array) {
  let low = array[0], high = array[0];
  for (let i = 1; i < array.length; i++) {
    if (array[i] < low) low = array[i];
    if (array[i] > high) high = array[i];
  }
  return [Number(low), Number(high)];
}

// Returns Float32Array, Uint8Array (unchanged), Int16Array or Int32Array, as `rescale` in Python.
export function rescale(raw, slope = 1, intercept = 0) {
  const unchanged = slope === 1 && intercept === 0;
  if (!(isInteger(raw) && isWhole(slope) && isWhole(intercept))) {
    const values = raw instanceof Float32Array && unchanged ? raw : new Float32Array(raw.length);
    for (let i = 0; i < raw.length; i++) values[i] = Number(raw[i]);
    if (!unchanged) {
      const a = Math.fround(slope), b = Math.fround(intercept);
      for (let i = 0; i < raw.length; i++) values[i] = Math.fround(values[i] * a) + b;
    }
    return values;
  }
  if (unchanged && (raw instanceof Int16Array || raw instanceof Uint8Array)) return raw;
  const ends = extremes(raw).map((value) => value * slope + intercept);
  if (Math.max(...[...ends, slope, intercept].map(Math.abs)) >= 2 ** 31) {
    const values = new Float32Array(raw.length);
    for (let i = 0; i < raw.length; i++) values[i] = Number(raw[i]) * slope + intercept;
    return values;
  }
  const fits = Math.min(...ends) >= -(2 ** 15) && Math.max(...ends) < 2 ** 15;
  const values = new (fits ? Int16Array : Int32Array)(raw.length);
  for (let i = 0; i < raw.length; i++) values[i] = Number(raw[i]) * slope + intercept;
  return values;
}
