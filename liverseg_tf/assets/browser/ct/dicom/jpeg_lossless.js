// Lossless JPEG (ITU-T T.81, process 14): the difference of each pixel to a prediction from its
// neighbours, with Huffman codes. What a damaged file breaks is an error: a code that does not exist, a
// value with too many bits, and data that end too early or too late.
import { refuseImage } from "./codestream.js";

const SOF3 = 0xc3, DHT = 0xc4, EOI = 0xd9, SOS = 0xda, DRI = 0xdd, RST0 = 0xd0;

// Decodes an image that `checkCodestream` has accepted, to the bytes of its pixels, little endian.
export function decodeJpegLossless(codestream, slice) {
  const { frame, scan, tables, restart, data } = readMarkers(codestream, slice);
  const [rows, cols] = slice.shape, fail = (reason) => refuseImage(slice, reason);
  if (restart % cols) fail("an image that restarts within a row, which this page does not read");
  const rowsPerPart = restart ? restart / cols : rows;
  const table = tables.get(scan.table);
  if (!table) fail("an image without the table of its codes");
  const values = new Uint16Array(rows * cols);
  const parts = splitParts(data, Math.ceil(rows / rowsPerPart), fail);
  parts.forEach((part, index) => {
    const last = Math.min(rows, (index + 1) * rowsPerPart);
    decodeRows({ part, table, scan, bits: frame.bits, fail }, values, cols, index * rowsPerPart, last);
  });
  if (slice.pixels.allocated === 8) return Uint8Array.from(values);
  if (slice.pixels.allocated === 32) fail("an image of 16 bits for pixels of 32");
  return new Uint8Array(values.buffer);
}

// Reads the segments up to the compressed data, which end at the end of the image.
function readMarkers(bytes, slice) {
  const fail = (reason) => refuseImage(slice, reason);
  const tables = new Map();
  let place = 2, frame = null, restart = 0;
  for (;;) {
    while (bytes[place] === 0xff && bytes[place + 1] === 0xff) place++;
    const marker = bytes[place + 1];
    if (bytes[place] !== 0xff || place + 4 > bytes.length) fail("an image with a damaged header");
    const length = 256 * bytes[place + 2] + bytes[place + 3];
    const segment = bytes.subarray(place + 4, place + 2 + length);
    if (length < 2 || segment.length !== length - 2) fail("an image with a damaged header");
    place += 2 + length;
    if (marker === SOF3 && frame === null) frame = { bits: segment[0], component: segment[6] };
    else if (marker === DHT) readTables(segment, tables, fail);
    else if (marker === DRI) restart = 256 * segment[0] + segment[1];
    else if (marker === SOS) {
      const [count, component, table, predictor, end, shifts] = segment;
      const isValid = frame && segment.length === 6 && count === 1 && component === frame.component &&
        predictor >= 1 && predictor <= 7 && end === 0 && shifts < frame.bits && frame.bits >= 2 && frame.bits <= 16;
      if (!isValid) fail("an image that is no lossless JPEG of one scan");
      return { frame, tables, restart, scan: { table: table >> 4, predictor, shift: shifts & 15 }, data: bytes.subarray(place) };
    } else if (marker < 0xe0 && ![0xdb, 0xcc].includes(marker)) fail("an image with another kind of compression");
  }
}

// Makes a table from 16 bits of data to 256 x (length of the code) + its value; 0: no code.
function readTables(segment, tables, fail) {
  let place = 0;
  while (place < segment.length) {
    const counts = segment.subarray(place + 1, place + 17), total = counts.reduce((sum, count) => sum + count, 0);
    const symbols = segment.subarray(place + 17, place + 17 + total);
    if (counts.length !== 16 || symbols.length !== total || symbols.some((symbol) => symbol > 16)) {
      fail("an image with a damaged table of codes");
    }
    const lookup = new Uint16Array(65536);
    let code = 0, index = 0;
    for (let length = 1; length <= 16; length++) {
      for (let i = 0; i < counts[length - 1]; i++, code++, index++) {
        const start = code << (16 - length);
        if (start >= 65536) fail("an image with a damaged table of codes");
        lookup.fill(256 * length + symbols[index], start, (code + 1) << (16 - length));
      }
      code <<= 1;
    }
    tables.set(segment[place] & 15, lookup);
    place += 17 + total;
  }
}

// The data between the restart markers, without the zeros that follow each byte of 255.
function splitParts(data, count, fail) {
  const parts = [];
  let clean = new Uint8Array(data.length), size = 0;
  for (let place = 0; place < data.length; place++) {
    if (data[place] !== 0xff) {
      clean[size++] = data[place];
      continue;
    }
    let next = data[++place];
    while (next === 0xff) next = data[++place]; // filling before a marker
    if (next === 0) {
      clean[size++] = 0xff;
      continue;
    }
    parts.push(clean.subarray(0, size));
    if (next === EOI && parts.length === count) return parts;
    if (next !== RST0 + ((parts.length - 1) & 7) || parts.length === count) break;
    clean = new Uint8Array(data.length - place);
    size = 0;
  }
  return fail(`compressed data in ${parts.length} parts in place of ${count}`);
}

// Decodes the rows from `first` to `last`; the first one has no row above it.
function decodeRows({ part, table, scan, bits, fail }, values, cols, first, last) {
  const { predictor, shift } = scan, highest = 2 ** (bits - shift) - 1;
  const available = 8 * part.length;
  let at = 0; // place in the part, in bits
  const peek = () => { // the next 16 bits; those after the end are 1
    const byte = at >> 3;
    const word = ((part[byte] ?? 255) << 16) | ((part[byte + 1] ?? 255) << 8) | (part[byte + 2] ?? 255);
    return (word >> (8 - (at & 7))) & 0xffff;
  };
  const readDifference = () => {
    const entry = table[peek()];
    if (entry === 0) fail("a code that does not exist");
    at += entry >> 8;
    const length = entry & 255;
    if (length === 0) return 0;
    if (length === 16) return 32768; // without further bits
    const extra = peek() >> (16 - length);
    at += length;
    return extra >> (length - 1) ? extra : extra - (1 << length) + 1;
  };
  for (let row = first; row < last; row++) {
    for (let col = 0; col < cols; col++) {
      const i = row * cols + col;
      let prediction;
      if (row === first) prediction = col === 0 ? 2 ** (bits - shift - 1) : values[i - 1];
      else if (col === 0) prediction = values[i - cols];
      else prediction = predict(predictor, values[i - 1], values[i - cols], values[i - cols - 1]);
      const value = (prediction + readDifference()) & 0xffff;
      if (value > highest) fail(`a value of more than ${bits} bits`);
      values[i] = value;
    }
    if (at > available) fail("compressed data that end too early");
  }
  const rest = part.subarray((at + 7) >> 3);
  if (rest.length > 2 || rest.some((byte) => byte !== 0 && byte !== 255)) fail("more compressed data than pixels");
  if (shift) for (let i = first * cols; i < last * cols; i++) values[i] <<= shift;
}

// The prediction from the left, the upper and the upper left neighbour.
function predict(predictor, left, upper, corner) {
  switch (predictor) {
    case 1: return left;
    case 2: return upper;
    case 3: return corner;
    case 4: return left + upper - corner;
    case 5: return left + ((upper - corner) >> 1);
    case 6: return upper + ((left - corner) >> 1);
    default: return (left + upper) >> 1;
  }
}
