"""Stage 3 for files: which images there are, and a mask for each."""

from collections.abc import Callable, Iterable
from pathlib import Path

from liverseg_tf.ct.nifti import nifti_stem, read_volume, write_labels
from liverseg_tf.dataset.cases import case_name, find_cases, images_in, recognise_layout
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.postprocess import keep_largest
from liverseg_tf.predict.volume import Predictor, predict_volume


def find_images(inputs: Iterable[Path]) -> dict[str, Path]:
    """Images by case name.

    Args:
        inputs: NIfTI files, folders of NIfTI files, and data sets.

    Raises:
        LiverSegError: when an input is none of these, or two images have one name.
    """
    images: dict[str, Path] = {}
    for path in map(Path, inputs):
        for name, image in _images_of(path).items():
            if images.setdefault(name, image) != image:
                raise LiverSegError(
                    f"Expected one image a case. Received {images[name]} and {image}."
                )
    return images


def predict_cases(
    images: dict[str, Path],
    predictor: Predictor,
    out: Path,
    largest: tuple[str, ...] = (),
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> dict[str, str]:
    """Write the mask of every image as `out/NAME.nii.gz`, each whole or not at all.

    Args:
        images: files by case name.
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
            volume = read_volume(image, predictor.network.tiles.channel)
            labels = predict_volume(volume, predictor)
            if largest:
                kept = keep_largest(labels.array, predictor.network.regions, largest)
                labels = labels.with_array(kept)
            write_labels(Path(out) / f"{name}.nii.gz", labels)
        except LiverSegError as error:
            failures[name] = str(error.about(name))
        on_case(name, failures.get(name))
    return failures


def _images_of(path: Path) -> dict[str, Path]:
    if path.is_dir():
        if recognise_layout(path):
            return {case.name: case.image for case in find_cases(path)}
        images = images_in(path)
        if not images:
            raise LiverSegError(f"Expected NIfTI files or a data set in {path}. Received none.")
        return images
    if nifti_stem(path) is None:
        raise LiverSegError(f"Expected a .nii or .nii.gz file or a folder. Received {path}.")
    return {case_name(path): path}
