// Reading of what a user has chosen: a NIfTI file, or DICOM files as a folder or a zip archive
// (see predict/input_image.py and ct/images.py). `files`: [{path, size, load}].
import { LiverSegError } from "../errors.js";
import { openZip } from "../ct/dicom/zip.js";
import { readOnlySeries } from "../ct/dicom/series.js";
import { isNifti, readVolume } from "../ct/nifti.js";

const OTHER_VOLUMES = /\.(mha|mhd|nrrd|nhdr|hdr|img|mgh|mgz|mnc|gipl)(\.gz)?$|\.nii\.(bz2|xz|zip|zst)$/i;

// Reads an image in the axis order of the file. `channel`: of a 4D file, or null; `onProgress`: async
// function of (what, number done).
export async function readInput(files, channel = null, onProgress = async () => {}) {
  if (files.length === 1) {
    const [file] = files;
    if (isNifti(file.path)) return readVolume(await file.load(), file.path, channel);
    if (/\.zip$/i.test(file.path)) return readInput(openZip(await file.load(), file.path), channel, onProgress);
  }
  const other = files.find(({ path }) => OTHER_VOLUMES.test(path) || isNifti(path));
  if (other) {
    throw new LiverSegError(`Expected one NIfTI file (.nii or .nii.gz), or the files of one DICOM series. ` +
      `Received ${other.path}${isNifti(other.path) ? " among other files" : ": convert it to NIfTI"}.`);
  }
  if (channel) {
    throw new LiverSegError(`Expected a 4D NIfTI file for channel ${channel}, which the model needs. ` +
      "Received other files.");
  }
  return readOnlySeries(files, (count) => onProgress("files", count), (count) => onProgress("slices", count));
}
