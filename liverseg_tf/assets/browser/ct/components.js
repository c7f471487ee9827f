// Connected components of masks (see ct/components.py). `mask` is an array of 0 and 1 (z, row, col).
import { boundingBox, boxShape, crop } from "./bounding_box.js";

// Numbers the components in the order of their first voxel. `connectivity`: 26, 6, or 4 (within a
// slice). Returns `labels` (Int32Array, 0 in the background) and `sizes` (of the background: 0).
export function labelArray(mask, shape, connectivity = 26) {
  const parents = [0];
  const labels = new Int32Array(mask.length);
  const earlier = earlierNeighbours(connectivity);
  const [planes, rows, cols] = shape;
  for (let z = 0, i = 0; z < planes; z++) {
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++, i++) {
        if (!mask[i]) continue;
        let label = 0;
        for (const [dz, dRow, dCol] of earlier) {
          const c = col + dCol, r = row + dRow;
          if (c < 0 || c >= cols || r < 0 || r >= rows || z + dz < 0) continue;
          const other = labels[i + (dz * rows + dRow) * cols + dCol];
          if (!other || other === label) continue;
          label = label ? join(parents, label, other) : find(parents, other);
        }
        if (!label) parents.push(label = parents.length);
        labels[i] = label;
      }
    }
  }
  return renumber(labels, parents);
}

// Components of a mask in its bounding box: `labels`, `sizes`, `count` and `box` (null if empty).
export function labelComponents(mask, shape, connectivity = 26) {
  const box = boundingBox(mask, shape);
  if (box === null) return { labels: new Int32Array(0), sizes: [0], count: 0, box, shape: [0, 0, 0] };
  const part = boxShape(box);
  const { labels, sizes } = labelArray(crop(mask, shape, box), part, connectivity);
  return { labels, sizes, count: sizes.length - 1, box, shape: part };
}

// Keeps the components for which `keep(components)`, an array by number, is true.
export function filterComponents(mask, shape, keep) {
  const components = labelComponents(mask, shape);
  if (!components.count) return mask;
  const kept = keep(components);
  const out = new Uint8Array(mask.length);
  const { box, labels } = components, [, rows, cols] = shape;
  for (let z = box.start[0], i = 0; z < box.stop[0]; z++) {
    for (let row = box.start[1]; row < box.stop[1]; row++) {
      const from = (z * rows + row) * cols;
      for (let col = box.start[2]; col < box.stop[2]; col++, i++) {
        if (labels[i] && kept[labels[i]]) out[from + col] = 1;
      }
    }
  }
  return out;
}

// The largest component; of equal ones, the first.
export function largest({ sizes }) {
  let best = 0;
  sizes.forEach((size, number) => { if (size > sizes[best]) best = number; });
  return sizes.map((_, number) => number === best);
}

// Mean of an image (cropped to the components' box) over each component.
export function componentMeans({ labels, sizes }, values) {
  const sums = new Float64Array(sizes.length);
  for (let i = 0; i < labels.length; i++) if (labels[i]) sums[labels[i]] += values[i];
  return Array.from(sums, (sum, number) => sum / Math.max(sizes[number], 1));
}

// Largest value of an image (cropped to the components' box) in each component.
export function componentMaxima({ labels, sizes }, values) {
  const peaks = new Float64Array(sizes.length);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] && values[i] > peaks[labels[i]]) peaks[labels[i]] = values[i];
  }
  return Array.from(peaks);
}

function earlierNeighbours(connectivity) {
  if (connectivity === 4) return [[0, -1, 0], [0, 0, -1]];
  if (connectivity === 6) return [[-1, 0, 0], [0, -1, 0], [0, 0, -1]];
  const steps = [];
  for (const dz of [-1, 0]) {
    for (const dRow of [-1, 0, 1]) {
      for (const dCol of [-1, 0, 1]) {
        if (dz < 0 || dRow < 0 || (dRow === 0 && dCol < 0)) steps.push([dz, dRow, dCol]);
      }
    }
  }
  return steps;
}

function find(parents, label) {
  while (parents[label] !== label) {
    parents[label] = parents[parents[label]];
    label = parents[label];
  }
  return label;
}

function join(parents, first, second) {
  const [a, b] = [find(parents, first), find(parents, second)];
  parents[Math.max(a, b)] = Math.min(a, b);
  return Math.min(a, b);
}

function renumber(labels, parents) {
  const numbers = new Int32Array(parents.length);
  let count = 0;
  for (let label = 1; label < parents.length; label++) {
    const root = find(parents, label);
    if (root === label) numbers[label] = ++count;
    else numbers[label] = numbers[root];
  }
  const sizes = new Array(count + 1).fill(0);
  for (let i = 0; i < labels.length; i++) {
    if (!labels[i]) continue;
    labels[i] = numbers[labels[i]];
    sizes[labels[i]]++;
  }
  return { labels, sizes };
}
