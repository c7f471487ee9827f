// The transform from the slices of a CT to its tiles, and back (see tiles/transform.py).
import { LiverSegError } from "../errors.js";
import { formatNumber } from "../plural.js";
import { AIR_HU, lowerHu, toUint8, windowOf, withoutPadding } from "../ct/intensity.js";
import { PlaneResampler } from "../ct/resample.js";
import { spacingOf } from "../ct/volume.js";

export const MAX_SLICE_SIDE = 8192; // pixels of a resampled slice

// Resampling, cropping and HU window of one case, and the inverse of resampling and cropping.
export class TileTransform {
  constructor(fields) {
    Object.assign(this, fields); // nativeShape, resampler, origin, shape, windows, floor
  }

  // The transform of whole slices; `tiles` is the tile spec of the record.
  static forVolume(canonical, tiles) {
    const [, ...native] = spacingOf(canonical);
    const spacing = tiles.spacing_mm === null ? native : [tiles.spacing_mm, tiles.spacing_mm];
    let windows = tiles.windows, floor = AIR_HU;
    if (tiles.percentiles !== null) {
      windows = [windowOf(tiles.percentiles, canonical.array)];
      floor = lowerHu(windows[0]);
    }
    const nativeShape = canonical.shape.slice(1);
    const resampler = PlaneResampler.toSpacing(nativeShape, native, spacing);
    if (Math.max(...resampler.targetShape) > MAX_SLICE_SIDE) {
      throw new LiverSegError(`Expected slices of at most ${MAX_SLICE_SIDE} x ${MAX_SLICE_SIDE} ` +
        `pixels at a spacing of ${formatNumber(spacing[0])} mm. Received ` +
        `${resampler.targetShape.join(" x ")}: the header gives a pixel spacing of ` +
        `${native.map((mm) => formatNumber(mm)).join(" x ")} mm.`);
    }
    return new TileTransform(
      { nativeShape, resampler, origin: [0, 0], shape: resampler.targetShape, windows, floor });
  }

  withTile(origin, shape) {
    return new TileTransform({ ...this, origin, shape });
  }

  // Resamples and crops a native slice and applies the windows: one Uint8Array (h, w) per window.
  imageToTile(plane) {
    const resampled = this.resampler.apply(withoutPadding(plane, this.floor));
    const cropped = new Float32Array(this.shape[0] * this.shape[1]);
    const inside = this._copyOverlap(resampled, cropped, true);
    return this.windows.map((window) => {
      const tile = toUint8(cropped, window);
      // a pixel outside the slice is 0 after the window
      const [rows, cols] = inside, width = this.shape[1];
      const out = new Uint8Array(tile.length);
      for (let row = rows[0]; row < rows[1]; row++) {
        out.set(tile.subarray(row * width + cols[0], row * width + cols[1]), row * width + cols[0]);
      }
      return out;
    });
  }

  // Undoes the cropping and the resampling for probabilities: Float32Array (h, w) to (row, col).
  valuesToNative(tile) {
    return this.resampler.inverse.apply(this._paste(tile));
  }

  // Puts a tile back at its position in the resampled slice.
  _paste(tile) {
    const target = this.resampler.targetShape;
    const same = [0, 1].every((axis) => !this.origin[axis] && this.shape[axis] === target[axis]);
    if (same) return tile;
    const slice = new Float32Array(target[0] * target[1]);
    this._copyOverlap(slice, tile, false);
    return slice;
  }

  // Copies what slice and tile share, from the slice to the tile or back. Returns the rows and the
  // columns of the tile that they share.
  _copyOverlap(slice, tile, toTile) {
    const target = this.resampler.targetShape;
    const [rows, cols] = [0, 1].map((axis) => {
      const start = Math.max(this.origin[axis], 0);
      const stop = Math.max(start, Math.min(this.origin[axis] + this.shape[axis], target[axis]));
      return [start - this.origin[axis], stop - this.origin[axis]];
    });
    for (let row = rows[0]; row < rows[1]; row++) {
      const inTile = row * this.shape[1] + cols[0];
      const inSlice = (row + this.origin[0]) * target[1] + cols[0] + this.origin[1];
      const length = cols[1] - cols[0];
      if (toTile) tile.set(slice.subarray(inSlice, inSlice + length), inTile);
      else slice.set(tile.subarray(inTile, inTile + length), inSlice);
    }
    return [rows, cols];
  }
}
