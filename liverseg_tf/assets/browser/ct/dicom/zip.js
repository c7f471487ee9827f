// Zip archives of DICOM files. Lengths, checksums and sizes are compared; encrypted archives, other
// methods than deflate and archives beyond 4 GB are refused.
import { LiverSegError } from "../../errors.js";

const END = 0x06054b50, ENTRY = 0x02014b50, LOCAL = 0x04034b50;
const MAX_INFLATED = 2 ** 31; // of one archive

// Lists the files of an archive, {path, size, load}, without directories.
export function openZip(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fail = (reason) => {
    throw new LiverSegError(`Expected a whole zip archive at ${name}. Received ${reason}.`);
  };
  const end = findEnd(view);
  if (end < 0) fail("an archive without its end");
  const entries = view.getUint16(end + 10, true);
  let place = view.getUint32(end + 16, true), total = 0;
  if (entries === 0xffff || place === 0xffffffff) fail("an archive of more than 4 GB or 65,534 files");
  const files = [];
  for (let i = 0; i < entries; i++) {
    if (place + 46 > bytes.length || view.getUint32(place, true) !== ENTRY) fail("a damaged table of files");
    const flags = view.getUint16(place + 8, true), method = view.getUint16(place + 10, true);
    const [checksum, packed, size] = [16, 20, 24].map((offset) => view.getUint32(place + offset, true));
    const lengths = [28, 30, 32].map((offset) => view.getUint16(place + offset, true));
    const at = view.getUint32(place + 42, true);
    const path = new TextDecoder().decode(bytes.subarray(place + 46, place + 46 + lengths[0]));
    place += 46 + lengths[0] + lengths[1] + lengths[2];
    if (path.endsWith("/") || path.startsWith("__MACOSX/")) continue;
    if (flags & 1) fail("an encrypted archive");
    if (![0, 8].includes(method)) fail("an archive that is not compressed with deflate");
    if ((total += size) > MAX_INFLATED) fail("an archive of more than 2 GB");
    const load = async () => extract({ bytes, view, at, packed, size, method, checksum, fail });
    files.push({ path, size, load });
  }
  return files;
}

function findEnd(view) {
  for (let place = view.byteLength - 22; place >= Math.max(0, view.byteLength - 65557); place--) {
    if (view.getUint32(place, true) === END) return place;
  }
  return -1;
}

function extract({ bytes, view, at, packed, size, method, checksum, fail }) {
  if (at + 30 > bytes.length || view.getUint32(at, true) !== LOCAL) fail("a damaged archive");
  const start = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
  if (start + packed > bytes.length) fail("a truncated archive");
  const data = bytes.subarray(start, start + packed);
  const content = method === 0 ? data : inflate(data, size, fail);
  if (content.length !== size || crc32(content) !== checksum) fail("a damaged archive");
  return content;
}

function inflate(data, size, fail) {
  const content = new Uint8Array(size);
  let length = 0;
  const inflater = new globalThis.pako.Inflate({ raw: true });
  inflater.onData = (chunk) => {
    if (length + chunk.length > size) fail("a damaged archive");
    content.set(chunk, length);
    length += chunk.length;
  };
  inflater.onEnd = () => {};
  inflater.push(data, false);
  if (inflater.err || !inflater.ended || length !== size) fail("a damaged archive");
  return content;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) value = TABLE[(value ^ bytes[i]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
