// How a DICOM result describes itself: its series, its identifiers and what it was made by
// (see predict/outputs/dicom_header.py).

const NAME = "liverseg_tf";
const MAX_SERIES_NUMBER = 2 ** 31 - 1;
const KINDS = { seg: ["segmentation", 0] }; // what its series is called, and the offset of its number

// A new UID, from 122 random bits (2.25 and a UUID as a decimal number).
export function newUid() {
  const bytes = self.crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return `2.25.${bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n)}`;
}

export function seriesDescription(kind, model) {
  return cleanText(`${NAME} ${KINDS[kind][0]} (${model.name})`, 64);
}

// `source`: SeriesNumber of the image, as text.
export function seriesNumber(kind, source) {
  const first = 1000 * (KINDS[kind][1] + 1);
  const number = (/^[+-]?\d+$/.test(source) ? Math.max(Number(source), 0) : 0) + first;
  return String(number <= MAX_SERIES_NUMBER ? number : first);
}

// The general equipment, this software with the model, and the list of all equipment. `source`: a
// keyword to the text of the image's header.
export function equipment(model, content, source) {
  const own = {
    Manufacturer: NAME, ManufacturerModelName: cleanText(model.name, 64),
    DeviceSerialNumber: cleanText(model.fingerprint, 64) || "unknown",
    SoftwareVersions: [`${NAME} ${model.liverseg_tf}`, cleanText(`model ${model.version}`, 64)],
  };
  const contributing = [{
    ...own, ContributionDescription: content,
    PurposeOfReferenceCodeSequence: [codeItem("109102", "DCM", "Processing Equipment")],
  }];
  if (source("Manufacturer")) {
    const acquisition = {
      ContributionDescription: "Acquisition equipment of the source image(s)",
      PurposeOfReferenceCodeSequence: [codeItem("109101", "DCM", "Acquisition Equipment")],
    };
    for (const keyword of ["Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"]) {
      if (source(keyword)) acquisition[keyword] = source(keyword);
    }
    contributing.unshift(acquisition);
  }
  return { ...own, ContributingEquipmentSequence: contributing };
}

export function codeItem(value, scheme, meaning) {
  return { CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning };
}

// A text without backslashes and control characters, cut to a number of characters.
export function cleanText(text, length = Infinity) {
  const cleaned = text.replace(/[\\\x00-\x1f\x7f]/g, "_").trim();
  return length === Infinity ? cleaned : [...cleaned].slice(0, length).join("");
}

// Notes as a value that every character set can hold: other characters become numbers.
export function joinNotes(notes, length) {
  const text = [...notes.join(" ")].map((character) => {
    const code = character.codePointAt(0);
    if (code < 0x80) return code < 0x20 || character === "\\" ? "_" : character;
    const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `_${letter}${code.toString(16).padStart(digits, "0")}`;
  });
  return text.join("").slice(0, length);
}
