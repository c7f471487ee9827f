// Run-length encoding of DICOM (PS3.5, annex G): one segment for each byte of a pixel, the highest first.
import { refuseImage } from "./codestream.js";

// Decodes an image that `checkCodestream` has accepted, to the bytes of its pixels, little endian.
export function decodeRle(codestream, slice) {
  const [rows, cols] = slice.shape, size = rows * cols, segments = slice.pixels.allocated / 8;
  const view = new DataView(codestream.buffer, codestream.byteOffset, 64);
  const pixels = new Uint8Array(size * segments);
  for (let segment = 0; segment < segments; segment++) {
    const start = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : codestream.length;
    const plane = decodeSegment(codestream.subarray(start, end), size, slice);
    const low = segments - 1 - segment;
    for (let i = 0; i < size; i++) pixels[i * segments + low] = plane[i];
  }
  return pixels;
}

function decodeSegment(segment, size, slice) {
  const plane = new Uint8Array(size);
  let from = 0, to = 0;
  while (to < size) {
    if (from >= segment.length) refuseImage(slice, "runs that end too early");
    const code = segment[from++];
    if (code === 128) continue;
    const length = code < 128 ? code + 1 : 257 - code;
    if (to + length > size || from + (code < 128 ? length : 1) > segment.length) {
      refuseImage(slice, "runs of another length");
    }
    if (code < 128) plane.set(segment.subarray(from, from + length), to);
    else plane.fill(segment[from], to, to + length);
    from += code < 128 ? length : 1;
    to += length;
  }
  // a segment is filled to an even length
  if (segment.subarray(from).some((byte) => byte !== 0 && byte !== 128)) refuseImage(slice, "more runs than pixels");
  return plane;
}
