// Patient and study of an image, as its results repeat them (see predict/outputs/patient_module.py).
import { cleanText } from "./dicom_header.js";

// DICOM allows these tags to be empty but not to be missing.
const MAY_BE_EMPTY = {
  PatientID: "00100020", PatientName: "00100010", PatientBirthDate: "00100030", PatientSex: "00100040",
  AccessionNumber: "00080050", StudyID: "00200010", StudyDate: "00080020", StudyTime: "00080030",
  ReferringPhysicianName: "00080090",
};
const COPIED_IF_PRESENT = { StudyDescription: "00081030", IssuerOfPatientID: "00100021" };
// what these values must be; others become empty
const VALID = {
  PatientBirthDate: isDate, StudyDate: isDate, StudyTime: isTime, PatientSex: (text) => /^[MFO]$/.test(text),
};

// The patient and the study of a header. `textOf`: a keyword's tag to its text, "" if it is missing.
export function patientModule(header, textOf) {
  const module = { StudyInstanceUID: textOf("0020000d") };
  for (const [keyword, tag] of Object.entries(MAY_BE_EMPTY)) {
    const text = cleanText(textOf(tag));
    module[keyword] = text && VALID[keyword] && !VALID[keyword](text) ? "" : text;
  }
  for (const [keyword, tag] of Object.entries(COPIED_IF_PRESENT)) {
    if (header.has(tag)) module[keyword] = cleanText(textOf(tag));
  }
  return module;
}

function isDate(text) {
  const found = /^(\d{4})(\d\d)(\d\d)$/.exec(text) ?? /^(\d{4})\.(\d\d)\.(\d\d)$/.exec(text);
  if (!found) return false;
  const [year, month, day] = found.slice(1).map(Number);
  return month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function isTime(text) {
  return /^([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?$/.test(text);
}
