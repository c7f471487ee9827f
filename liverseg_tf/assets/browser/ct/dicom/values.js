// Values of DICOM tags as text and numbers, checked (see ct/dicom/values.py).
import { LiverSegError } from "../../errors.js";
import { count, formatNumber } from "../../plural.js";
import { TAGS } from "./dictionary.js";
import { textOf } from "./file.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const READERS = {
  US: (view, at) => view.getUint16(at, true), SS: (view, at) => view.getInt16(at, true),
  UL: (view, at) => view.getUint32(at, true), SL: (view, at) => view.getInt32(at, true),
  FL: (view, at) => view.getFloat32(at, true), FD: (view, at) => view.getFloat64(at, true),
};
const SIZES = { US: 2, SS: 2, UL: 4, SL: 4, FL: 4, FD: 8 };
// kinds of the numbers that the readers use, for files that do not state them
const BINARY = { Rows: "US", Columns: "US", SamplesPerPixel: "US", BitsAllocated: "US", BitsStored: "US",
  HighBit: "US", PixelRepresentation: "US", PixelPaddingValue: "", PixelPaddingRangeLimit: "" };

export function readText(dataset, keyword) {
  return textOf(dataset, TAGS[keyword]);
}

// One line of text.
export function readLine(dataset, keyword) {
  return readText(dataset, keyword).split(/\s+/).join(" ");
}

export function readTexts(dataset, keyword) {
  const text = readText(dataset, keyword);
  return text ? text.split("\\").map((part) => part.trim()) : [];
}

export function isEmpty(dataset, keyword) {
  const element = dataset.get(TAGS[keyword]);
  return !element || (element.bytes ? readBytesLength(element, keyword) === 0 : element.items.length === 0);
}

function readBytesLength(element, keyword) {
  return keyword in BINARY ? element.bytes.length : textLength(element.bytes);
}

function textLength(bytes) {
  let end = bytes.length;
  while (end && (bytes[end - 1] === 0 || bytes[end - 1] === 32)) end--;
  return end;
}

// The integer of a tag. `signed` decides about values of which the file does not state it.
export function readInteger(dataset, keyword, file, signed = false) {
  const element = dataset.get(TAGS[keyword]);
  if (!element?.bytes?.length) {
    throw new LiverSegError(`Expected ${keyword} in ${file}. The tag is missing or empty.`);
  }
  const { bytes } = element, vr = element.vr || BINARY[keyword] || (signed ? "SS" : "US");
  if (vr in READERS && SIZES[vr] === bytes.length && !["FL", "FD"].includes(vr)) {
    return READERS[vr](new DataView(bytes.buffer, bytes.byteOffset), 0);
  }
  throw new LiverSegError(`Expected one integer as ${keyword} in ${file}. Received something else.`);
}

// A text of one integer (IS); `fallback` if the tag is missing or empty.
export function readIntegerText(dataset, keyword, file, fallback) {
  const text = readText(dataset, keyword);
  if (!text) return fallback;
  if (!/^[+-]?\d+$/.test(text)) {
    throw new LiverSegError(`Expected one integer as ${keyword} in ${file}. Received something else.`);
  }
  return Number(text);
}

// The decimal numbers of a data set's tag; an empty list if it is missing.
export function readNumbers(dataset, keyword, file) {
  const element = dataset?.get(TAGS[keyword]);
  if (!element?.bytes) return [];
  if (element.vr in READERS) {
    const view = new DataView(element.bytes.buffer, element.bytes.byteOffset);
    const size = SIZES[element.vr];
    return Array.from({ length: Math.floor(element.bytes.length / size) }, (_, index) =>
      READERS[element.vr](view, index * size));
  }
  return readTexts(dataset, keyword).map((text) => {
    if (!NUMBER.test(text)) {
      throw new LiverSegError(`Expected numbers as ${keyword} in ${file}. Received something else.`);
    }
    return Number(text);
  });
}

export function checkNumbers(numbers, keyword, length, file) {
  const expected = `Expected ${keyword} of ${count(length, "finite number")} in ${file}.`;
  if (!numbers.length) throw new LiverSegError(`${expected} The tag is missing or empty.`);
  if (numbers.length !== length || !numbers.every(Number.isFinite)) {
    throw new LiverSegError(`${expected} Received ${formatNumbers(numbers)}.`);
  }
  return numbers;
}

export function formatNumbers(numbers) {
  return numbers.map((number) => formatNumber(number)).join(", ");
}
