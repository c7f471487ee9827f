"""Prediction of one image for a viewer: the same steps as in `liverseg predict`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.itk.write_nrrd import write_nrrd
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.predict.batch.memmap import memmap_zeros
from liverseg_tf.predict.input_image import judge_image, read_input
from liverseg_tf.predict.models.predictor import Predictor, identify, warnings_of
from liverseg_tf.predict.outputs.case_outputs import OutputFormats, SegmentedCase, write_outputs
from liverseg_tf.predict.outputs.dicom_header import DicomHeader
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.predict.trust.judge import judge_masks
from liverseg_tf.serve.server.limits import Refusal

EXTENSIONS = (".nii.gz", ".nii", ".nrrd")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The masks of an image.

    Args:
        source: File or DICOM series of the image.
        masks: Masks after post-processing.
        labels: Their label map (z, row, col) uint8.
        warnings: What had to be assumed, one line each.
        model: Model that predicted them.
    """

    source: Path | DicomSeries
    masks: RegionMasks
    labels: Volume
    warnings: tuple[str, ...] = ()
    model: ModelIdentity = ModelIdentity()

    @property
    def label_names(self) -> dict[str, int]:
        """The value of each region that the label map contains.

        3D Slicer gives the names of this list to the values that it finds, in ascending order, so
        that a region without voxels must not be in it.
        """
        regions, array = self.masks.regions, self.labels.array
        named = zip(regions.names, regions.written_labels, strict=True)
        return {name: value for name, value in named if (array == value).any()}

    def volumes_ml(self) -> dict[str, float]:
        """Return the volume of each region in ml, nested regions included."""
        bits, voxel_ml = self.masks.bits, self.masks.grid.voxel_volume_ml
        return {
            name: round(np.count_nonzero(bits & bits.dtype.type(1 << region)) * voxel_ml, 3)
            for region, name in enumerate(self.masks.regions.names)
        }


def predict_image(
    source: Path | DicomSeries,
    predictor: Predictor,
    accepted: tuple[str, ...],
    folder: Path,
    on_slices: Callable[[int], None],
) -> Prediction:
    """Read and check an image, and predict its masks.

    Args:
        source: File or DICOM series.
        predictor: Model.
        accepted: Rules of the check whose errors become warnings.
        folder: Folder for probabilities that do not fit into memory.
        on_slices: Function that is called after each slab; it may raise an error.

    Raises:
        LiverSegError: If the image cannot be read, or breaks a rule of `liverseg check`.
    """
    image = read_input(source, predictor.network.tiles.channel)
    issues = judge_image(image, predictor.network.tiles.check_settings(accepted))
    postprocessing = predictor.postprocessing
    regions = predictor.network.regions
    probabilities = None
    if postprocessing.needs_probabilities:
        probabilities = memmap_zeros(folder, (len(regions), *image.array.shape))
    inference = Inference(thresholds=postprocessing.thresholds(regions))
    masks = find_regions(image, predictor, inference, on_slices, probabilities)
    processed = postprocessing.apply(masks)
    judged = judge_masks(processed, predictor, inference.thresholds)
    warnings = (*warnings_of(predictor), *(issue.line for issue in issues), *judged.warnings)
    return Prediction(source, processed, processed.labels(), warnings, identify(predictor))


@dataclass(frozen=True)
class MaskForm:
    """The form in which a viewer wants the label map.

    Args:
        extension: One of `EXTENSIONS`.
        dtype: One of `DTYPES`.
        compress: Whether an NRRD file is compressed.

    Raises:
        Refusal: If the extension or the data type is another one.
    """

    extension: str = ".nii.gz"
    dtype: str = "uint8"
    compress: bool = True

    def __post_init__(self) -> None:
        for name, value, known in (
            ("result_extension", self.extension, EXTENSIONS),
            ("result_dtype", self.dtype, DTYPES),
        ):
            if value not in known:
                raise Refusal(422, f"Expected a {name} of {', '.join(known)}. Received another.")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "MaskForm":
        """Read the parameters of a request; see the class."""
        return cls(
            str(params.get("result_extension") or cls.extension),
            str(params.get("result_dtype") or cls.dtype),
            params.get("result_compress") is not False,
        )


def write_mask(folder: Path, prediction: Prediction, form: MaskForm) -> Path:
    """Write the label map in the form that a viewer asks for.

    Args:
        folder: Folder of the file.
        prediction: Masks.
        form: Form of the file.

    Returns:
        Path of the file.

    Raises:
        Refusal: If the data type cannot hold the labels.
    """
    labels = _in_viewer_order(prediction.labels, prediction.source)
    if form.dtype == "int8" and labels.array.max(initial=0) > np.iinfo(np.int8).max:
        raise Refusal(
            422, "Expected a result_dtype that holds all labels. Received int8: ask for uint8."
        )
    labels = labels.with_array(labels.array.astype(form.dtype, copy=False))
    path = folder / f"mask{form.extension}"
    if form.extension == ".nrrd":
        write_nrrd(path, labels, form.compress)
    else:
        write_volume(path, labels)
    return path


def write_dicom_seg(folder: Path, prediction: Prediction) -> Path:
    """Write the masks as DICOM-SEG.

    Raises:
        LiverSegError: If the image is not a DICOM series, or highdicom is not installed.
    """
    masks = prediction.masks
    case = SegmentedCase(
        prediction.source,
        masks.grid,
        prediction.labels,
        masks.regions,
        masks.agreement,
        prediction.warnings,
    )
    outputs = OutputFormats(("seg",), header=DicomHeader(prediction.model))
    (path,) = write_outputs(folder, "mask", case, outputs)
    return path


def _in_viewer_order(labels: Volume, source: Path | DicomSeries) -> Volume:
    """Return a mask of a DICOM series with its slices in the order in which viewers sort them.

    The files of a series have no order of their own. OHIF ignores the geometry of the mask that
    it receives, and sorts slices along the cross product of the directions of rows and columns.

    Args:
        labels: Label map (z, row, col).
        source: File, whose own order is kept, or DICOM series.
    """
    if not isinstance(source, DicomSeries) or np.linalg.det(labels.affine[:3, :3]) > 0:
        return labels
    affine = labels.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (len(labels.array) - 1)
    affine[:3, 2] *= -1
    return Volume(labels.array[::-1], affine)
