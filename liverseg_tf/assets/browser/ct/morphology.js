// Morphology of masks, arrays of 0 and 1 (z, row, col): filling holes, smoothing along z, distance
// limits (see ct/morphology.py).
import { boundingBox, boxShape, crop, paste } from "./bounding_box.js";
import { labelArray } from "./components.js";

// The majority of each voxel and its two neighbours along z. The outermost slices are unchanged.
export function smoothZ(mask, [planes, rows, cols]) {
  const out = mask.slice(), size = rows * cols;
  for (let i = size; i < (planes - 1) * size; i++) {
    out[i] = mask[i - size] + mask[i] + mask[i + size] > 1 ? 1 : 0;
  }
  return out;
}

// Fills the holes that are enclosed within their slice (4 neighbours).
export function fillHoles2d(mask, shape) {
  return fillHoles(mask, shape, 4, [0, 1, 1]);
}

// Fills the holes that are enclosed on all sides (6 neighbours).
export function fillHoles3d(mask, shape) {
  return fillHoles(mask, shape, 6, [1, 1, 1]);
}

function fillHoles(mask, shape, connectivity, margin) {
  const box = boundingBox(mask, shape);
  if (box === null) return mask;
  const part = crop(mask, shape, box), [planes, rows, cols] = boxShape(box);
  const padded = [planes, rows, cols].map((length, axis) => length + 2 * margin[axis]);
  const inside = { start: margin, stop: [planes, rows, cols].map((length, axis) => length + margin[axis]) };
  // a margin of background connects everything that is open
  const background = new Uint8Array(padded[0] * padded[1] * padded[2]).fill(1);
  paste(background, padded, inside, part.map((value) => 1 - value));
  const { labels, sizes } = labelArray(background, padded, connectivity);
  const isOpen = new Uint8Array(sizes.length);
  const isEnd = (index, axis) => margin[axis] > 0 && (index === 0 || index === padded[axis] - 1);
  for (let z = 0, i = 0; z < padded[0]; z++) {
    for (let row = 0; row < padded[1]; row++) {
      const isOutside = isEnd(z, 0) || isEnd(row, 1);
      for (let col = 0; col < padded[2]; col++, i++) {
        if (isOutside || isEnd(col, 2)) isOpen[labels[i]] = 1;
      }
    }
  }
  isOpen[0] = 1;
  const found = crop(labels, padded, inside);
  for (let i = 0; i < part.length; i++) if (!isOpen[found[i]]) part[i] = 1;
  const out = mask.slice();
  paste(out, shape, box, part);
  return out;
}

// Keeps the voxels of `inner` whose centre is at most `distanceMm` away from a voxel of `outer`.
export function withinDistance(inner, outer, shape, spacingMm, distanceMm) {
  const out = new Uint8Array(inner.length), outside = new Uint8Array(inner.length);
  let count = 0;
  for (let i = 0; i < inner.length; i++) {
    out[i] = inner[i] & outer[i];
    outside[i] = inner[i] & ~outer[i] & 1;
    count += outside[i];
  }
  if (distanceMm === 0 || !count) return out;
  const box = boundingBox(outside, shape);
  spacingMm.forEach((mm, axis) => {
    const margin = Math.ceil(distanceMm / mm);
    box.start[axis] = Math.max(box.start[axis] - margin, 0);
    box.stop[axis] = Math.min(box.stop[axis] + margin, shape[axis]);
  });
  const near = crop(outer, shape, box), part = boxShape(box);
  if (!near.includes(1)) return out;
  const squares = squaredDistances(near, part, spacingMm);
  const found = crop(out, shape, box), candidates = crop(outside, shape, box);
  for (let i = 0; i < found.length; i++) {
    if (candidates[i] && Math.sqrt(squares[i]) <= distanceMm + 1e-6) found[i] = 1;
  }
  paste(out, shape, box, found);
  return out;
}

// Squared Euclidean distance in mm to the nearest voxel of a mask, axis by axis: the lower envelope
// of parabolas (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).
function squaredDistances(mask, shape, spacingMm) {
  const squares = Float64Array.from(mask, (value) => (value ? 0 : Infinity));
  const strides = [shape[1] * shape[2], shape[2], 1];
  for (const axis of [2, 1, 0]) {
    const length = shape[axis], stride = strides[axis];
    const line = new Float64Array(length);
    for (let first = 0; first < squares.length; first++) {
      if (Math.floor(first / stride) % length) continue; // not the start of a line
      for (let i = 0; i < length; i++) line[i] = squares[first + i * stride];
      const distances = lowerEnvelope(line, spacingMm[axis]);
      for (let i = 0; i < length; i++) squares[first + i * stride] = distances[i];
    }
  }
  return squares;
}

function lowerEnvelope(heights, spacing) {
  const length = heights.length, out = new Float64Array(length).fill(Infinity);
  const places = [], bounds = [];
  for (let i = 0; i < length; i++) {
    if (heights[i] === Infinity) continue;
    let bound = -Infinity;
    while (places.length) {
      const last = places[places.length - 1];
      bound = ((heights[i] - heights[last]) / (spacing * spacing) + i * i - last * last) / (2 * (i - last));
      if (bound > bounds[bounds.length - 1]) break;
      places.pop();
      bounds.pop();
      bound = -Infinity;
    }
    places.push(i);
    bounds.push(bound);
  }
  for (let i = 0, part = 0; i < length && places.length; i++) {
    while (part + 1 < places.length && bounds[part + 1] < i) part++;
    const mm = (i - places[part]) * spacing;
    out[i] = mm * mm + heights[places[part]];
  }
  return out;
}
