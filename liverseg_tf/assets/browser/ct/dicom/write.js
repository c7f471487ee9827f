// Writing of DICOM files: explicit value representation, little endian, sequences with their length.
// A data set is an object from keywords to values: a text or a list of them, a list of numbers, bytes,
// or a list of data sets.

const META = {
  FileMetaInformationVersion: "00020001 OB", MediaStorageSOPClassUID: "00020002 UI",
  MediaStorageSOPInstanceUID: "00020003 UI", TransferSyntaxUID: "00020010 UI",
  ImplementationClassUID: "00020012 UI", ImplementationVersionName: "00020013 SH",
};
const ELEMENTS = {
  SpecificCharacterSet: "00080005 CS", ImageType: "00080008 CS", InstanceCreationDate: "00080012 DA",
  InstanceCreationTime: "00080013 TM", SOPClassUID: "00080016 UI", SOPInstanceUID: "00080018 UI",
  StudyDate: "00080020 DA", ContentDate: "00080023 DA", StudyTime: "00080030 TM",
  ContentTime: "00080033 TM", AccessionNumber: "00080050 SH", Modality: "00080060 CS",
  Manufacturer: "00080070 LO", ReferringPhysicianName: "00080090 PN", CodeValue: "00080100 SH",
  CodingSchemeDesignator: "00080102 SH", CodeMeaning: "00080104 LO", StudyDescription: "00081030 LO",
  SeriesDescription: "0008103e LO", ManufacturerModelName: "00081090 LO",
  ReferencedSeriesSequence: "00081115 SQ", ReferencedInstanceSequence: "0008114a SQ",
  ReferencedSOPClassUID: "00081150 UI", ReferencedSOPInstanceUID: "00081155 UI",
  ReferencedFrameNumber: "00081160 IS", SourceImageSequence: "00082112 SQ",
  AnatomicRegionSequence: "00082218 SQ", DerivationImageSequence: "00089124 SQ",
  DerivationCodeSequence: "00089215 SQ", PatientName: "00100010 PN", PatientID: "00100020 LO",
  IssuerOfPatientID: "00100021 LO", PatientBirthDate: "00100030 DA", PatientSex: "00100040 CS",
  SliceThickness: "00180050 DS", SpacingBetweenSlices: "00180088 DS", DeviceSerialNumber: "00181000 LO",
  SoftwareVersions: "00181020 LO", ContributingEquipmentSequence: "0018a001 SQ",
  ContributionDescription: "0018a003 ST", StudyInstanceUID: "0020000d UI", SeriesInstanceUID: "0020000e UI",
  StudyID: "00200010 SH", SeriesNumber: "00200011 IS", InstanceNumber: "00200013 IS",
  ImagePositionPatient: "00200032 DS", ImageOrientationPatient: "00200037 DS",
  FrameOfReferenceUID: "00200052 UI", PositionReferenceIndicator: "00201040 LO", ImageComments: "00204000 LT",
  FrameContentSequence: "00209111 SQ", PlanePositionSequence: "00209113 SQ",
  PlaneOrientationSequence: "00209116 SQ", DimensionIndexValues: "00209157 UL",
  DimensionOrganizationUID: "00209164 UI", DimensionIndexPointer: "00209165 AT",
  FunctionalGroupPointer: "00209167 AT", DimensionOrganizationSequence: "00209221 SQ",
  DimensionIndexSequence: "00209222 SQ", DimensionDescriptionLabel: "00209421 LO",
  AlgorithmSource: "00240202 LO", SamplesPerPixel: "00280002 US", PhotometricInterpretation: "00280004 CS",
  NumberOfFrames: "00280008 IS", Rows: "00280010 US", Columns: "00280011 US", PixelSpacing: "00280030 DS",
  BitsAllocated: "00280100 US", BitsStored: "00280101 US", HighBit: "00280102 US",
  PixelRepresentation: "00280103 US", SpatialLocationsPreserved: "0028135a CS",
  LossyImageCompression: "00282110 CS", LossyImageCompressionRatio: "00282112 DS",
  LossyImageCompressionMethod: "00282114 CS", PixelMeasuresSequence: "00289110 SQ",
  PurposeOfReferenceCodeSequence: "0040a170 SQ", SegmentationType: "00620001 CS", SegmentSequence: "00620002 SQ",
  SegmentedPropertyCategoryCodeSequence: "00620003 SQ", SegmentNumber: "00620004 US", SegmentLabel: "00620005 LO",
  SegmentationAlgorithmIdentificationSequence: "00620007 SQ", SegmentAlgorithmType: "00620008 CS",
  SegmentAlgorithmName: "00620009 LO", SegmentIdentificationSequence: "0062000a SQ",
  ReferencedSegmentNumber: "0062000b US", RecommendedDisplayCIELabValue: "0062000d US",
  SegmentedPropertyTypeCodeSequence: "0062000f SQ", SegmentedPropertyTypeModifierCodeSequence: "00620011 SQ",
  SegmentsOverlap: "00620013 CS", AlgorithmFamilyCodeSequence: "0066002f SQ", AlgorithmVersion: "00660031 LO",
  AlgorithmParameters: "00660032 LT", AlgorithmName: "00660036 LO", ContentLabel: "00700080 CS",
  ContentDescription: "00700081 LO", ContentCreatorName: "00700084 PN", PresentationLUTShape: "20500020 CS",
  SharedFunctionalGroupsSequence: "52009229 SQ", PerFrameFunctionalGroupsSequence: "52009230 SQ",
  PixelData: "7fe00010 OB",
};
const LONG_VRS = new Set(["OB", "SQ"]);
const EXPLICIT = "1.2.840.10008.1.2.1";
const IMPLEMENTATION = "2.25.269766312370558936484176344467095104838";

// The tag of an element, for values that name one.
export function tagOf(keyword) {
  return ELEMENTS[keyword].slice(0, 8);
}

// Makes the bytes of a file. Texts are UTF-8 if one of them is not ASCII.
export function encodeFile(dataset) {
  const isAscii = /^[\x00-\x7f]*$/.test(allTexts(dataset));
  const content = encodeDataset(isAscii ? dataset : { SpecificCharacterSet: "ISO_IR 192", ...dataset }, ELEMENTS);
  const meta = encodeDataset({
    FileMetaInformationVersion: Uint8Array.of(0, 1), MediaStorageSOPClassUID: dataset.SOPClassUID,
    MediaStorageSOPInstanceUID: dataset.SOPInstanceUID, TransferSyntaxUID: EXPLICIT,
    ImplementationClassUID: IMPLEMENTATION, ImplementationVersionName: "liverseg_tf",
  }, META);
  const length = encodeElement("00020000", "UL", numbers("UL", [sizeOf(meta)]));
  return join([new Uint8Array(128), new TextEncoder().encode("DICM"), ...length, ...meta, ...content]);
}

function allTexts(value) {
  if (typeof value === "string") return value;
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return "";
  return Object.values(value).map(allTexts).join("");
}

// The parts of a data set, in the order of its tags.
function encodeDataset(dataset, elements) {
  return Object.entries(dataset)
    .map(([keyword, value]) => [...elements[keyword].split(" "), value])
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([tag, vr, value]) => encodeElement(tag, vr, encodeValue(vr, value)));
}

function encodeElement(tag, vr, parts) {
  const size = sizeOf(parts), odd = size % 2;
  const header = new DataView(new ArrayBuffer(LONG_VRS.has(vr) ? 12 : 8));
  writeTag(header, 0, tag);
  [...vr].forEach((letter, index) => header.setUint8(4 + index, letter.charCodeAt(0)));
  if (LONG_VRS.has(vr)) header.setUint32(8, size + odd, true);
  else {
    if (size + odd > 0xffff) throw new RangeError(`${tag} has ${size} bytes`);
    header.setUint16(6, size + odd, true);
  }
  const filling = odd ? [Uint8Array.of(["UI", "OB"].includes(vr) ? 0 : 32)] : [];
  return [new Uint8Array(header.buffer), ...parts, ...filling];
}

function encodeValue(vr, value) {
  if (vr === "SQ") return value.flatMap((item) => encodeItem(encodeDataset(item, ELEMENTS)));
  if (vr === "OB") return [value];
  const values = Array.isArray(value) ? value : [value];
  if (vr === "AT" || ["US", "UL"].includes(vr)) return numbers(vr, values);
  return [new TextEncoder().encode(values.join("\\"))];
}

function encodeItem(parts) {
  const header = new DataView(new ArrayBuffer(8));
  writeTag(header, 0, "fffee000");
  header.setUint32(4, sizeOf(parts), true);
  return [new Uint8Array(header.buffer), ...parts];
}

function numbers(vr, values) {
  const size = vr === "US" ? 2 : 4, view = new DataView(new ArrayBuffer(size * values.length));
  values.forEach((value, index) => {
    if (vr === "AT") writeTag(view, size * index, value);
    else if (vr === "US") view.setUint16(size * index, value, true);
    else view.setUint32(size * index, value, true);
  });
  return [new Uint8Array(view.buffer)];
}

function writeTag(view, at, tag) {
  view.setUint16(at, parseInt(tag.slice(0, 4), 16), true);
  view.setUint16(at + 2, parseInt(tag.slice(4), 16), true);
}

function sizeOf(parts) {
  return parts.reduce((size, part) => size + part.length, 0);
}

function join(parts) {
  const bytes = new Uint8Array(sizeOf(parts));
  let place = 0;
  for (const part of parts) {
    bytes.set(part, place);
    place += part.length;
  }
  return bytes;
}

// A decimal number as text of at most 16 characters (DS).
export function formatDecimal(value) {
  const text = String(value);
  if (text.length <= 16) return text;
  for (let digits = 16; digits > 0; digits--) {
    const rounded = String(Number(value.toPrecision(digits)));
    if (rounded.length <= 16) return rounded;
  }
  throw new RangeError(`no decimal number of 16 characters: ${value}`);
}
