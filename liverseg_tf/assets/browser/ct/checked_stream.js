// Compressed files, read to their end with checked lengths and checksums
// (see ct/checked_stream.py). `pako` is the global of vendor/pako_inflate.min.js.
import { LiverSegError } from "../errors.js";
import { count, formatShape } from "../plural.js";

const CHUNK_BYTES = 1 << 20;
const TRAILING = "other bytes after the end of the compressed data: remove them";

export function isCompressed(name) {
  return name.toLowerCase().endsWith(".gz");
}

// Inflates a gzip file of one or more members and hands out its content in order.
export class GzipReader {
  constructor(bytes, name) {
    this.name = name;
    this._bytes = bytes;
    this._place = 0;
    this._chunks = [];
    this._ended = false;
    this._inflater = null;
  }

  // Reads up to `size` bytes into an array; returns how many there were.
  readInto(target) {
    let filled = 0;
    while (filled < target.length) {
      const chunk = this._next();
      if (chunk === null) break;
      const part = chunk.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
      if (part.length < chunk.length) this._chunks.unshift(chunk.subarray(part.length));
    }
    return filled;
  }

  // Skips up to `size` bytes; returns how many there were.
  skip(size) {
    let skipped = 0;
    while (skipped < size) {
      const chunk = this._next();
      if (chunk === null) break;
      const part = Math.min(chunk.length, size - skipped);
      skipped += part;
      if (part < chunk.length) this._chunks.unshift(chunk.subarray(part));
    }
    return skipped;
  }

  // Puts bytes back that were read last.
  unread(bytes) {
    if (bytes.length) this._chunks.unshift(bytes);
  }

  _next() {
    while (!this._chunks.length && !this._ended) this._inflateMore();
    return this._chunks.shift() ?? null;
  }

  _inflateMore() {
    if (this._inflater === null) return this._openMember();
    if (this._place >= this._bytes.length) this._fail("a truncated file");
    const input = this._bytes.subarray(this._place, this._place + CHUNK_BYTES);
    const inflater = this._inflater;
    inflater.push(input, false);
    if (inflater.err) this._fail("damaged compressed data");
    this._place += input.length - (inflater.ended ? inflater.strm.avail_in : 0);
    if (inflater.ended) this._inflater = null;
  }

  // Starts the next member of the file. Zeros after the last one are padding.
  _openMember() {
    const bytes = this._bytes;
    const first = this._place === 0;
    if (!first) while (this._place < bytes.length && bytes[this._place] === 0) this._place++;
    if (this._place >= bytes.length && !first) {
      this._ended = true;
      return;
    }
    if (bytes[this._place] !== 0x1f || bytes[this._place + 1] !== 0x8b) {
      this._fail(first ? "a file that is not compressed with gzip" : TRAILING);
    }
    // one member at a time: its length and its checksum are compared at its end
    const inflater = new globalThis.pako.Inflate({ windowBits: 31, chunkSize: CHUNK_BYTES });
    inflater.onData = (chunk) => this._chunks.push(chunk);
    inflater.onEnd = () => {};
    this._inflater = inflater;
  }

  _fail(reason) {
    throw new LiverSegError(`Expected a whole NIfTI file at ${this.name}. Received ${reason}.`);
  }
}

// Hands out the bytes of a file that is not compressed, with the interface of `GzipReader`.
export class BytesReader {
  constructor(bytes) {
    this._bytes = bytes;
    this._place = 0;
  }

  readInto(target) {
    const part = this._bytes.subarray(this._place, this._place + target.length);
    target.set(part);
    this._place += part.length;
    return part.length;
  }

  skip(size) {
    const skipped = Math.min(size, this._bytes.length - this._place);
    this._place += skipped;
    return skipped;
  }

  unread(bytes) {
    this._place -= bytes.length;
  }
}

// Judges the bytes after the last voxel: returns warnings, or refuses a header of another file.
export function checkSurplus(reader, shape, size, name) {
  const limit = Math.floor(size / Math.max(...shape));
  const surplus = reader.skip(limit);
  if (surplus >= limit) {
    throw new LiverSegError(`Expected the voxels of the shape ${formatShape(shape)} in ${name}. ` +
      `Received at least ${limit} bytes more: the header does not describe the file.`);
  }
  return surplus ? [`${count(surplus, "byte")} after the last voxel ignored`] : [];
}
