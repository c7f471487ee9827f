// In-plane resampling as two small matrix products, with the same code in both directions
// (see ct/resample.py). A matrix is sparse, in rows: `starts`, `columns`, `weights`.
import { clamp, pairwiseSum, roundHalfEven } from "../arithmetic.js";

const NEGLIGIBLE = 1e-7;

// The matrix that resamples a line of `source` voxels to `target` voxels.
export function resamplingMatrix(source, target, ratio) {
  const width = Math.max(1, ratio);
  const reach = Math.ceil(width);
  const starts = new Int32Array(target + 1), columns = [], weights = [];
  for (let t = 0; t < target; t++) {
    const centre = clamp((t - (target - 1) / 2) * ratio + (source - 1) / 2, 0, source - 1);
    const first = Math.floor(centre) - reach;
    const row = new Float64Array(2 * reach + 1);
    for (let tap = 0; tap < row.length; tap++) {
      const column = first + tap;
      if (column < 0 || column >= source) continue;
      row[tap] = Math.max(0, 1 - Math.abs(column - centre) / width);
    }
    const sum = pairwiseSum(row);
    for (let tap = 0; tap < row.length; tap++) {
      const weight = row[tap] / sum;
      if (!(weight > NEGLIGIBLE)) continue;
      columns.push(first + tap);
      weights.push(weight);
    }
    starts[t + 1] = columns.length;
  }
  return { source, target, starts, columns: Int32Array.from(columns), weights: Float32Array.from(weights) };
}

// Resampling of slices from one in-plane grid to another one with the same centre.
//   sourceShape, targetShape: [rows, cols]; ratio: target spacing divided by source spacing.
export class PlaneResampler {
  constructor(sourceShape, targetShape, ratio) {
    Object.assign(this, { sourceShape, targetShape, ratio });
    this.matrices = null;
  }

  // The resampler to another spacing, with the same field of view up to rounding.
  static toSpacing(shape, spacingMm, targetMm) {
    const ratio = targetMm.map((mm, axis) => mm / spacingMm[axis]);
    const target = shape.map((length, axis) => Math.max(1, roundHalfEven(length / ratio[axis])));
    return new PlaneResampler(shape, target, ratio);
  }

  get inverse() {
    this._inverse ??= new PlaneResampler(
      this.targetShape, this.sourceShape, this.ratio.map((ratio) => 1 / ratio));
    return this._inverse;
  }

  get isIdentity() {
    return this.ratio.every((ratio) => ratio === 1) &&
      this.sourceShape.every((length, axis) => length === this.targetShape[axis]);
  }

  // Resamples one slice, Float32Array (row, col); returns `plane` itself if the grids are equal.
  apply(plane) {
    if (this.isIdentity) return plane;
    this.matrices ??= [0, 1].map((axis) =>
      resamplingMatrix(this.sourceShape[axis], this.targetShape[axis], this.ratio[axis]));
    const [rows, cols] = this.matrices;
    const half = transpose(multiplyRows(rows, plane, this.sourceShape[1]), rows.target);
    return transpose(multiplyRows(cols, half, rows.target), cols.target);
  }
}

// Product of a sparse matrix and a dense one with `width` columns: one tap after another, rounded to
// float32 after each multiplication and each addition, as scipy does.
function multiplyRows(matrix, dense, width) {
  const { starts, columns, weights, target } = matrix;
  const out = new Float32Array(target * width);
  for (let t = 0; t < target; t++) {
    const to = t * width;
    for (let entry = starts[t]; entry < starts[t + 1]; entry++) {
      const weight = weights[entry], from = columns[entry] * width;
      for (let i = 0; i < width; i++) out[to + i] += Math.fround(weight * dense[from + i]);
    }
  }
  return out;
}

function transpose(dense, rows) {
  const cols = dense.length / rows;
  const out = new Float32Array(dense.length);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) out[col * rows + row] = dense[row * cols + col];
  }
  return out;
}
