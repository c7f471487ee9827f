// The predicted masks of a volume, one bit per region, in canonical order
// (see model/region_masks.py, which keeps them in the order of the file).
import { writtenLabels } from "../ct/regions.js";

export class RegionMasks {
  // `keepsProbabilities`: whether a step of the post-processing needs them, as 0 to 255.
  constructor(shape, regions, keepsProbabilities) {
    const voxels = shape[0] * shape[1] * shape[2];
    this.shape = shape;
    this.regions = regions;
    this.bits = new (regions.length <= 8 ? Uint8Array : Uint16Array)(voxels);
    this.probabilities = keepsProbabilities ? regions.map(() => new Uint8Array(voxels)) : null;
    this._table = labelTable(regions);
  }

  // The label map of one slice, or of the whole volume. Where regions overlap, the later is written.
  labels(z = null) {
    const size = this.shape[1] * this.shape[2];
    const bits = z === null ? this.bits : this.bits.subarray(z * size, (z + 1) * size);
    const labels = new Uint8Array(bits.length);
    for (let i = 0; i < bits.length; i++) labels[i] = this._table[bits[i]];
    return labels;
  }
}

function labelTable(regions) {
  const table = new Uint8Array(1 << regions.length);
  writtenLabels(regions).forEach((label, region) => {
    for (let bits = 0; bits < table.length; bits++) if ((bits >> region) & 1) table[bits] = label;
  });
  return table;
}
