// Checks of the image to segment (see predict/input_image.py).
import { roundHalfEven } from "../arithmetic.js";
import { LiverSegError } from "../errors.js";
import { checkFinite } from "../ct/volume.js";
import { checkImageRules } from "../dataset/check/rules.js";

const MAX_MASK_VALUES = 16;
const MASK_EQUAL_NEIGHBOURS = 0.75;
const ROUNDING = 1e-3;

// Checks that a volume, in the order of its file, is an image with finite values.
export function checkImage(image) {
  checkNotAMask(image);
  checkFinite(image);
}

// Applies the rules of `liverseg check` to a canonical volume; returns warnings.
export function judgeImage(canonical, network) {
  return checkImageRules(canonical, network);
}

// Refuses volumes of integers from 0 to 255 with few values, or with mostly equal neighbours.
function checkNotAMask({ array, shape }) {
  const [planes, rows, cols] = shape, size = rows * cols;
  for (let i = 0; i < array.length; i++) if (!(array[i] >= 0 && array[i] <= 255)) return;
  const present = new Uint8Array(256);
  let equal = 0, labelled = 0;
  for (let z = 0; z < planes; z++) {
    const plane = new Uint8Array(size), counts = new Int32Array(256);
    for (let i = 0; i < size; i++) {
      const value = array[z * size + i];
      plane[i] = roundHalfEven(value);
      if (Math.abs(plane[i] - value) > ROUNDING) return;
      counts[plane[i]]++;
      present[plane[i]] = 1;
    }
    const background = counts.indexOf(Math.max(...counts));
    for (let i = 0; i < size; i++) {
      if (i % cols === 0 || plane[i] === background) continue;
      labelled++;
      if (plane[i] === plane[i - 1]) equal++;
    }
  }
  const values = Array.from(present.keys()).filter((value) => present[value]);
  const few = values.length <= Math.min(MAX_MASK_VALUES, Math.floor(array.length / 8));
  if (few || equal > MASK_EQUAL_NEIGHBOURS * labelled) {
    const listed = values.slice(0, 4).join(", ") + (values.length > 4 ? ", ..." : "");
    throw new LiverSegError("Expected an image. Received what looks like a mask: it contains only " +
      `the ${values.length === 1 ? "value" : "values"} ${listed}.`);
  }
}
