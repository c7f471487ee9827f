// Measurements of a label map: volume, intensity, components and truncation
// (see predict/outputs/measurements.py). All arrays are in canonical order.
import { boundingBox } from "../../ct/bounding_box.js";
import { labelComponents } from "../../ct/components.js";
import { voxelVolumeMl } from "../../ct/volume.js";

const FACES = [["inferior", "superior"], ["anterior", "posterior"], ["right", "left"]];
const PADDING_HU = -1500; // scanners pad with -2000 HU or less outside their circle

// Measures every region: [{name, voxels, volumeMl, mean, sd, components, largestMl, cutBy}].
export function measure(image, labels, regions) {
  return regions.map(([name, values]) => {
    const known = new Uint8Array(256);
    for (const value of values) known[value] = 1;
    const mask = new Uint8Array(labels.length);
    for (let i = 0; i < labels.length; i++) mask[i] = known[labels[i]];
    return { name, ...measureRegion(image, mask) };
  });
}

function measureRegion(image, mask) {
  const box = boundingBox(mask, image.shape);
  if (box === null) {
    return { voxels: 0, volumeMl: 0, mean: null, sd: null, components: 0, largestMl: [], cutBy: [] };
  }
  const { voxels, mean, sd } = intensityOf(image.array, mask);
  const ml = voxelVolumeMl(image);
  const sizes = labelComponents(mask, image.shape).sizes.slice(1).sort((a, b) => b - a);
  return {
    voxels, mean, sd, volumeMl: voxels * ml, components: sizes.length,
    largestMl: sizes.slice(0, 5).map((size) => size * ml), cutBy: cutBy(image, mask, box),
  };
}

function intensityOf(array, mask) {
  let voxels = 0, sum = 0;
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    voxels++;
    sum += array[i];
  }
  const mean = sum / voxels;
  let squares = 0;
  for (let i = 0; i < mask.length; i++) if (mask[i]) squares += (array[i] - mean) ** 2;
  return { voxels, mean, sd: Math.sqrt(squares / voxels) };
}

// Where a region reaches the end of the field of view, so that a part of it may be missing.
function cutBy(image, mask, box) {
  const cut = FACES.flatMap(([low, high], axis) => [
    ...(box.start[axis] === 0 ? [low] : []),
    ...(box.stop[axis] === image.shape[axis] ? [high] : []),
  ]);
  return touchesPadding(image, mask, box) ? [...cut, "padding"] : cut;
}

function touchesPadding({ array, shape }, mask, { start, stop }) {
  const [, rows, cols] = shape;
  const isPadding = (i) => !(array[i] >= PADDING_HU);
  for (let z = start[0]; z < stop[0]; z++) {
    for (let row = start[1]; row < stop[1]; row++) {
      for (let col = start[2]; col < stop[2]; col++) {
        const i = (z * rows + row) * cols + col;
        if (!mask[i]) continue;
        if (isPadding(i) || (col > 0 && isPadding(i - 1)) || (col < cols - 1 && isPadding(i + 1)) ||
            (row > 0 && isPadding(i - cols)) || (row < rows - 1 && isPadding(i + cols))) return true;
      }
    }
  }
  return false;
}
