// Files that may be slices and cannot be used as such (see ct/dicom/damaged.py).
import { DAMAGED, NO_DICOM, SLICE } from "./recognise.js";

export function folderOf(path) {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

// Files that cannot be read, look like slices beside them, or lack a series, each with `reason`.
export function findDamaged(files) {
  const slices = files.filter(({ kind }) => kind === SLICE);
  const names = new Set(slices.filter(({ uid }) => uid).map(({ file }) => namePattern(file.path)));
  const beside = new Map(slices.map(({ file }) => [folderOf(file.path), file]));
  return files.flatMap((entry) => {
    const { file, kind, uid } = entry;
    if (kind === SLICE && !uid) return [{ ...entry, reason: "SeriesInstanceUID is missing or empty" }];
    if (kind === DAMAGED) return [entry];
    const alike = kind === NO_DICOM && (names.has(namePattern(file.path)) ||
      isAsLarge(file, beside.get(folderOf(file.path))));
    return alike ? [{ ...entry, reason: "no DICOM file, but like the slices beside it" }] : [];
  });
}

// A path with decimal and long hexadecimal numbers in its name replaced.
function namePattern(path) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return `${folderOf(path)}/${name.replace(/[0-9a-fA-F]{8,}|\d+/g, "#")}`;
}

// Whether a file has the suffix of a slice, and half to twice its size.
function isAsLarge(file, other) {
  const suffix = (path) => (/[^./]\.[^./]+$/.exec(path) ? path.slice(path.lastIndexOf(".")) : "").toLowerCase();
  return Boolean(other) && suffix(file.path) === suffix(other.path) &&
    other.size / 2 <= file.size && file.size <= 2 * other.size;
}
