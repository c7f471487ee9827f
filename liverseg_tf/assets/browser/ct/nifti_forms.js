// The affine of a NIfTI header: its sform, its qform, and its unit of length
// (see ct/nifti_forms.py).
import { LiverSegError } from "../errors.js";
import { formatNumber } from "../plural.js";
import { applyAffine, cornersOf, norm, voxelSizes } from "./affine.js";
import { checkAffine } from "./volume.js";

const UNIT_MM = { 0: 1, 1: 1000, 2: 1, 3: 0.001 }; // unknown (mm in practice), m, mm, um
const UNIT_BITS = 7;
const TOLERANCE_VOXELS = 0.5;
const EPSILON = { 1: 3 * 2 ** -23, 2: 3 * 2 ** -52 }; // of the quaternion, by version

export function affineOf(header, shape, name) {
  const unit = header.xyzt_units & UNIT_BITS;
  if (!(unit in UNIT_MM)) {
    throw new LiverSegError(`Expected a unit of length from 0 to 3 (xyzt_units) in ${name}. ` +
      `Received ${unit}: correct the header.`);
  }
  if (!(header.sform_code > 0 || header.qform_code > 0)) {
    throw new LiverSegError(`Expected the position of the voxels in the header of ${name}. ` +
      "Received a header without an sform and a qform: its orientation is unknown. Correct it first.");
  }
  const affine = chooseForm(header, shape, name);
  return affine.map((row, index) => (index < 3 ? row.map((value) => value * UNIT_MM[unit]) : row));
}

function chooseForm(header, shape, name) {
  const hasQform = header.qform_code > 0;
  if (!(header.sform_code > 0)) {
    const qform = qformOf(header);
    if (qform !== null) return qform;
    throw new LiverSegError(
      `Expected a valid NIfTI header in ${name}. Received: a qform that is not possible.`);
  }
  const srow = header.srow;
  const sform = [srow.slice(0, 4), srow.slice(4, 8), srow.slice(8, 12), [0, 0, 0, 1]];
  const spacing = header.pixdim.slice(1, 4).map((value) => (hasQform ? Math.abs(value) : value));
  const plausible = header.pixdim.slice(1, 4).map(Math.abs);
  if (!hasQform && !(plausible.every(Number.isFinite) && Math.min(...plausible) > 0)) return sform;
  try {
    checkAffine(sform);
  } catch {
    return sform; // the volume refuses it
  }
  const sformSpacing = voxelSizes(sform);
  let distance, smallest;
  if (hasQform) {
    const qform = qformOf(header);
    if (qform === null) throw disagreement(name, "a qform that is not possible");
    const apart = cornersOf(shape).map((corner) => {
      const other = applyAffine(qform, corner);
      return norm(applyAffine(sform, corner).map((mm, axis) => mm - other[axis]));
    });
    distance = apart.some(Number.isNaN) ? NaN : Math.max(...apart);
    smallest = Math.min(...sformSpacing, ...voxelSizes(qform));
  } else {
    distance = Math.max(
      ...sformSpacing.map((mm, axis) => Math.abs(mm - plausible[axis]) * shape[axis]));
    smallest = Math.min(...sformSpacing, ...plausible);
  }
  if (!(distance <= TOLERANCE_VOXELS * smallest)) {
    const format = (values) => values.map((value) => formatNumber(value, 4)).join(" x ");
    throw disagreement(name, `voxels of ${format(sformSpacing)} and ${format(spacing)}, with ` +
      `corners up to ${formatNumber(distance, 3)} apart`, hasQform ? "qform" : "pixdim");
  }
  return sform;
}

// Computes the affine of the quaternion; null if it is not possible.
function qformOf(header) {
  const [x, y, z] = header.quatern;
  const rest = 1 - (x * x + y * y + z * z);
  let w;
  if (Math.abs(rest) < EPSILON[header.version]) w = 0;
  else if (!(rest >= 0)) return null;
  else w = Math.sqrt(rest);
  const s = 2 / (w * w + x * x + y * y + z * z);
  const [X, Y, Z] = [x * s, y * s, z * s];
  const [wX, wY, wZ, xX, xY, xZ] = [w * X, w * Y, w * Z, x * X, x * Y, x * Z];
  const [yY, yZ, zZ] = [y * Y, y * Z, z * Z];
  const rotation = [
    [1 - (yY + zZ), xY - wZ, xZ + wY],
    [xY + wZ, 1 - (xX + zZ), yZ - wX],
    [xZ - wY, yZ + wX, 1 - (xX + yY)],
  ];
  const sizes = header.pixdim.slice(1, 4).map(Math.abs);
  if (header.pixdim[0] === -1) sizes[2] = -sizes[2];
  const rows = rotation.map((row, axis) =>
    [...row.map((value, column) => value * sizes[column]), header.qoffset[axis]]);
  return [...rows, [0, 0, 0, 1]];
}

function disagreement(name, received, other = "qform") {
  return new LiverSegError(`Expected an sform and a ${other} that agree in ${name}. Received ` +
    `${received}: correct the header, or use liverseg predict with --use-sform` +
    `${other === "qform" ? " or --use-qform" : ""}.`);
}
