"""The function `segment`: from an image to its label map, without writing files."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.input_image import check_image, judge_image, read_input
from liverseg_tf.predict.models.predictor import Predictor, warnings_of
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.predict.trust.judge import judge_masks


def segment(
    image: Volume | Path | str,
    model: Predictor | Path | str | Sequence[Path | str],
    postprocessing: PostProcessing | None = None,
    inference: Inference = Inference(),
    accepted: Sequence[str] = (),
) -> Volume:
    """Segment a volume.

    Args:
        image: Volume (z, row, col) in HU or MR units, in any axis order, or the path of an image.
        model: Folder of a run, or a model bundle (its file, name or address); several of them,
            whose probabilities are averaged; or a predictor that was loaded before, which saves
            time if there are many images.
        postprocessing: Post-processing of the masks. None applies the steps that were chosen on
            the model's validation cases.
        inference: Options of the inference.
        accepted: Rules of `liverseg check` whose errors become warnings, which are shown with
            `warnings.warn`.

    Returns:
        Label map (z, row, col) uint8 on the grid of the image and with its header.

    Raises:
        LiverSegError: If the image or the model cannot be read or used, or the image breaks a rule
            of `liverseg check` that is not accepted.
        SettingsError: If the post-processing names a region that the model does not have.

    Example:
        >>> import liverseg_tf as ls
        >>> mask = ls.segment("ct.nii.gz", "run")
        >>> mask.array.shape, mask.array.dtype
        ((8, 64, 64), dtype('uint8'))
    """
    predictor = _load_predictor(model)
    for line in warnings_of(predictor):
        warnings.warn(line, stacklevel=2)
    if isinstance(image, Volume):
        check_image(image)
    else:
        image = read_input(Path(image), predictor.network.tiles.channel)
    for issue in judge_image(image, predictor.network.tiles.check_settings(tuple(accepted))):
        warnings.warn(issue.line, stacklevel=2)
    if postprocessing is None:
        postprocessing = predictor.postprocessing
    regions = predictor.network.regions
    probabilities = None
    if postprocessing.needs_probabilities:
        probabilities = np.zeros((len(regions), *image.array.shape), np.uint8)
    inference = replace(inference, thresholds=postprocessing.thresholds(regions))
    masks = find_regions(image, predictor, inference, probabilities=probabilities)
    masks = postprocessing.apply(masks)
    for line in judge_masks(masks, predictor, inference.thresholds).warnings:
        warnings.warn(line, stacklevel=2)
    return masks.labels()


def _load_predictor(model: Predictor | Path | str | Iterable[Path | str]) -> Predictor:
    if not isinstance(model, str | Path | Iterable):
        return model
    from liverseg_tf.predict.bundles.locate import locate_model
    from liverseg_tf.predict.models.load import load_predictor

    models = [model] if isinstance(model, str | Path) else model
    return load_predictor([locate_model(str(one)).path for one in models])
