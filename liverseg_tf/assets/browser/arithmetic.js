// Arithmetic that JavaScript lacks and that must round as in Python and NumPy.

// Rounds to the nearest integer, halves to the even one, as Python's `round` and `np.rint`.
export function roundHalfEven(value) {
  const floor = Math.floor(value), rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

// Adds numbers in NumPy's order: blocks of at most 128, in eight partial sums.
export function pairwiseSum(values, start = 0, length = values.length) {
  if (length < 8) {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += values[start + i];
    return sum;
  }
  if (length <= 128) {
    const sums = Array.from({ length: 8 }, (_, i) => values[start + i]);
    let i = 8;
    for (; i < length - (length % 8); i += 8) {
      for (let part = 0; part < 8; part++) sums[part] += values[start + i + part];
    }
    let sum = sums[0] + sums[1] + (sums[2] + sums[3]) + (sums[4] + sums[5] + (sums[6] + sums[7]));
    for (; i < length; i++) sum += values[start + i];
    return sum;
  }
  let half = Math.floor(length / 2);
  half -= half % 8;
  return pairwiseSum(values, start, half) + pairwiseSum(values, start + half, length - half);
}

// Index of the first entry of a sorted array that is not below (side "left") or above a value.
export function searchSorted(sorted, value, side = "left") {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || (side === "right" && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
