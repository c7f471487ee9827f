// Statistics of the intensities of an image, which show whether its values are HU
// (see dataset/check/intensities.py).
import { searchSorted } from "../../arithmetic.js";

const PERCENTS = [0.5, 5, 50, 95, 99.5];
export const SOFT_TISSUE_HU = [-200, 300];
export const AIR_HU = [-1100, -850];
const DENSE_HU = [800, 1300];
const PADDING_HU = -1500;
export const HUGE_HU = 5000;
export const LOWEST_HU = -4000;
const SAMPLE_VOXELS = 1 << 20;
const TISSUE_HU = -600;
const ABOVE_LOWEST = 150;
const MIN_AIR = 0.01;
const BIN = 25, BAND = 10, NEAR = 8;
const MIN_VALUES = 32;
const MIN_PILE = 0.001, MIN_BLURRED_PILE = 0.015;

// The values that occur in a sample, in increasing order, and how often.
class Histogram {
  constructor(values, counts) {
    Object.assign(this, { values, counts });
    this.total = counts.reduce((sum, count) => sum + count, 0);
  }

  static of(sample) {
    sample.sort();
    const values = [], counts = [];
    for (const value of sample) {
      if (values.length && values[values.length - 1] === value) counts[counts.length - 1]++;
      else {
        values.push(value);
        counts.push(1);
      }
    }
    return new Histogram(values, counts);
  }

  // Number of voxels from `low` to `high`, both included.
  count(low, high) {
    const last = searchSorted(this.values, high, "right");
    let sum = 0;
    for (let i = searchSorted(this.values, low); i < last; i++) sum += this.counts[i];
    return sum;
  }

  fraction(low, high) {
    return this.total ? this.count(low, high) / this.total : 0;
  }

  above(low) {
    const first = searchSorted(this.values, low, "right");
    return new Histogram(this.values.slice(first), this.counts.slice(first));
  }

  percentile(percent) {
    const wanted = (percent / 100) * this.total;
    let sum = 0;
    for (let i = 0; i < this.values.length; i++) if ((sum += this.counts[i]) >= wanted) return this.values[i];
    return this.values[this.values.length - 1];
  }
}

// Measures a canonical volume with finite values.
export function measureIntensities({ array, shape }) {
  const [planes, rows, cols] = shape;
  const step = Math.max(1, Math.ceil(Math.sqrt(array.length / SAMPLE_VOXELS)));
  const sample = new array.constructor(planes * Math.ceil(rows / step) * Math.ceil(cols / step));
  let minimum = Infinity, maximum = -Infinity, length = 0;
  for (let z = 0; z < planes; z++) {
    for (let row = 0; row < rows; row += step) {
      const start = (z * rows + row) * cols;
      for (let col = 0; col < cols; col += step) sample[length++] = array[start + col];
    }
  }
  for (let i = 0; i < array.length; i++) {
    if (array[i] < minimum) minimum = array[i];
    if (array[i] > maximum) maximum = array[i];
  }
  const histogram = Histogram.of(sample);
  const rest = histogram.above(minimum), total = Math.max(1, histogram.total);
  const [clippedBelow, clippedAbove] = findPiles(histogram);
  return {
    minimum, maximum, clippedBelow, clippedAbove,
    fractionAtMaximum: histogram.fraction(maximum, maximum),
    fractionSoftTissue: histogram.fraction(...SOFT_TISSUE_HU),
    fractionAir: rest.count(...AIR_HU) / total,
    fractionDense: histogram.fraction(...DENSE_HU),
    fractionHuge: histogram.fraction(HUGE_HU, Infinity),
    fractionBelow: rest.count(-Infinity, LOWEST_HU) / total,
    fractionMostCommon: histogram.counts.reduce((most, count) => Math.max(most, count), 0) / total,
    step: findStep(histogram.values),
    tissue: findTissue(rest, histogram.fraction(...AIR_HU) >= MIN_AIR),
    spread: findSpread(histogram.above(Math.min(0, minimum / 2))),
    percentiles: PERCENTS.map((percent) => histogram.percentile(percent)),
  };
}

// The values at which the lower and the upper part of the histogram was cut off, or null.
function findPiles(histogram) {
  const { values, counts } = histogram;
  if (values.length < MIN_VALUES) return [null, null];
  const low = values[0], high = values[values.length - 1];
  const first = histogram.percentile(0.5), last = histogram.percentile(99.5);
  let below = null, above = null;
  if (isPile(histogram, counts[0], low, low + NEAR)) below = low;
  else if (isBlurredPile(histogram, [low, first + BAND], [first + BAND, first + 2 * BAND])) below = first;
  if (isPile(histogram, counts[counts.length - 1], high - NEAR, high)) above = high;
  else if (isBlurredPile(histogram, [last - BAND, high], [last - 2 * BAND, last - BAND])) above = last;
  return [below, above];
}

function isPile(histogram, atEnd, low, high) {
  const beside = histogram.count(low, high) - atEnd;
  return atEnd > Math.max(0.3 * beside, MIN_PILE * histogram.total);
}

function isBlurredPile(histogram, end, beside) {
  const atEnd = histogram.count(...end);
  return atEnd > Math.max(2 * histogram.count(...beside), MIN_BLURRED_PILE * histogram.total);
}

// Median distance between neighbouring values of soft tissue.
function findStep(values) {
  const tissue = values.filter((value) => value >= SOFT_TISSUE_HU[0] && value <= SOFT_TISSUE_HU[1]);
  if (tissue.length < 2) return 1;
  const steps = tissue.slice(1).map((value, index) => value - tissue[index]).sort((a, b) => a - b);
  const middle = steps.length >> 1;
  return steps.length % 2 ? steps[middle] : (steps[middle - 1] + steps[middle]) / 2;
}

// The most common value above air, or above what is lowest if nothing has the HU of air.
function findTissue(values, hasAir) {
  const rest = values.above(PADDING_HU);
  if (!rest.total) return null;
  const lowest = hasAir ? -Infinity : rest.percentile(0.1);
  let tissue = rest.above(Math.max(TISSUE_HU, lowest + ABOVE_LOWEST));
  if (tissue.values.length > 1) { // many voxels may be clipped at the highest value
    tissue = new Histogram(tissue.values.slice(0, -1), tissue.counts.slice(0, -1));
  }
  if (!tissue.total) return null;
  const bins = new Map();
  tissue.values.forEach((value, index) => {
    const bin = Math.floor(value / BIN);
    bins.set(bin, (bins.get(bin) ?? 0) + tissue.counts[index]);
  });
  let best = null;
  for (const [bin, count] of bins) if (best === null || count > bins.get(best)) best = bin;
  return (best + 0.5) * BIN;
}

function findSpread(tissue) {
  return tissue.total ? tissue.percentile(95) - tissue.percentile(5) : 0;
}
