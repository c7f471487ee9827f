// The input and output of a network (see model/spec.py). `network` is the record's JSON: tiles,
// regions, context, stride, context_spacing_mm.
import { clamp, roundHalfEven } from "../arithmetic.js";

// Rounds a shape (rows, cols) up to multiples of the stride.
export function padded(network, shape) {
  return shape.map((length) => Math.ceil(length / network.stride) * network.stride);
}

export function channelsOf(network) {
  const { percentiles, windows } = network.tiles;
  return network.context * (percentiles !== null ? 1 : windows.length);
}

// Number of slices from one context slice to the next, at least 1.
export function sliceStep(network, sliceMm) {
  if (network.context_spacing_mm === null) return 1;
  return Math.max(1, roundHalfEven(network.context_spacing_mm / sliceMm));
}

// Indices of a slice and its context, from the lowest to the highest; the ends are repeated.
export function contextSlices(network, z, step, slices) {
  const reach = Math.floor(network.context / 2);
  return Array.from({ length: network.context }, (_, index) =>
    clamp(z + (index - reach) * step, 0, slices - 1));
}
