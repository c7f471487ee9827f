// The part of a volume that is given to the network: the box around the body, without air
// (see predict/inference_region.py).
import { LiverSegError } from "../errors.js";
import { formatNumber } from "../plural.js";
import { BODY_HU } from "../ct/intensity.js";
import { spacingOf } from "../ct/volume.js";
import { padded } from "../model/spec.js";
import { TileTransform } from "../tiles/transform.js";

const LARGEST_MM = 2000;
const STEP = 2; // every second row and column is searched; the margin covers the others

// Returns the transform to the box, and the first and the last slice of the body.
export function aroundBody(canonical, network) {
  const { stride, tiles } = network;
  const whole = wholeVolume(canonical, network);
  const threshold = tiles.percentiles === null ? BODY_HU : whole.floor;
  const [z, ...plane] = extentOf(canonical.array, canonical.shape, threshold);
  const smallest = padded(network, tiles.tile_shape ?? whole.shape);
  const intervals = plane.map(([first, last], axis) => {
    const native = whole.nativeShape[axis], length = whole.resampler.targetShape[axis];
    let start = Math.trunc((first * length) / native) - stride;
    let stop = Math.ceil(((last + 1) * length) / native) + stride;
    const missing = Math.max(smallest[axis] - (stop - start), 0);
    // rounded outwards to multiples of the stride
    start = Math.floor(Math.max(start - Math.floor(missing / 2), 0) / stride) * stride;
    stop = Math.ceil(Math.max(stop, start + smallest[axis]) / stride) * stride;
    const size = Math.min(stop - start, whole.shape[axis]);
    return [Math.min(start, whole.shape[axis] - size), size];
  });
  const transform = whole.withTile(intervals.map(([start]) => start), intervals.map(([, size]) => size));
  return { transform, first: z[0], last: z[1] };
}

function wholeVolume(canonical, network) {
  const spacing = spacingOf(canonical);
  const sides = canonical.shape.map((length, axis) => length * spacing[axis]);
  if (network.tiles.spacing_mm !== null && Math.max(...sides.slice(1)) > LARGEST_MM) {
    throw new LiverSegError(`Expected slices of at most ${LARGEST_MM} mm. Received ` +
      `${Math.round(sides[1])} x ${Math.round(sides[2])} mm: is its spacing given in mm?`);
  }
  const transform = TileTransform.forVolume(canonical, network.tiles);
  return transform.withTile(transform.origin, padded(network, transform.shape));
}

// First and last index above the threshold along each axis.
function extentOf(array, [planes, rows, cols], threshold) {
  const extent = [0, 1, 2].map(() => [Infinity, -1]);
  const widen = (axis, index) => {
    extent[axis] = [Math.min(extent[axis][0], index), Math.max(extent[axis][1], index)];
  };
  let highest = -Infinity;
  const occupied = new Uint8Array(cols);
  for (let z = 0; z < planes; z++) {
    for (let row = 0; row < rows; row += STEP) {
      let found = false;
      const start = (z * rows + row) * cols;
      for (let col = 0; col < cols; col += STEP) {
        const value = array[start + col];
        if (value > highest) highest = value;
        if (value > threshold) found = occupied[col] = 1;
      }
      if (found) {
        widen(0, z);
        widen(1, row);
      }
    }
  }
  if (extent[0][1] < 0) {
    throw new LiverSegError(`Expected a body: voxels above ${formatNumber(threshold)}. Received a ` +
      `maximum of ${formatNumber(highest)} (is there no patient in the image, or are its values ` +
      "not HU?).");
  }
  occupied.forEach((value, col) => { if (value) widen(2, col); });
  return extent;
}
