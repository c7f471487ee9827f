// Affines as arrays of four rows, from voxel (i, j, k) to RAS+ mm (see nibabel.affines).
export function voxelSizes(affine) {
  return [0, 1, 2].map((axis) => Math.sqrt(
    affine[0][axis] * affine[0][axis] + affine[1][axis] * affine[1][axis] +
    affine[2][axis] * affine[2][axis]));
}

export function applyAffine(affine, [i, j, k]) {
  return affine.slice(0, 3).map((row) => row[0] * i + row[1] * j + row[2] * k + row[3]);
}

export function multiply(first, second) {
  return first.map((row) => second[0].map((_, column) =>
    row.reduce((sum, value, index) => sum + value * second[index][column], 0)));
}

export function norm(vector) {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}

// The eight corners of a volume with the given shape along i, j, k, as voxels.
export function cornersOf(shape) {
  return [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
    [bits >> 2, (bits >> 1) & 1, bits & 1].map((end, axis) => end * (shape[axis] - 1)));
}
