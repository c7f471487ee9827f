// The table of a result: volume, mean, components and warnings about the field of view per region.
import { element } from "./dom.js";

export function resultTable(table, colours, isCt) {
  const head = ["Region", "Volume", isCt ? "Mean HU" : "Mean", "Parts"].map((text) => element("th", { scope: "col" }, text));
  const rows = table.map((region, index) => {
    const colour = element("span", { class: "colour" });
    colour.style.background = colours[index];
    return element("tr", {}, element("td", {}, colour, region.name),
      element("td", {}, `${formatMl(region.volumeMl)} ml`),
      element("td", {}, region.mean === null ? "–" : region.mean.toFixed(isCt ? 0 : 1)),
      element("td", {}, String(region.components)));
  });
  return element("table", { id: "table" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

// What the user must know about the result, one line each.
export function resultWarnings(table) {
  return table.flatMap(({ name, voxels, cutBy }) => {
    if (!voxels) return [`No voxel was assigned to ${name}.`];
    if (!cutBy.length) return [];
    const ends = cutBy.map((end) => (end === "padding" ? "border of the scanner's circle" : `${end} end of the image`));
    return [`${name} reaches the ${ends.join(" and the ")}: a part of it may be missing.`];
  });
}

// The volumes in one line, for the list of images.
export function listVolumes(table) {
  return table.map(({ name, volumeMl }) => `${name} ${formatMl(volumeMl)} ml`).join(", ");
}

function formatMl(ml) {
  return ml < 10 ? ml.toFixed(2) : ml.toFixed(1);
}

export function formatSeconds(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
}
