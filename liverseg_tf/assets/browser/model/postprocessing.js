// Post-processing of predicted masks (see model/postprocessing.py). `steps` is the record's JSON:
// inside, smooth_z, min_mean_probability, min_peak_probability, min_volume_ml, largest, fill_2d,
// fill_3d, threshold.
import { boundingBox, boxShape, crop, paste } from "../ct/bounding_box.js";
import { componentMaxima, componentMeans, filterComponents, largest } from "../ct/components.js";
import { fillHoles2d, fillHoles3d, smoothZ, withinDistance } from "../ct/morphology.js";
import { nestedIn } from "../ct/regions.js";

export const THRESHOLD = 0.5;

export function thresholdsOf(steps, regions) {
  const given = new Map(steps.threshold ?? []);
  return regions.map(([name]) => given.get(name) ?? THRESHOLD);
}

export function needsProbabilities(steps) {
  return Boolean(steps.min_mean_probability?.length || steps.min_peak_probability?.length);
}

// Applies all steps to `masks` (a RegionMasks), in place.
export function applyPostprocessing(steps, masks, spacingMm) {
  const box = boundingBox(masks.bits, masks.shape);
  if (box === null) return;
  const cropped = new CroppedMasks(masks, box, spacingMm);
  masks.regions.forEach((_, region) => processRegion(steps, cropped, region));
  cropped.writeTo(masks);
}

function processRegion(steps, masks, region) {
  const name = masks.names[region], shape = masks.shape;
  const has = (step) => (steps[step] ?? []).includes(name);
  for (const [inner, outer, mm] of steps.inside ?? []) {
    if (inner !== name) continue;
    const other = masks.byRegion[masks.names.indexOf(outer)];
    const near = withinDistance(masks.withNested(region), other, shape, masks.spacingMm, mm);
    masks.restrict(region, near);
  }
  if (has("smooth_z")) {
    const smooth = smoothZ(masks.withNested(region), shape);
    masks.add(region, smooth);
    masks.restrict(region, smooth);
  }
  for (const select of componentSelectors(steps, masks, region)) {
    masks.restrict(region, filterComponents(masks.withNested(region), shape, select));
  }
  if (has("fill_2d")) masks.add(region, fillHoles2d(masks.withNested(region), shape));
  if (has("fill_3d")) masks.add(region, fillHoles3d(masks.withNested(region), shape));
}

// Functions from components to those to keep, in the order of the steps.
function componentSelectors(steps, masks, region) {
  const name = masks.names[region], selectors = [];
  const scores = [["min_mean_probability", componentMeans], ["min_peak_probability", componentMaxima]];
  for (const [step, scoresOf] of scores) {
    for (const [named, p] of steps[step] ?? []) {
      if (named !== name) continue;
      selectors.push((components) => {
        const values = crop(masks.probabilities(region), masks.shape, components.box);
        return scoresOf(components, values).map((score) => score >= 255 * p);
      });
    }
  }
  for (const [named, ml] of steps.min_volume_ml ?? []) {
    if (named !== name) continue;
    const [z, row, col] = masks.spacingMm;
    const voxels = (ml * 1000) / (z * row * col);
    // the tolerance keeps components of exactly this volume in spite of rounding
    selectors.push(({ sizes }) => sizes.map((size) => size >= voxels * (1 - 1e-6)));
  }
  if ((steps.largest ?? []).includes(name)) selectors.push(largest);
  return selectors;
}

// Editable masks of all regions, cropped to their joint bounding box; a region without its nested ones.
class CroppedMasks {
  constructor(masks, box, spacingMm) {
    Object.assign(this, { source: masks, box, spacingMm, shape: boxShape(box) });
    const bits = crop(masks.bits, masks.shape, box);
    this.names = masks.regions.map(([name]) => name);
    this.nested = masks.regions.map((_, region) => nestedIn(masks.regions, region));
    this.byRegion = masks.regions.map((_, region) => Uint8Array.from(bits, (value) => (value >> region) & 1));
  }

  withNested(region) {
    const mask = this.byRegion[region].slice();
    for (const inner of this.nested[region]) unite(mask, this.byRegion[inner]);
    return mask;
  }

  add(region, mask) {
    unite(this.byRegion[region], mask);
  }

  // Removes the voxels outside `allowed` from a region and from its nested regions.
  restrict(region, allowed) {
    const all = this.withNested(region);
    for (const index of [region, ...this.nested[region]]) {
      const mask = this.byRegion[index];
      for (let i = 0; i < mask.length; i++) if (all[i] && !allowed[i]) mask[i] = 0;
    }
  }

  probabilities(region) {
    return crop(this.source.probabilities[region], this.source.shape, this.box);
  }

  writeTo(masks) {
    const bits = new masks.bits.constructor(this.byRegion[0].length);
    this.byRegion.forEach((mask, region) => {
      for (let i = 0; i < mask.length; i++) bits[i] |= mask[i] << region;
    });
    paste(masks.bits, masks.shape, this.box, bits);
  }
}

function unite(target, other) {
  for (let i = 0; i < target.length; i++) target[i] |= other[i];
}
