// Regions: the meaning of the labels in a mask (see ct/regions.py). `regions` is a list of
// [name, labels] in order, from the record of the model.

// The label that is written for each region: its first label that belongs to no later region.
export function writtenLabels(regions) {
  return regions.map(([, labels], index) => {
    const later = new Set(regions.slice(index + 1).flatMap(([, others]) => others));
    return labels.find((label) => !later.has(label)) ?? labels[0];
  });
}

// Indices of the other regions that are nested in a region: all their labels belong to it.
export function nestedIn(regions, index) {
  const labels = new Set(regions[index][1]);
  return regions.map((_, other) => other).filter((other) =>
    other !== index && regions[other][1].every((label) => labels.has(label)));
}
