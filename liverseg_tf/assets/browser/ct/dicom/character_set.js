// Texts of DICOM files in the character set that their header states (PS3.3, C.12.1.1.2).
import { LiverSegError } from "../../errors.js";
import { textOf } from "./file.js";

const CHARACTER_SET = "00080005";
// what a browser calls the sets that a header can name
const SETS = new Map([["", "latin1"], ["ISO_IR 6", "latin1"], ["ISO_IR 100", "latin1"], ["ISO_IR 101", "iso-8859-2"],
  ["ISO_IR 109", "iso-8859-3"], ["ISO_IR 110", "iso-8859-4"], ["ISO_IR 144", "iso-8859-5"],
  ["ISO_IR 127", "iso-8859-6"], ["ISO_IR 126", "iso-8859-7"], ["ISO_IR 138", "iso-8859-8"],
  ["ISO_IR 148", "iso-8859-9"], ["ISO_IR 203", "iso-8859-15"], ["ISO_IR 166", "tis-620"],
  ["ISO_IR 13", "shift_jis"], ["ISO_IR 192", "utf-8"], ["GB18030", "gb18030"], ["GBK", "gbk"],
  // these begin with ASCII and change to the set by an escape sequence
  ["ISO_IR 87", "latin1"], ["ISO_IR 159", "latin1"], ["ISO_IR 149", "euc-kr"], ["ISO_IR 58", "gb18030"]]);
// the sets of the escape sequences of ISO 2022; "jis": two bytes of seven bits
const ESCAPES = new Map([["(B", "latin1"], ["(J", "shift_jis"], [")I", "shift_jis"], ["-A", "latin1"],
  ["-B", "iso-8859-2"], ["-C", "iso-8859-3"], ["-D", "iso-8859-4"], ["-L", "iso-8859-5"],
  ["-G", "iso-8859-6"], ["-F", "iso-8859-7"], ["-H", "iso-8859-8"], ["-M", "iso-8859-9"],
  ["-b", "iso-8859-15"], ["-T", "tis-620"], ["$)C", "euc-kr"], ["$)A", "gb18030"], ["$B", "jis"],
  ["$(D", "jis supplement"]]);
const ESCAPE = /\x1b(\([BJ]|\)I|-[ABCDLGFHMbT]|\$\)[AC]|\$B|\$\(D)/;

// Returns a function: the bytes of a text to a string without the spaces at its end.
export function textDecoderOf(dataset, file) {
  const [first, ...others] = textOf(dataset, CHARACTER_SET).split("\\").map((name) => name.trim());
  const name = first.replace(/^ISO 2022 IR /, "ISO_IR ");
  if (!SETS.has(name)) {
    throw new LiverSegError(`Expected a SpecificCharacterSet of DICOM in ${file}. Received ` +
      `'${printable(first)}', so that the name of the patient cannot be read.`);
  }
  const hasEscapes = others.length > 0 || first.startsWith("ISO 2022");
  return (bytes) => {
    const text = hasEscapes ? decodeParts(latin1(bytes), SETS.get(name)) : decode(bytes, SETS.get(name));
    return text.replace(/[\0 ]+$/, "");
  };
}

// Decodes a text that changes its set. `text`: one character per byte.
function decodeParts(text, first) {
  // each component of a name and each value begins with the first set again
  return text.split(/([\\^=])/).map((part) => {
    const [start, ...rest] = part.split(ESCAPE);
    let decoded = decode(bytesOf(start), first);
    for (let i = 0; i < rest.length; i += 2) decoded += decode(bytesOf(rest[i + 1]), ESCAPES.get(rest[i]));
    return decoded;
  }).join("");
}

function decode(bytes, set) {
  if (set === "latin1") return latin1(bytes);
  if (!set.startsWith("jis")) return new TextDecoder(set).decode(bytes);
  const wide = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    if (set !== "jis") wide.push(0x8f);
    wide.push(bytes[i] | 0x80, bytes[i + 1] | 0x80);
  }
  return new TextDecoder("euc-jp").decode(Uint8Array.from(wide));
}

function latin1(bytes) {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function bytesOf(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function printable(text) {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 64);
}
