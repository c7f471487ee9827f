// Reading of NIfTI files, and writing of label maps on the grid of their image (see ct/nifti.py).
import { LiverSegError } from "../errors.js";
import { formatNumber } from "../plural.js";
import { BytesReader, checkSurplus, GzipReader, isCompressed } from "./checked_stream.js";
import { affineOf } from "./nifti_forms.js";
import { checkScalarImage, chooseChannel, readHeader } from "./nifti_header.js";
import { rescale } from "./rescale.js";
import { checkSize } from "./size_limit.js";
import { checkPlausibleSpacing, createVolume } from "./volume.js";

const TYPES = {
  uint8: Uint8Array, int8: Int8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array,
  uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float32: Float32Array,
  float64: Float64Array,
};
const UINT8 = 2;
const DESCRIPTION = "liverseg_tf";

export function isNifti(name) {
  return /\.nii(\.gz)?$/i.test(name);
}

// File name without .nii or .nii.gz.
export function niftiStem(name) {
  return name.replace(/\.nii(\.gz)?$/i, "");
}

// Reads an image in the axis order of the file; slope, intercept and units are applied.
//   bytes: Uint8Array, the whole file; name: its name; channel: of a 4D file, or null.
export function readVolume(bytes, name, channel = null) {
  const reader = isCompressed(name) ? new GzipReader(bytes, name) : new BytesReader(bytes);
  const header = readHeader(reader, name);
  const [fileShape, index] = chooseChannel(header, channel, name);
  checkScalarImage(fileShape, header, name);
  checkSize(fileShape, name);
  const affine = affineOf(header, fileShape, name);
  const [type, voxelBytes] = header.dataType;
  const size = fileShape.reduce((product, length) => product * length, voxelBytes);
  const total = header.shape.reduce((product, length) => product * length, voxelBytes);
  const data = new Uint8Array(size);
  const before = index * size, after = total - before - size;
  if (reader.skip(before) < before || reader.readInto(data) < size || reader.skip(after) < after) {
    throw new LiverSegError(`Expected a whole NIfTI file at ${name}. Received a truncated file.`);
  }
  const warnings = checkSurplus(reader, fileShape, size, name);
  const [slope, intercept] = scalingOf(header);
  if (header.scl_inter && Number.isFinite(header.scl_inter) && !hasSlope(header)) {
    warnings.push(
      `scl_inter of ${formatNumber(header.scl_inter)} ignored, because there is no scl_slope`);
  }
  if (!header.littleEndian) swapBytes(data, voxelBytes);
  const raw = new TYPES[type](data.buffer);
  const volume = createVolume({
    array: rescale(raw, slope, intercept), shape: [...fileShape].reverse(), affine, warnings,
    header: { ...header, shape: fileShape },
  });
  checkPlausibleSpacing(volume, name);
  return volume;
}

// Makes the bytes of a label map as uint8 NIfTI, with shape, affine, form codes and units of the
// image's header, bit for bit.
//   labels: Uint8Array (z, row, col) in the axis order of the file; image: volume as it was read.
export function encodeLabels(labels, image) {
  const header = image.header ?? newHeader(image);
  const start = header.bytes.slice();
  const view = new DataView(start.buffer);
  const little = header.littleEndian, isSecond = header.version === 2;
  const float = isSecond ? "setFloat64" : "setFloat32";
  const at = isSecond
    ? { type: 12, bits: 14, slope: 176, inter: 184, max: 192, min: 200, text: 240 }
    : { type: 70, bits: 72, slope: 112, inter: 116, max: 124, min: 128, text: 148 };
  view.setInt16(at.type, UINT8, little);
  view.setInt16(at.bits, 8, little);
  view[float](at.slope, 1, little);
  for (const offset of [at.inter, at.max, at.min]) view[float](offset, 0, little);
  start.fill(0, at.text, at.text + 80);
  start.set(new TextEncoder().encode(DESCRIPTION), at.text);
  writeShape(view, header);
  const extensions = encodeExtensions(header);
  const offset = start.length + extensions.length;
  if (isSecond) view.setBigInt64(168, BigInt(offset), little);
  else view.setFloat32(108, offset, little);
  const file = new Uint8Array(offset + labels.length);
  file.set(start);
  file.set(extensions, start.length);
  file.set(labels, offset);
  return file;
}

// Makes the bytes of an image as int16 or float32 NIfTI, for display.
export function encodeImage(image) {
  const header = newHeader(image), isSmall = image.array.BYTES_PER_ELEMENT <= 2;
  const view = new DataView(header.bytes.buffer);
  view.setInt16(70, isSmall ? 4 : 16, true);
  view.setInt16(72, isSmall ? 16 : 32, true);
  view.setFloat32(108, 352, true);
  view.setFloat32(112, 1, true);
  const file = new Uint8Array(352 + image.array.length * (isSmall ? 2 : 4));
  file.set(header.bytes);
  new (isSmall ? Int16Array : Float32Array)(file.buffer, 352).set(image.array);
  return file;
}

function hasSlope(header) {
  return header.scl_slope !== 0 && Number.isFinite(header.scl_slope);
}

function scalingOf(header) {
  return hasSlope(header) ? [header.scl_slope, header.scl_inter] : [1, 0];
}

function swapBytes(data, voxelBytes) {
  for (let start = 0; start < data.length; start += voxelBytes) {
    data.subarray(start, start + voxelBytes).reverse();
  }
}

// The shape differs from that of the file if one volume of a 4D file was read.
function writeShape(view, header) {
  if (header.shape.length === header.dim[0]) return;
  const write = (index, value) => (header.version === 2
    ? view.setBigInt64(16 + 8 * index, BigInt(value), header.littleEndian)
    : view.setInt16(40 + 2 * index, value, header.littleEndian));
  const writeSpacing = (index) => (header.version === 2
    ? view.setFloat64(104 + 8 * index, 1, header.littleEndian)
    : view.setFloat32(76 + 4 * index, 1, header.littleEndian));
  write(0, header.shape.length);
  for (let index = 1; index < 8; index++) {
    write(index, header.shape[index - 1] ?? 1);
    if (index > header.shape.length) writeSpacing(index);
  }
}

function encodeExtensions(header) {
  const sizes = header.extensions.map(({ content }) => 16 * Math.ceil((content.length + 8) / 16));
  const bytes = new Uint8Array(4 + sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  if (sizes.length) bytes[0] = 1;
  let place = 4;
  header.extensions.forEach(({ code, content }, index) => {
    view.setInt32(place, sizes[index], header.littleEndian);
    view.setInt32(place + 4, code, header.littleEndian);
    bytes.set(content, place + 8);
    place += sizes[index];
  });
  return bytes;
}

// A NIfTI-1 header for an image that has none (DICOM): sform and qform of its affine, in mm.
function newHeader(image) {
  const bytes = new Uint8Array(348);
  const view = new DataView(bytes.buffer);
  const shape = [...image.shape].reverse();
  const { quaternion, sizes, sign } = decompose(image.affine);
  view.setInt32(0, 348, true);
  bytes[38] = "r".charCodeAt(0);
  [3, ...shape, 1, 1, 1, 1].forEach((value, index) => view.setInt16(40 + 2 * index, value, true));
  [sign, ...sizes, 1, 1, 1, 1].forEach((value, index) => view.setFloat32(76 + 4 * index, value, true));
  bytes[123] = 2; // mm
  view.setInt16(252, 1, true);
  view.setInt16(254, 1, true);
  quaternion.forEach((value, index) => view.setFloat32(256 + 4 * index, value, true));
  [0, 1, 2].forEach((axis) => view.setFloat32(268 + 4 * axis, image.affine[axis][3], true));
  image.affine.slice(0, 3).flat().forEach((value, index) => {
    view.setFloat32(280 + 4 * index, value, true);
  });
  bytes.set(new TextEncoder().encode("n+1"), 344);
  return { bytes, version: 1, littleEndian: true, extensions: [], shape, dim: [3] };
}

// Spacing, sign of the slice axis and quaternion (b, c, d) of an affine with orthonormal axes.
function decompose(affine) {
  const sizes = [0, 1, 2].map((axis) => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]));
  const m = affine.slice(0, 3).map((row) => row.slice(0, 3).map((value, axis) => value / sizes[axis]));
  const determinant = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  const sign = determinant < 0 ? -1 : 1;
  for (const row of m) row[2] *= sign;
  return { sizes, sign, quaternion: quaternionOf(m).slice(1) };
}

// Quaternion (w, x, y, z) with w >= 0 of a rotation matrix: the largest component comes first from
// the diagonal, the others from sums and differences of pairs.
function quaternionOf(m) {
  const squares = [
    1 + m[0][0] + m[1][1] + m[2][2], 1 + m[0][0] - m[1][1] - m[2][2],
    1 - m[0][0] + m[1][1] - m[2][2], 1 - m[0][0] - m[1][1] + m[2][2],
  ];
  const largest = squares.indexOf(Math.max(...squares));
  const products = [ // four times the products of the components, row by row
    [squares[0], m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]],
    [m[2][1] - m[1][2], squares[1], m[0][1] + m[1][0], m[0][2] + m[2][0]],
    [m[0][2] - m[2][0], m[0][1] + m[1][0], squares[2], m[1][2] + m[2][1]],
    [m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], squares[3]],
  ][largest];
  const scale = 1 / (2 * Math.sqrt(squares[largest]));
  const quaternion = products.map((value) => value * scale);
  return quaternion[0] < 0 ? quaternion.map((value) => -value) : quaternion;
}
