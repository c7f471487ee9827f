// DICOM files: their header as a tree of elements, and the place of the pixels (see
// ct/dicom/file.py). A data set is a Map from tags ("00280010") to {vr, bytes} or {vr: "SQ", items}.
// What is damaged is refused: a length that leads out of the file or of its sequence.
import { LiverSegError } from "../../errors.js";

const UNDEFINED = 0xffffffff;
const PIXEL_TAGS = new Set(["7fe00008", "7fe00009", "7fe00010"]);
const LONG_VRS = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const SHORT_VRS = new Set(["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN",
  "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"]);
const ITEM = "fffee000", ITEM_END = "fffee00d", SEQUENCE_END = "fffee0dd";
const DEEPEST = 16;
const DEFLATED = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN = "1.2.840.10008.1.2.2";
const MAX_INFLATED = 2 ** 28;
const MAX_AFTER_PIXELS = 2 ** 24;

// A file that is whole, and that this page does not read.
export class UnreadError extends LiverSegError {}

// Reads a file up to its pixels. Returns {dataset, meta, bytes, pixels}: `bytes` are those of the
// data set, inflated if necessary, and `pixels` is {tag, vr, length (null: undefined), start} or null.
export function parseDicom(bytes) {
  const marked = bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";
  const source = new Source(bytes, marked ? 132 : 0);
  const meta = new Map();
  while (source.left >= 8 && source.peekTag().startsWith("0002")) {
    const [tag, element] = source.readElement(true, 0);
    meta.set(tag, element);
  }
  const syntax = textOf(meta, "00020010");
  if (syntax === BIG_ENDIAN) throw new UnreadError("big-endian data, which this page does not read");
  const content = syntax === DEFLATED ? new Source(inflate(bytes.subarray(source.place)), 0) : source;
  const { pixels, ...parsed } = readDataset(content);
  if (syntax === DEFLATED && pixels?.length != null &&
      content.bytes.length > pixels.start + pixels.length + MAX_AFTER_PIXELS) {
    fail("deflated data that are far longer than the pixels");
  }
  return { meta, bytes: content.bytes, pixels, ...parsed };
}

export function textOf(dataset, tag) {
  const bytes = dataset.get(tag)?.bytes;
  if (!bytes) return "";
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text.replace(/[\0 ]+$/, "").trim();
}

function readDataset(source) {
  // what the first element looks like counts, since the file meta may be wrong about it
  const explicit = source.looksExplicit();
  const dataset = new Map();
  while (source.left > 0) {
    if (source.left < 8) fail("an element without its length");
    const tag = source.peekTag();
    if (PIXEL_TAGS.has(tag)) return { dataset, explicit, pixels: source.readPixelHeader() };
    const [, element] = source.readElement(explicit, 0);
    dataset.set(tag, element);
  }
  return { dataset, explicit, pixels: null };
}

class Source {
  constructor(bytes, place) {
    Object.assign(this, { bytes, place, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) });
  }

  get left() {
    return this.bytes.length - this.place;
  }

  peekTag(at = this.place) {
    const hex = (offset) => this.view.getUint16(offset, true).toString(16).padStart(4, "0");
    return hex(at) + hex(at + 2);
  }

  vrAt(at) {
    return String.fromCharCode(this.bytes[at], this.bytes[at + 1]);
  }

  looksExplicit() {
    if (this.left < 8) return false;
    const vr = this.vrAt(this.place + 4);
    return LONG_VRS.has(vr) || SHORT_VRS.has(vr);
  }

  need(size) {
    if (size > this.left) fail("an element that is longer than the file");
  }

  // Reads tag, value representation and length; the source then stands at the value.
  readElementHeader(explicit) {
    this.need(8);
    const tag = this.peekTag();
    if (!explicit || tag.startsWith("fffe")) {
      const length = this.view.getUint32(this.place + 4, true);
      this.place += 8;
      return { tag, vr: "", length };
    }
    const vr = this.vrAt(this.place + 4);
    if (SHORT_VRS.has(vr)) {
      const length = this.view.getUint16(this.place + 6, true);
      this.place += 8;
      return { tag, vr, length };
    }
    if (!LONG_VRS.has(vr)) fail(`an element (${tag}) of an unknown kind`);
    this.need(12);
    const length = this.view.getUint32(this.place + 8, true);
    this.place += 12;
    return { tag, vr, length };
  }

  readElement(explicit, depth) {
    const { tag, vr, length } = this.readElementHeader(explicit);
    if (tag.startsWith("fffe")) fail("an item outside of a sequence");
    if (vr === "SQ" || length === UNDEFINED) {
      // an unknown value of undefined length is a sequence in implicit form
      return [tag, { vr: "SQ", items: this.readItems(explicit && vr !== "UN", length, depth + 1) }];
    }
    this.need(length);
    const value = this.bytes.slice(this.place, this.place + length);
    // in implicit form, only the content tells a sequence from a value
    const isSequence = vr === "" && length >= 8 && this.peekTag() === ITEM && isInnerSequence(tag);
    if (isSequence) return [tag, { vr: "SQ", items: this.readItems(false, length, depth + 1) }];
    this.place += length;
    return [tag, { vr, bytes: value }];
  }

  readItems(explicit, length, depth) {
    if (depth > DEEPEST) fail("sequences inside of sequences without end");
    const end = length === UNDEFINED ? this.bytes.length : this.place + length;
    if (end > this.bytes.length) fail("a sequence that is longer than the file");
    const items = [];
    while (this.place < end) {
      const { tag, length: size } = this.readElementHeader(false);
      if (tag === SEQUENCE_END && length === UNDEFINED) return items;
      if (tag !== ITEM) fail("a sequence without items");
      items.push(this.readItem(explicit, size, depth));
    }
    if (length === UNDEFINED || this.place !== end) fail("a sequence without its end");
    return items;
  }

  readItem(explicit, size, depth) {
    const dataset = new Map();
    const end = size === UNDEFINED ? this.bytes.length : this.place + size;
    if (end > this.bytes.length) fail("an item that is longer than the file");
    while (this.place < end) {
      if (size === UNDEFINED && this.left >= 8 && this.peekTag() === ITEM_END) {
        this.place += 8;
        return dataset;
      }
      const [tag, element] = this.readElement(explicit, depth);
      dataset.set(tag, element);
    }
    if (size === UNDEFINED || this.place !== end) fail("an item without its end");
    return dataset;
  }

  // The element is read as it is stored: no implicit length ends in the letters of a kind.
  readPixelHeader() {
    const tag = this.peekTag(), vr = this.vrAt(this.place + 4);
    const explicit = ["OB", "OW", "OF", "OD", "UN"].includes(vr);
    if (explicit && this.left < 12) return null;
    const length = this.view.getUint32(this.place + (explicit ? 8 : 4), true);
    const start = this.place + (explicit ? 12 : 8);
    return { tag, vr: explicit ? vr : "", length: length === UNDEFINED ? null : length, start };
  }
}

// Whether an element in implicit form is one of the sequences that the readers use.
const SEQUENCES = new Set(["00283000", "00209113", "00209116", "00289110", "00289145", "52009229", "52009230"]);
function isInnerSequence(tag) {
  return SEQUENCES.has(tag);
}

function inflate(bytes) {
  const inflater = new globalThis.pako.Inflate({ raw: true });
  const chunks = [];
  let size = 0;
  inflater.onData = (chunk) => {
    size += chunk.length;
    if (size > MAX_INFLATED) fail("deflated data of more than 256 MB");
    chunks.push(chunk);
  };
  inflater.onEnd = () => {};
  inflater.push(bytes, false);
  if (inflater.err || !inflater.ended) fail("deflated data that are truncated or damaged");
  const content = new Uint8Array(size);
  let place = 0;
  for (const chunk of chunks) {
    content.set(chunk, place);
    place += chunk.length;
  }
  return content;
}

function fail(reason) {
  throw new LiverSegError(`Received ${reason}.`);
}
