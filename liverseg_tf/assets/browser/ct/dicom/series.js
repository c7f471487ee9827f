// DICOM series: finding them among files and reading them as volumes (see ct/dicom/series.py).
import { LiverSegError } from "../../errors.js";
import { count } from "../../plural.js";
import { checkPlausibleSpacing, createVolume } from "../volume.js";
import { checkOneAcquisition } from "./acquisitions.js";
import { dropCopies } from "./copies.js";
import { findDamaged, folderOf } from "./damaged.js";
import { stackSlices } from "./geometry.js";
import { readPixels } from "./pixels.js";
import { recognise, SLICE } from "./recognise.js";
import { slicesOf } from "./slices.js";
import { checkNoStrays } from "./strays.js";

// Finds the series that are volumes. `files`: [{path, size, load}]; `onFile` gets the number of files
// that were read. Localizers and single images are skipped, unless there is nothing else.
export async function findVolumeSeries(files, onFile = async () => {}) {
  const recognised = [];
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const name = file.path.slice(file.path.lastIndexOf("/") + 1);
    if (name.startsWith(".") || name.toUpperCase() === "DICOMDIR") continue;
    recognised.push(await recognise(file));
    await onFile(recognised.length);
  }
  const byUid = new Map();
  for (const entry of recognised) {
    if (entry.kind !== SLICE || !entry.uid) continue;
    byUid.set(entry.uid, [...(byUid.get(entry.uid) ?? []), entry]);
  }
  const series = [...byUid.values()].map(buildSeries);
  const damaged = findDamaged(recognised);
  for (const one of series) addNeighbours(one, series, damaged);
  const beside = new Set(series.filter(({ localizer }) => !localizer).flatMap(({ folders }) => [...folders]));
  const alone = damaged.filter(({ file }) => !beside.has(folderOf(file.path)));
  if (alone.length) series.push({ uid: "", entries: alone, damaged: alone, imageCount: 0, localizer: false, singleImages: [] });
  const found = series.filter(({ localizer }) => !localizer);
  const volumes = found.filter(({ imageCount, uid }) => imageCount > 1 || !uid);
  return volumes.length ? volumes : found;
}

// Reads the only series of some files as a volume in the order of its slices.
export async function readOnlySeries(files, onFile, onSlice) {
  const series = await findVolumeSeries(files, onFile);
  if (series.length !== 1) {
    const listed = series.map((one) =>
      `${one.number || "without a number"} '${one.description ?? ""}' (${count(one.imageCount, "image")})`);
    throw new LiverSegError("Expected one DICOM series, or one NIfTI file. Received " +
      `${listed.join("; ") || "files that are neither"}: choose the files of one series.`);
  }
  return readSeries(series[0], onSlice);
}

export async function readSeries(series, onSlice) {
  if (series.damaged.length) {
    const [{ file, reason }] = series.damaged;
    const beside = series.uid ? " beside a series" : "", maybe = series.uid ? ", which may be one of its slices" : "";
    throw new LiverSegError(`Expected only DICOM files that can be read${beside}. Received ${file.path} ` +
      `(${reason})${maybe}: copy it again, remove it, or use liverseg predict.`);
  }
  const all = series.entries.flatMap(({ file, parsed }) => slicesOf(file, parsed));
  const images = all.filter(({ localizer }) => !localizer);
  const [slices, affine] = stackSlices(await dropCopies(images.length ? images : all));
  checkOneAcquisition(slices);
  checkNoStrays(slices, series.singleImages);
  const array = await readPixels(slices, onSlice);
  const volume = createVolume({
    array, affine, shape: [slices.length, ...slices[0].shape], modality: slices[0].modality,
    warnings: warningsOf(slices), slices,
  });
  checkPlausibleSpacing(volume, "the series");
  return volume;
}

function warningsOf(slices) {
  const warnings = [], [first] = slices;
  if (first.modality === "CT" && !first.rescaled) {
    warnings.push("The DICOM headers have no RescaleSlope and RescaleIntercept: the stored values are taken as HU.");
  }
  if (slices.length > 1 && new Set(slices.map(({ uid, frame }) => `${uid} ${frame}`)).size === 1) {
    warnings.push("All DICOM files have one SOPInstanceUID: copies and phases are told apart by their positions only.");
  }
  return warnings;
}

function buildSeries(entries) {
  const [first] = entries;
  return {
    uid: first.uid, number: first.number, description: first.description, entries,
    imageCount: entries.reduce((sum, { frames }) => sum + frames, 0),
    localizer: entries.every(({ localizer }) => localizer),
    folders: new Set(entries.map(({ file }) => folderOf(file.path))),
  };
}

// Adds the files beside a series that may belong to it.
function addNeighbours(series, all, damaged) {
  series.damaged = damaged.filter(({ file }) => series.folders.has(folderOf(file.path)));
  series.singleImages = all.filter((other) => other.imageCount === 1 && !other.localizer &&
    other.uid !== series.uid && other.entries[0].captured === series.entries[0].captured &&
    series.folders.has(folderOf(other.entries[0].file.path))).map(({ entries }) => entries[0]);
}
