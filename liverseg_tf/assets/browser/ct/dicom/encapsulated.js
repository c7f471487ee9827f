// Compressed frames inside the pixel element of a DICOM file: items, of which one or more make a frame
// (PS3.5, A.4; pydicom.encaps in Python).
import { LiverSegError } from "../../errors.js";

const ITEM = 0xe000fffe, END = 0xe0ddfffe; // as little-endian numbers of 32 bits
const OFFSETS = "7fe00001", LENGTHS = "7fe00002"; // the extended offset table
const LONGEST_FILLING = 10; // after the end of an image, within its item

// Splits the pixels into one compressed image per frame.
//   bytes: of the file; start: place of the value of the pixel element; dataset: the header
export function splitFrames({ bytes, pixels, dataset }, frames, name) {
  const fail = (reason) => {
    throw new LiverSegError(`Expected complete pixel data in ${name}. Received ${reason}: copy the file again.`);
  };
  const [table, ...fragments] = readItems(bytes, pixels.start, fail);
  if (table === undefined || table.length % 4) fail("compressed pixels without a valid table of offsets");
  if (!fragments.length) fail("compressed pixels without an image");
  let groups;
  if (dataset.has(OFFSETS) && dataset.has(LENGTHS)) groups = byExtendedOffsets(fragments, dataset, fail);
  else if (table.length) groups = byOffsets(fragments, offsetsOf(table), fail);
  else if (frames === 1) groups = [fragments];
  else if (fragments.length === frames) groups = fragments.map((fragment) => [fragment]);
  else groups = byEnds(fragments);
  if (groups.length !== frames) {
    throw new LiverSegError(`Expected ${frames} frames of pixel data in ${name}. Received ${groups.length}.`);
  }
  return groups.map((group) => (group.length === 1 ? group[0] : join(group)));
}

function readItems(bytes, start, fail) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const items = [];
  for (let place = start; place < bytes.length;) {
    if (place + 8 > bytes.length) fail("compressed pixels that are cut off");
    const tag = view.getUint32(place, true), length = view.getUint32(place + 4, true);
    if (tag === END) return items;
    if (tag !== ITEM) fail("compressed pixels with something else between their items");
    if (place + 8 + length > bytes.length) fail("compressed pixels that are cut off");
    const item = bytes.subarray(place + 8, place + 8 + length);
    item.place = items.length ? place : null; // for the tables, which count from the first fragment
    items.push(item);
    place += 8 + length;
  }
  return items;
}

function offsetsOf(table) {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  return Array.from({ length: table.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}

// Each frame begins at the fragment to which its offset leads.
function byOffsets(fragments, offsets, fail) {
  const starts = offsets.map((offset) =>
    fragments.findIndex(({ place }) => place - fragments[0].place === offset));
  if (starts[0] !== 0 || starts.some((start, index) => index > 0 && start <= starts[index - 1])) {
    fail("a table of offsets that leads to no images");
  }
  return starts.map((start, index) => fragments.slice(start, starts[index + 1]));
}

function byExtendedOffsets(fragments, dataset, fail) {
  const [offsets, lengths] = [OFFSETS, LENGTHS].map((tag) => {
    const { bytes } = dataset.get(tag);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Array.from({ length: Math.floor(bytes.length / 8) }, (_, index) => Number(view.getBigUint64(8 * index, true)));
  });
  return offsets.map((offset, index) => {
    const found = fragments.find(({ place }) => place - fragments[0].place === offset);
    if (!found || !(lengths[index] <= found.length)) fail("a table of offsets that leads to no images");
    return [found.subarray(0, lengths[index])];
  });
}

// Without a table, an image ends with the item that holds its end marker.
function byEnds(fragments) {
  const groups = [[]];
  for (const fragment of fragments) {
    groups[groups.length - 1].push(fragment);
    const last = fragment.subarray(-LONGEST_FILLING);
    if (last.some((byte, index) => byte === 0xff && last[index + 1] === 0xd9)) groups.push([]);
  }
  return groups.filter((group) => group.length);
}

function join(fragments) {
  const bytes = new Uint8Array(fragments.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const fragment of fragments) {
    bytes.set(fragment, place);
    place += fragment.length;
  }
  return bytes;
}
