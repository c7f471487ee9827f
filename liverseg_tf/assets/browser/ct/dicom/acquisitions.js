// Series that mix acquisitions, phases, echoes or reconstructions, although their slices fit
// (see ct/dicom/acquisitions.py).
import { LiverSegError } from "../../errors.js";

// Slices of one volume have one value, a value each, or one value per block of neighbours.
const DEFINING = new Set([
  "AcquisitionNumber", "FrameAcquisitionNumber", "TemporalPositionIdentifier", "TemporalPositionIndex",
  "TemporalPositionTimeOffset", "StackID", "ImageType", "FrameType", "ConvolutionKernel", "KVP",
  "EchoTime", "EchoNumbers", "EffectiveEchoTime", "InversionTime", "DiffusionBValue",
  "DiffusionGradientOrientation", "SeriesNumber", "SeriesDescription", "ProtocolName",
  "StudyInstanceUID", "FrameOfReferenceUID", "AcquisitionUID", "IrradiationEventUID",
  "ContrastBolusAgent", "StudyDate", "SeriesTime", "StudyTime", "SeriesDate", "Manufacturer",
  "StationName", "DeviceSerialNumber",
]);
// In the order of a CT, these grow or fall along the volume.
const GROWING = new Set([
  "AcquisitionNumber", "FrameAcquisitionNumber", "AcquisitionTime", "AcquisitionDateTime",
  "FrameAcquisitionDateTime", "FrameReferenceDateTime", "ContentTime", "TriggerTime",
  "NominalPercentageOfCardiacPhase", "InstanceNumber",
]);
// Interleaved MR takes every second slice first, so that these alternate in a valid volume.
const ALTERNATING_IN_MR = new Set([
  "AcquisitionTime", "AcquisitionDateTime", "FrameAcquisitionDateTime", "ContentTime",
  "FrameReferenceDateTime", "ContentDate", "AcquisitionDate", "TriggerTime", "InstanceNumber",
  "ImageTriggerDelay", "AcquisitionDuration",
]);
const MOST_STACKS = 16, LONGEST_SHOWN = 40;
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;

// Refuses slices, in the order of the volume, that an attribute splits into interleaving stacks.
export function checkOneAcquisition(slices) {
  const keywords = [...new Set(slices.flatMap((slice) => [...slice.attributes.keys()]))].sort();
  for (const keyword of keywords) {
    const values = slices.map((slice) => slice.attributes.get(keyword) ?? "");
    const distinct = new Set(values).size;
    if (distinct === 1) continue;
    if (slices[0].modality !== "CT" && ALTERNATING_IN_MR.has(keyword)) continue;
    const known = DEFINING.has(keyword) || GROWING.has(keyword);
    if ((DEFINING.has(keyword) && countRuns(values) > distinct) || alternates(values, known ? 2 : 3) ||
        (GROWING.has(keyword) && hasSortedStacks(values, keyword === "InstanceNumber" ? 4 : 3))) {
      raiseMixed(slices, keyword, values);
    }
  }
}

function countRuns(values) {
  return values.reduce((runs, value, index) => runs + (index > 0 && value !== values[index - 1] ? 1 : 0), 1);
}

// The splits into 2, 3, ... stacks of every second, third, ... value.
function* stacksOf(values, smallest) {
  for (let count = 2; count <= Math.min(MOST_STACKS, Math.floor(values.length / smallest)); count++) {
    yield Array.from({ length: count }, (_, start) => values.filter((_, index) => index % count === start));
  }
}

function alternates(values, smallest) {
  for (const stacks of stacksOf(values, smallest)) {
    if (stacks.every((stack) => stack.every((value) => value === stack[0]))) return true;
  }
  return false;
}

function hasSortedStacks(values, smallest) {
  if (!values.every((value) => NUMBER.test(value))) return false;
  for (const stacks of stacksOf(values.map(Number), smallest)) {
    const ends = stacks.map((stack) => [Math.min(...stack), Math.max(...stack)]).sort((a, b) => a[0] - b[0]);
    if (ends.every(([low], index) => index === 0 || ends[index - 1][1] < low)) return true;
  }
  return false;
}

function raiseMixed(slices, keyword, values) {
  const other = values.findIndex((value) => value !== values[0]);
  const [first, second] = [values[0], values[other]].map((value) =>
    (/^[\x20-\x7e]+$/.test(value) ? value.slice(0, LONGEST_SHOWN) : "another"));
  throw new LiverSegError("Expected the slices of one acquisition. Received stacks of slices that " +
    `interleave and differ in ${keyword}, for example ${first} in ${slices[0].name} and ${second} in ` +
    `${slices[other].name}: separate the acquisitions, phases or reconstructions.`);
}
