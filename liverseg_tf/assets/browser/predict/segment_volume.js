// Inference for one volume: slices to tiles, through the network, and back to the image's grid
// (see predict/segment_volume.py). One slice at a time, so that the page can show each of them.
import { LiverSegError } from "../errors.js";
import { roundHalfEven } from "../arithmetic.js";
import { spacingOf } from "../ct/volume.js";
import { needsProbabilities, thresholdsOf } from "../model/postprocessing.js";
import { RegionMasks } from "../model/region_masks.js";
import { channelsOf, contextSlices, sliceStep } from "../model/spec.js";
import { aroundBody } from "./inference_region.js";

const MAX_TILE_VALUES = 2 ** 26; // 256 MB in float32

// Predicts the mask of each region.
//   canonical: volume in canonical order; model: {network, postprocessing} of the record.
//   predict: async function from tiles, Float32Array (h, w, channels), and [h, w] to probabilities,
//     Float32Array (h, w, regions).
//   onSlice: async function of (z, number of slices done, number of all slices, masks), which may
//     throw to stop.
// Returns RegionMasks without post-processing.
export async function findRegions(canonical, model, predict, onSlice = async () => {}) {
  const { network, postprocessing } = model;
  const regions = network.regions;
  const { transform, first, last } = aroundBody(canonical, network);
  const [height, width] = transform.shape, channels = channelsOf(network);
  if (height * width * channels > MAX_TILE_VALUES) {
    throw new LiverSegError(`Expected slices that fit into the memory of this page. Received ` +
      `${height} x ${width} pixels and ${channels} channels at the spacing of the model: use ` +
      "liverseg predict for this image.");
  }
  const masks = new RegionMasks(canonical.shape, regions, needsProbabilities(postprocessing));
  const thresholds = thresholdsOf(postprocessing, regions);
  const step = sliceStep(network, spacingOf(canonical)[0]);
  const planes = new TilePlanes(canonical, transform);
  for (let z = first; z <= last; z++) {
    const context = contextSlices(network, z, step, canonical.shape[0]);
    const tiles = stack(planes, context, channels);
    planes.forgetBelow(context[0]);
    const outputs = await predict(tiles, [height, width]);
    checkProbabilities(outputs, height * width * regions.length);
    restore(outputs, z, { transform, masks, thresholds });
    await onSlice(z, z - first + 1, last - first + 1, masks);
  }
  return masks;
}

// The tiles of slices, each cut once.
class TilePlanes {
  constructor(canonical, transform) {
    Object.assign(this, { canonical, transform, known: new Map() });
  }

  get(z) {
    if (!this.known.has(z)) {
      const size = this.canonical.shape[1] * this.canonical.shape[2];
      const plane = this.canonical.array.subarray(z * size, (z + 1) * size);
      this.known.set(z, this.transform.imageToTile(plane));
    }
    return this.known.get(z);
  }

  forgetBelow(z) {
    for (const known of this.known.keys()) if (known < z) this.known.delete(known);
  }
}

function stack(planes, context, channels) {
  const tiles = context.flatMap((z) => planes.get(z));
  const out = new Float32Array(tiles[0].length * channels);
  tiles.forEach((tile, channel) => {
    for (let i = 0, to = channel; i < tile.length; i++, to += channels) out[to] = tile[i];
  });
  return out;
}

// What a foreign model computes must be probabilities: NaN would become background without a word.
function checkProbabilities(values, length) {
  let valid = values.length === length;
  for (let i = 0; valid && i < length; i++) valid = values[i] >= 0 && values[i] <= 1;
  if (!valid) {
    throw new LiverSegError("Expected probabilities from 0 to 1 from the model. Received others: " +
      "export the page again.");
  }
}

function restore(outputs, z, { transform, masks, thresholds }) {
  const count = thresholds.length, size = masks.shape[1] * masks.shape[2], start = z * size;
  thresholds.forEach((threshold, region) => {
    const tile = new Float32Array(outputs.length / count);
    let highest = 0;
    for (let i = 0, from = region; i < tile.length; i++, from += count) {
      tile[i] = outputs[from];
      if (tile[i] > highest) highest = tile[i];
    }
    const stored = masks.probabilities?.[region];
    // resampling averages, so that it never exceeds the maximum of the tile
    const single = Math.fround(threshold); // NumPy compares float32 with float32
    if (!stored && !(highest > single)) return;
    const values = transform.valuesToNative(tile);
    for (let i = 0; i < size; i++) {
      if (stored) stored[start + i] = roundHalfEven(Math.fround(values[i] * 255));
      if (values[i] > single) masks.bits[start + i] |= 1 << region;
    }
  });
}
