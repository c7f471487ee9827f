// DICOM-SEG: a label map as a segmentation object that refers to its DICOM series
// (see predict/outputs/dicom_seg.py).
import { textDecoderOf } from "../../ct/dicom/character_set.js";
import { SERIES_TEXTS, TAGS } from "../../ct/dicom/dictionary.js";
import { readText } from "../../ct/dicom/values.js";
import { encodeFile, formatDecimal, tagOf } from "../../ct/dicom/write.js";
import { spacingOf } from "../../ct/volume.js";
import { cleanText, codeItem, equipment, joinNotes, newUid, seriesDescription, seriesNumber } from "./dicom_header.js";
import { readSourceSlices, referenceTo } from "./dicom_source.js";
import { patientModule } from "./patient_module.js";

const SEGMENTATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.4";
const CONTENT = "Automatic segmentation";

// Makes the bytes of a DICOM-SEG file: one segment of type BINARY for each region, empty frames left
// out. Every frame names its image.
//   labels: Uint8Array (z, row, col) in the order of the series; image: volume as it was read, with
//   its `slices`; record: of the model; notes: what had to be assumed about the image.
export function encodeSegmentation(labels, image, record, notes = []) {
  const [distanceMm] = spacingOf(image);
  const sources = readSourceSlices(image.slices, distanceMm);
  const size = image.shape[1] * image.shape[2];
  const chosen = chooseSlices(labels, size);
  const masks = maskTables(record.network.regions);
  const ordered = againstNormal(chosen, image.slices);
  const frames = findFrames(labels, size, masks, ordered);
  const first = sources[chosen[0]];
  return encodeFile({
    ...describeSource(first, record),
    ...describeSegments(record, notes),
    ...describeReferences(chosen.map((z) => sources[z])),
    ...describeFrames(frames, ordered, sources, distanceMm),
    SegmentsOverlap: hasOverlap(labels, masks) ? "YES" : "NO",
    Rows: image.shape[1], Columns: image.shape[2],
    PixelData: packFrames(frames, labels, size, masks),
  });
}

// The slices between the first and the last label; without labels, the first slice.
function chooseSlices(labels, size) {
  const first = labels.findIndex((label) => label > 0);
  if (first < 0) return [0];
  const low = Math.floor(first / size), high = Math.floor(labels.findLastIndex((label) => label > 0) / size);
  return Array.from({ length: high - low + 1 }, (_, index) => low + index);
}

// For each region, whether a label belongs to it.
function maskTables(regions) {
  return regions.map(([, labels]) => Uint8Array.from({ length: 256 }, (_, label) => (labels.includes(label) ? 1 : 0)));
}

// The frames that are not empty, by region and slice; all frames if there is no label.
function findFrames(labels, size, masks, slices) {
  const all = masks.flatMap((_, region) => slices.map((z) => ({ region, z })));
  const found = all.filter(({ region, z }) =>
    labels.subarray(z * size, (z + 1) * size).some((label) => masks[region][label]));
  return found.length ? found : all;
}

// The slices in the order of highdicom: against the normal of their rows and columns.
function againstNormal(chosen, slices) {
  const [first, last] = [slices[0], slices[slices.length - 1]];
  const [a, b, c, d, e, f] = first.cosines, normal = [b * f - c * e, c * d - a * f, a * e - b * d];
  const rise = normal.reduce((sum, value, axis) => sum + value * (last.positionMm[axis] - first.positionMm[axis]), 0);
  return rise > 0 ? [...chosen].reverse() : chosen;
}

function hasOverlap(labels, masks) {
  const shared = Array.from({ length: 256 }, (_, label) => masks.filter((mask) => mask[label]).length > 1);
  return labels.some((label) => shared[label]);
}

// One bit per pixel, the first pixel in the lowest bit, frame after frame without gaps.
function packFrames(frames, labels, size, masks) {
  const bytes = new Uint8Array(Math.ceil((frames.length * size) / 8));
  frames.forEach(({ region, z }, index) => {
    const mask = masks[region], start = z * size;
    for (let i = 0; i < size; i++) {
      if (!mask[labels[start + i]]) continue;
      const bit = index * size + i, shift = bit % 8;
      bytes[(bit - shift) / 8] |= 1 << shift;
    }
  });
  return bytes;
}

// Patient, study, series and equipment.
function describeSource({ header, slice }, record) {
  const decode = textDecoderOf(header, slice.file.path);
  const textOf = (tag) => decode(header.get(tag)?.bytes ?? new Uint8Array(0)).trim();
  const source = (keyword) => textOf(SERIES_TEXTS[keyword]).split("\\").map((value) => cleanText(value)).join("\\");
  const isLossy = source("LossyImageCompression") === "01";
  const lossy = ["LossyImageCompressionRatio", "LossyImageCompressionMethod"]
    .filter((keyword) => isLossy && source(keyword))
    .map((keyword) => [keyword, source(keyword)]);
  const modality = slice.modality || "CT";
  return {
    ...patientModule(header, textOf),
    ...equipment(record, CONTENT, source),
    Modality: "SEG", SeriesInstanceUID: newUid(),
    SeriesNumber: seriesNumber("seg", readText(header, "SeriesNumber")),
    SeriesDescription: seriesDescription("seg", record),
    FrameOfReferenceUID: readText(header, "FrameOfReferenceUID"),
    PositionReferenceIndicator: source("PositionReferenceIndicator"),
    LossyImageCompression: isLossy ? "01" : "00", ...Object.fromEntries(lossy),
    ContentLabel: `${modality}_SEG`,
  };
}

// The object itself and its segments.
function describeSegments(record, notes) {
  const { date, time } = now();
  return {
    SOPClassUID: SEGMENTATION_CLASS, SOPInstanceUID: newUid(), ImageType: ["DERIVED", "PRIMARY"],
    InstanceNumber: "1", InstanceCreationDate: date, InstanceCreationTime: time, ContentDate: date, ContentTime: time,
    ContentDescription: CONTENT, ContentCreatorName: "", PresentationLUTShape: "IDENTITY",
    SamplesPerPixel: 1, PhotometricInterpretation: "MONOCHROME2",
    BitsAllocated: 1, BitsStored: 1, HighBit: 0, PixelRepresentation: 0, SegmentationType: "BINARY",
    SegmentSequence: record.network.regions.map(([name], index) =>
      describeSegment(index + 1, name, record.segments[index], record)),
    ...(notes.length ? { ImageComments: joinNotes(notes, 10240) } : {}),
  };
}

function now() {
  const at = new Date(), pad = (number, digits = 2) => String(number).padStart(digits, "0");
  return {
    date: pad(at.getFullYear(), 4) + pad(at.getMonth() + 1) + pad(at.getDate()),
    time: pad(at.getHours()) + pad(at.getMinutes()) + pad(at.getSeconds()),
  };
}

// `code`: codes of SNOMED CT as [value, meaning], and the colour (see ct/snomed.py).
function describeSegment(number, name, code, record) {
  const coded = ([value, meaning]) => codeItem(value, "SCT", meaning);
  const type = coded(code.property_type);
  if (code.laterality) type.SegmentedPropertyTypeModifierCodeSequence = [coded(code.laterality)];
  const algorithm = cleanText(record.name, 64);
  return {
    SegmentNumber: number, SegmentLabel: cleanText(name, 64), SegmentAlgorithmType: "AUTOMATIC",
    SegmentAlgorithmName: algorithm, SegmentedPropertyCategoryCodeSequence: [coded(code.category)],
    SegmentedPropertyTypeCodeSequence: [type],
    ...(code.anatomic_region ? { AnatomicRegionSequence: [coded(code.anatomic_region)] } : {}),
    SegmentationAlgorithmIdentificationSequence: [{
      AlgorithmName: algorithm, AlgorithmVersion: cleanText(String(record.version), 64),
      AlgorithmSource: `liverseg_tf ${record.liverseg_tf}`,
      AlgorithmFamilyCodeSequence: [codeItem("123110", "DCM", "Artificial Intelligence")],
      ...(record.fingerprint ? { AlgorithmParameters: `fingerprint=${record.fingerprint}` } : {}),
    }],
    RecommendedDisplayCIELabValue: toCieLab(code.colour),
  };
}

// The series and the files to which the object refers.
function describeReferences(sources) {
  const files = new Map(sources.map((source) => {
    const { ReferencedSOPClassUID, ReferencedSOPInstanceUID } = referenceTo(source);
    return [ReferencedSOPInstanceUID, { ReferencedSOPClassUID, ReferencedSOPInstanceUID }];
  }));
  const referenced = [...files.values()];
  const series = { SeriesInstanceUID: readText(sources[0].header, "SeriesInstanceUID"), ReferencedInstanceSequence: referenced };
  return { ReferencedSeriesSequence: [series], SourceImageSequence: referenced };
}

// The functional groups: geometry, and for each frame its segment, its position and its image.
function describeFrames(frames, ordered, sources, distanceMm) {
  const organization = { DimensionOrganizationUID: newUid() };
  const dimension = (pointer, group, label) => ({
    ...organization, DimensionIndexPointer: tagOf(pointer), FunctionalGroupPointer: tagOf(group),
    DimensionDescriptionLabel: label,
  });
  const decimals = (numbers) => numbers.map(formatDecimal);
  const shown = new Set(frames.map(({ z }) => z)), planes = ordered.filter((z) => shown.has(z));
  const first = sources[Math.min(...ordered)];
  const derivation = codeItem("113076", "DCM", "Segmentation");
  const purpose = codeItem("121322", "DCM", "Source image for image processing operation");
  return {
    NumberOfFrames: String(frames.length),
    DimensionOrganizationSequence: [organization],
    DimensionIndexSequence: [
      dimension("ReferencedSegmentNumber", "SegmentIdentificationSequence", "Referenced Segment Number"),
      dimension("ImagePositionPatient", "PlanePositionSequence", "Image Position Patient"),
    ],
    SharedFunctionalGroupsSequence: [{
      PlaneOrientationSequence: [{ ImageOrientationPatient: decimals(first.slice.cosines) }],
      PixelMeasuresSequence: [{
        PixelSpacing: decimals(first.slice.spacingMm), SliceThickness: formatDecimal(first.thicknessMm),
        SpacingBetweenSlices: formatDecimal(distanceMm),
      }],
    }],
    PerFrameFunctionalGroupsSequence: frames.map(({ region, z }) => ({
      FrameContentSequence: [{ DimensionIndexValues: [region + 1, planes.indexOf(z) + 1] }],
      PlanePositionSequence: [{ ImagePositionPatient: decimals(sources[z].slice.positionMm) }],
      SegmentIdentificationSequence: [{ ReferencedSegmentNumber: region + 1 }],
      DerivationImageSequence: [{
        DerivationCodeSequence: [derivation],
        SourceImageSequence: [{
          ...referenceTo(sources[z]), SpatialLocationsPreserved: "YES", PurposeOfReferenceCodeSequence: [purpose],
        }],
      }],
    })),
  };
}

// A colour, RGB from 0 to 255, as CIELab of 16 bits (white D65, as PixelMed and highdicom convert it).
function toCieLab(rgb) {
  const [r, g, b] = rgb.map((value) => value / 255)
    .map((value) => 100 * (value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92));
  const [x, y, z] = [
    (r * 0.4124 + g * 0.3576 + b * 0.1805) / 95.047, (r * 0.2126 + g * 0.7152 + b * 0.0722) / 100,
    (r * 0.0193 + g * 0.1192 + b * 0.9505) / 108.883,
  ].map((value) => (value >= 216 / 24389 ? Math.cbrt(value) : (841 / 108) * value + 4 / 29));
  const lab = [(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255];
  return lab.map((value) => Math.min(65535, Math.max(0, Math.round(value * 65535))));
}
