// Reading and checking of NIfTI headers, before any voxel is read (see ct/nifti_header.py).
import { LiverSegError } from "../errors.js";
import { formatNumber, formatShape } from "../plural.js";

const MAX_OFFSET = 2 ** 28; // of the voxels: extensions of 256 MB
// code: [type, bytes of a voxel]; colours and complex numbers are known and refused
const DATA_TYPES = {
  2: ["uint8", 1], 4: ["int16", 2], 8: ["int32", 4], 16: ["float32", 4], 64: ["float64", 8],
  256: ["int8", 1], 512: ["uint16", 2], 768: ["uint32", 4], 1024: ["int64", 8], 1280: ["uint64", 8],
};
const OTHER_TYPES = new Set([0, 1, 32, 128, 255, 1536, 1792, 2048, 2304]);

// [field, offset in NIfTI-1, type in NIfTI-1, offset in NIfTI-2, type in NIfTI-2, count]
const FIELDS = [
  ["datatype", 70, "Int16", 12, "Int16", 1], ["bitpix", 72, "Int16", 14, "Int16", 1],
  ["dim", 40, "Int16", 16, "BigInt64", 8], ["pixdim", 76, "Float32", 104, "Float64", 8],
  ["vox_offset", 108, "Float32", 168, "BigInt64", 1],
  ["scl_slope", 112, "Float32", 176, "Float64", 1], ["scl_inter", 116, "Float32", 184, "Float64", 1],
  ["xyzt_units", 123, "Uint8", 500, "Int32", 1],
  ["qform_code", 252, "Int16", 344, "Int32", 1], ["sform_code", 254, "Int16", 348, "Int32", 1],
  ["quatern", 256, "Float32", 352, "Float64", 3], ["qoffset", 268, "Float32", 376, "Float64", 3],
  ["srow", 280, "Float32", 400, "Float64", 12],
];
const BYTES = { Uint8: 1, Int16: 2, Int32: 4, Float32: 4, Float64: 8, BigInt64: 8 };

// Reads the header; the reader then stands at the first voxel. Returns its fields, its bytes, the
// version (1 or 2), the byte order and the extensions.
export function readHeader(reader, name) {
  let start = new Uint8Array(544);
  start = start.subarray(0, reader.readInto(start));
  const version = versionOf(start);
  const size = version === 2 ? 540 : 348;
  if (version === 0 || start.length < size) {
    throw new LiverSegError(`Expected a NIfTI file at ${name}. Received ${describe(start, name)}.`);
  }
  const header = parse(start.slice(0, size), version);
  const reason = findReasonAgainst(header);
  if (reason !== null) {
    throw new LiverSegError(`Expected a valid NIfTI header in ${name}. Received: ${reason}.`);
  }
  reader.unread(start.subarray(size));
  const beforeVoxels = new Uint8Array(header.voxOffset - size);
  const found = reader.readInto(beforeVoxels);
  header.extensions = readExtensions(beforeVoxels.subarray(0, found), header, name);
  return header;
}

function versionOf(start) {
  const text = (from, to) => String.fromCharCode(...start.subarray(from, to));
  const magic1 = text(344, 348);
  if (start.length >= 348 && ["ni1\0", "n+1\0"].includes(magic1)) return 1;
  if (start.length < 540) return 0;
  const view = new DataView(start.buffer, start.byteOffset);
  return [view.getInt32(0, true), view.getInt32(0, false)].includes(540) ? 2 : 0;
}

function parse(bytes, version) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = version === 2 ? 540 : 348;
  const dim0 = version === 2 ? view.getBigInt64(16, true) : BigInt(view.getInt16(40, true));
  // as nibabel guesses the byte order
  const little = dim0 === 0n ? view.getInt32(0, false) !== size : dim0 >= 1n && dim0 <= 7n;
  const header = { bytes, version, littleEndian: little, extensions: [] };
  for (const [field, offset1, type1, offset2, type2, length] of FIELDS) {
    const [offset, type] = version === 2 ? [offset2, type2] : [offset1, type1];
    const values = Array.from({ length }, (_, index) =>
      Number(view[`get${type}`](offset + index * BYTES[type], little)));
    header[field] = length === 1 ? values[0] : values;
  }
  const [from, to] = version === 2 ? [4, 12] : [344, 348];
  header.magic = String.fromCharCode(...bytes.subarray(from, to)).replace(/\0+$/, "");
  header.eolCheck = version === 2 ? Array.from(bytes.subarray(8, 12)) : null;
  if (version === 2) header.magic = header.magic.slice(0, 4).replace(/\0+$/, "");
  header.voxOffset = header.vox_offset;
  header.shape = header.dim.slice(1, Math.max(0, Math.min(7, header.dim[0])) + 1);
  header.dataType = DATA_TYPES[header.datatype] ?? null;
  return header;
}

function findReasonAgainst(header) {
  const isPair = header.magic.startsWith("ni");
  if (isPair) {
    return "the header of a pair of .hdr and .img, which is not read: convert it to one .nii file";
  }
  if (header.magic !== (header.version === 2 ? "n+2" : "n+1")) return "an unknown format";
  if (header.eolCheck && !["0,0,0,0", "13,10,26,10"].includes(header.eolCheck.join())) {
    return "a file in which a transfer as text has changed line ends";
  }
  if (!(header.dim[0] >= 0 && header.dim[0] <= 7)) return `${header.dim[0]} dimensions`;
  for (const name of ["sform_code", "qform_code"]) {
    if (!(header[name] >= 0 && header[name] <= 5)) return `the unknown ${name} ${header[name]}`;
  }
  const lowest = header.version === 2 ? 544 : 352;
  if (!(header.voxOffset >= lowest && header.voxOffset <= MAX_OFFSET) || header.voxOffset % 1) {
    return `voxels at byte ${formatNumber(header.voxOffset)}, which is not possible`;
  }
  if (Math.abs(header.scl_slope) === Infinity) return "an infinite scl_slope";
  if (header.qform_code > 0 && ![-1, 0, 1].includes(header.pixdim[0])) {
    return `pixdim[0] of ${formatNumber(header.pixdim[0])} instead of 1 or -1`;
  }
  if (header.dataType === null && !OTHER_TYPES.has(header.datatype)) {
    return `unknown data type ${header.datatype}`;
  }
  const expected = header.dataType === null ? 0 : 8 * header.dataType[1];
  if (expected && header.bitpix !== 0 && header.bitpix !== expected) {
    return `${header.bitpix} bits per voxel for a data type of ${expected} bits`;
  }
  const slope = header.scl_slope;
  if (slope !== 0 && Number.isFinite(slope) && !Number.isFinite(header.scl_inter)) {
    return "a scl_inter that is not a number";
  }
  if (header.shape[0] === -1) return "a shape with a negative length";
  if (header.shape.slice(0, 3).join() === "27307,1,6") return "a surface of FreeSurfer";
  return null;
}

// Reads the extensions between header and voxels: [{code, content}], without trailing zeros.
function readExtensions(bytes, header, name) {
  const extensions = [];
  if (bytes.length < 4 || bytes[0] === 0) return extensions;
  const fail = (part) => {
    throw new LiverSegError(`Expected a valid NIfTI header in ${name}. Received: an extension ` +
      `without its whole ${part}.`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let place = 4;
  let left = header.voxOffset - header.bytes.length - 4;
  while (left >= 16) {
    if (place + 8 > bytes.length) fail("header");
    const size = view.getInt32(place, header.littleEndian);
    const code = view.getInt32(place + 4, header.littleEndian);
    if (size < 8 || place + size > bytes.length) fail("content");
    let end = place + size;
    while (end > place + 8 && bytes[end - 1] === 0) end--;
    extensions.push({ code, content: bytes.slice(place + 8, end) });
    place += size;
    left -= size;
  }
  return extensions;
}

// Chooses one volume of a 4D file: returns its shape and its index.
export function chooseChannel(header, channel, name) {
  let shape = header.shape;
  if (shape.length > 4 && shape.slice(4).every((length) => length === 1)) shape = shape.slice(0, 4);
  const plain = ![3, 4].includes(shape.length) || Math.min(...shape) < 1;
  if (plain || (channel === null && (shape[3] ?? 1) !== 1)) return [header.shape, 0];
  const index = channel ?? 0, volumes = shape.length === 4 ? shape[3] : 1;
  if (!(index >= 0 && index < volumes)) {
    throw new LiverSegError(
      `Expected a channel from 0 to ${volumes - 1} of ${name}. Received ${index}.`);
  }
  return [shape.slice(0, 3), index];
}

export function checkScalarImage(shape, header, name) {
  if (shape.length !== 3 || Math.min(...shape) < 1) {
    let hint = "";
    if (shape.length === 4 && shape[2] === 1) {
      hint = " (are its slices along the fourth axis? Remove the third axis, which has one)";
    } else if (shape.length > 3 && Math.min(...shape) > 0) {
      hint = " (save one of its volumes as a 3D file)";
    }
    throw new LiverSegError(
      `Expected a 3D image in ${name}. Received the shape ${formatShape(shape)}${hint}.`);
  }
  if (header.dataType === null) {
    throw new LiverSegError(`Expected integers or floats in ${name}. Received the data type ` +
      `${header.datatype} (a colour or complex image).`);
  }
}

function describe(start, name) {
  if (!start.length) return "an empty file";
  if (start[0] === 0x1f && start[1] === 0x8b) {
    return name.toLowerCase().endsWith(".nii")
      ? "a compressed file: rename it to .nii.gz"
      : "a compressed file of another format: convert it to NIfTI";
  }
  if (["92,1,0,0", "0,0,1,92"].includes(start.slice(0, 4).join())) { // 348, the size of the header
    return "another file (an Analyze header, or a damaged one): convert it to NIfTI";
  }
  return "another file (no NIfTI header)";
}
