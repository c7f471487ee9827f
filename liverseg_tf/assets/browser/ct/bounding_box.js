// Bounding boxes of masks (see ct/bounding_box.py): {start, stop} along (z, row, col).

// The smallest box that contains every element that is not 0; null if there is none.
export function boundingBox(mask, [planes, rows, cols]) {
  const start = [planes, rows, cols], stop = [0, 0, 0];
  for (let z = 0, i = 0; z < planes; z++) {
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++, i++) {
        if (!mask[i]) continue;
        if (z < start[0]) start[0] = z;
        if (z >= stop[0]) stop[0] = z + 1;
        if (row < start[1]) start[1] = row;
        if (row >= stop[1]) stop[1] = row + 1;
        if (col < start[2]) start[2] = col;
        if (col >= stop[2]) stop[2] = col + 1;
      }
    }
  }
  return stop[0] ? { start, stop } : null;
}

export function boxShape({ start, stop }) {
  return stop.map((end, axis) => end - start[axis]);
}

// Copies the part of an array in a box.
export function crop(array, [, rows, cols], box) {
  const shape = boxShape(box);
  const out = new array.constructor(shape[0] * shape[1] * shape[2]);
  for (let z = 0, to = 0; z < shape[0]; z++) {
    for (let row = 0; row < shape[1]; row++, to += shape[2]) {
      const from = ((z + box.start[0]) * rows + row + box.start[1]) * cols + box.start[2];
      out.set(array.subarray(from, from + shape[2]), to);
    }
  }
  return out;
}

// Writes a cropped array back.
export function paste(target, [, rows, cols], box, part) {
  const shape = boxShape(box);
  for (let z = 0, from = 0; z < shape[0]; z++) {
    for (let row = 0; row < shape[1]; row++, from += shape[2]) {
      const to = ((z + box.start[0]) * rows + row + box.start[1]) * cols + box.start[2];
      target.set(part.subarray(from, from + shape[2]), to);
    }
  }
}
