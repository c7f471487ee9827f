// Values of a header that tell the acquisitions, phases and reconstructions of a series apart
// (see ct/dicom/attributes.py). Returns a Map from keywords, or tags without one, to text.
import { KEYWORDS, TAGS } from "./dictionary.js";

const LONGEST_VALUE = 256;
const BINARY = new Set(["US", "SS", "UL", "SL", "FD", "FL"]);
// These differ from slice to slice of any acquisition, or say nothing about it.
const OF_A_SLICE = new Set([
  "SOPInstanceUID", "ImagePositionPatient", "SliceLocation", "PixelData", "ImageComments",
  "WindowCenter", "WindowWidth", "SmallestImagePixelValue", "LargestImagePixelValue",
  "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "DataSetTrailingPadding",
  "XRayTubeCurrent", "XRayTubeCurrentInuA", "XRayTubeCurrentInmA", "Exposure", "ExposureInuAs",
  "ExposureInmAs", "ExposureTime", "ExposureTimeInms", "CTDIvol", "InstanceCreationDate",
  "InstanceCreationTime", "InStackPositionNumber", "SAR", "DimensionIndexValues", "TableHeight",
  "TablePosition", "FrameLabel", "FrameComments", "PixelPaddingValue", "RescaleSlope",
  "RescaleIntercept",
].map((keyword) => TAGS[keyword]));

export function readAttributes(dataset) {
  return shortValues([dataset]);
}

// The values of a frame of a multi-frame file, from all of its groups.
export function readGroupAttributes(group) {
  return shortValues([...group.values()].flatMap((element) => element.items ?? []));
}

function shortValues(datasets) {
  const values = new Map();
  for (const dataset of datasets) {
    for (const [tag, element] of dataset) {
      const isPrivate = parseInt(tag.slice(0, 4), 16) % 2 === 1;
      if (isPrivate || tag.endsWith("0000") || OF_A_SLICE.has(tag) || !element.bytes) continue;
      if (element.bytes.length > LONGEST_VALUE) continue;
      values.set(KEYWORDS.get(tag) ?? tag, asText(element));
    }
  }
  return values;
}

function asText({ vr, bytes }) {
  const text = String.fromCharCode(...bytes);
  const isText = vr ? !BINARY.has(vr) : /^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*\0*$/.test(text);
  return isText ? text.replace(/^[ \0]+|[ \0]+$/g, "") : text;
}
