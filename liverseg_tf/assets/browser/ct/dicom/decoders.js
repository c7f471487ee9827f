// The encodings of pixels that this page reads, by transfer syntax. JPEG-LS and JPEG 2000 are decoded by
// CharLS and OpenJPEG: `CharLSWASM` and `OpenJPEGWASM` are globals of the vendored scripts.
import { checkCodestream, JPEG_2000, JPEG_LOSSLESS, JPEG_LS, refuseImage, RLE } from "./codestream.js";
import { decodeJpegLossless } from "./jpeg_lossless.js";
import { meaningfulBits, storedValues } from "./padding.js";
import { decodeRle } from "./rle.js";

const UNCOMPRESSED = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"]);
const binaries = new Map(), modules = new Map();
let messages = []; // of the decoder that is at work

// Gives the wasm modules. `loaders`: name of the global to an async function that returns the bytes.
export function provideDecoders(loaders) {
  for (const [name, load] of Object.entries(loaders)) binaries.set(name, load);
}

export function isRead(syntax) {
  return !isCompressed(syntax) || syntax === RLE || [JPEG_LOSSLESS, JPEG_LS, JPEG_2000].some((set) => set.has(syntax));
}

export function isCompressed(syntax) {
  return !UNCOMPRESSED.has(syntax);
}

// Decodes one frame to the bytes of its pixels, little endian. Only RLE keeps the bits above BitsStored,
// as the decoders in Python do.
export async function decodeFrame(codestream, slice) {
  checkCodestream(codestream, slice);
  if (slice.syntax === RLE) return decodeRle(codestream, slice);
  const bytes = await decodeJpeg(codestream, slice);
  return new Uint8Array(meaningfulBits(storedValues(bytes, slice), slice).buffer);
}

async function decodeJpeg(codestream, slice) {
  if (JPEG_LOSSLESS.has(slice.syntax)) return decodeJpegLossless(codestream, slice);
  return JPEG_LS.has(slice.syntax)
    ? decodeByWasm("CharLSWASM", "JpegLSDecoder", codestream, slice)
    : decodeByWasm("OpenJPEGWASM", "J2KDecoder", codestream, slice);
}

async function decodeByWasm(library, kind, codestream, slice) {
  const module = await moduleOf(library);
  const decoder = new module[kind]();
  messages = [];
  try {
    decoder.getEncodedBuffer(codestream.length).set(codestream);
    decoder.decode();
    const info = decoder.getFrameInfo(), decoded = decoder.getDecodedBuffer();
    // the libraries only print that an image is damaged
    if (messages.length) refuseImage(slice, "a damaged compressed image");
    return toStored(decoded, info, slice);
  } catch (error) {
    if (error instanceof RangeError || error?.name === "LiverSegError") throw error;
    return refuseImage(slice, "a damaged compressed image");
  } finally {
    decoder.delete();
  }
}

async function moduleOf(library) {
  if (!modules.has(library)) {
    const note = (text) => { if (!text.startsWith("[INFO]")) messages.push(text); };
    const wasmBinary = await binaries.get(library)();
    modules.set(library, await globalThis[library]({ wasmBinary, print: note, printErr: note }));
  }
  return modules.get(library);
}

// The values in the size that the header states, with the sign of their number of bits.
function toStored(decoded, { width, height, bitsPerSample: bits, componentCount }, slice) {
  const [rows, cols] = slice.shape, size = rows * cols, { allocated, signed } = slice.pixels;
  const isWhole = height === rows && width === cols && componentCount === 1 && decoded.length === size * (bits > 8 ? 2 : 1);
  if (!isWhole || bits > 16) refuseImage(slice, "an image of another size");
  const bytes = Uint8Array.from(decoded);
  const samples = bits > 8 ? new Uint16Array(bytes.buffer) : bytes;
  const values = new { 8: Uint8Array, 16: Uint16Array, 32: Int32Array }[allocated](size);
  for (let i = 0; i < size; i++) {
    const value = samples[i] & (2 ** bits - 1);
    values[i] = signed && value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
  }
  return new Uint8Array(values.buffer);
}
