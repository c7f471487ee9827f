// The limit on the size of a volume, so that the page does not use up the memory of its tab
// (see ct/size_limit.py). It is checked before memory is allocated.
import { LiverSegError } from "../errors.js";
import { formatShape } from "../plural.js";

export const MAX_VOXELS = 2 ** 27; // 512 x 512 x 512: about 1.5 GB with the copies of the page

// `shape` is given along the axes of the file.
export function checkSize(shape, source) {
  const voxels = shape.reduce((product, length) => product * length, 1);
  if (!(voxels <= MAX_VOXELS)) {
    throw new LiverSegError(`Expected at most ${MAX_VOXELS / 1e6} million voxels in ${source}, ` +
      `which is the limit of this page. Received the shape ${formatShape(shape)}: use ` +
      "liverseg predict for this image.");
  }
}
