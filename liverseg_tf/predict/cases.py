"""Stage 3 for files: which images there are, and a mask for each."""

from collections.abc import Callable, Iterable
from pathlib import Path

from liverseg_tf.ct.dicom import DicomSeries
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem, read_image
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.dataset.cases import case_name, find_cases, recognise_layout, sources_in
from liverseg_tf.dataset.dicom_cases import named_series
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.postprocess import keep_largest
from liverseg_tf.predict.volume import Predictor, predict_volume


def find_images(inputs: Iterable[Path]) -> dict[str, Path | DicomSeries]:
    """Images by case name.

    Args:
        inputs: NIfTI, MetaImage and NRRD files, folders of them, DICOM folders or trees of
            them, and data sets. A folder with one DICOM series gives it its name.

    Raises:
        LiverSegError: when an input is none of these, or two images have one name.
    """
    images: dict[str, Path | DicomSeries] = {}
    for path in map(Path, inputs):
        for name, image in _images_of(path).items():
            if images.setdefault(name, image) != image:
                raise LiverSegError(
                    f"Expected one image a case. Received {images[name]} and {image}."
                )
    return images


def predict_cases(
    images: dict[str, Path | DicomSeries],
    predictor: Predictor,
    out: Path,
    largest: tuple[str, ...] = (),
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> dict[str, str]:
    """Write the mask of every image as `out/NAME.nii.gz`, each whole or not at all.

    Args:
        images: files and series by case name.
        predictor: of the slices.
        out: folder of the masks.
        largest: regions of which only the largest component is kept.
        on_case: called with a case's name, and its failure or None, as each one ends.

    Returns:
        Case to reason, for those that failed; the others are written.
    """
    failures: dict[str, str] = {}
    for name, image in images.items():
        try:
            volume = read_image(image)
            labels = predict_volume(volume, predictor)
            if largest:
                kept = keep_largest(labels.array, predictor.network.regions, largest)
                labels = labels.with_array(kept)
            write_labels(Path(out) / f"{name}.nii.gz", labels)
        except LiverSegError as error:
            failures[name] = str(error.about(name))
        on_case(name, failures.get(name))
    return failures


def _images_of(path: Path) -> dict[str, Path | DicomSeries]:
    if not path.is_dir():
        if image_stem(path) is None:
            raise LiverSegError(
                f"Expected a file ending in {', '.join(IMAGE_SUFFIXES)} or a folder. "
                f"Received {path}."
            )
        return {case_name(path): path}
    layout = recognise_layout(path)
    if layout and (layout != "dicom" or (path / "masks").is_dir()):
        return {case.name: case.image for case in find_cases(path)}
    files = {name: file for name, file in sources_in(path).items() if not file.is_dir()}
    if layout is None and not files:
        raise LiverSegError(
            f"Expected image files, DICOM files or a data set in {path}. Received none."
        )
    if layout is None:
        return files
    if files:
        raise LiverSegError(
            f"Expected either image files or DICOM files in {path}. "
            f"Received {next(iter(files.values())).name} beside DICOM files."
        )
    series = named_series(path)
    return {path.resolve().name: one for one in series.values()} if len(series) == 1 else series
