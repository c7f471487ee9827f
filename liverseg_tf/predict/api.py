"""The function `segment`: from an image to its label map, without writing files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.input_image import check_image, read_input
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.segment_volume import Inference, find_regions


def segment(
    image: Volume | Path | str,
    model: Predictor | Path | str | Sequence[Path | str],
    postprocessing: PostProcessing | None = None,
    inference: Inference = Inference(),
) -> Volume:
    """Segment a volume.

    Args:
        image: Volume (z, row, col) in HU or MR units, in any axis order, or the path of an image.
        model: Folder of a run; several folders, whose probabilities are averaged; or a predictor
            that was loaded before, which saves time if there are many images.
        postprocessing: Post-processing of the masks. None applies the steps that were chosen on
            the model's validation cases.
        inference: Options of the inference.

    Returns:
        Label map (z, row, col) uint8 on the grid of the image and with its header.

    Raises:
        LiverSegError: If the image or the model cannot be read or used.
        SettingsError: If the post-processing names a region that the model does not have.

    Example:
        >>> mask = segment("ct.nii.gz", "run")                        # doctest: +SKIP
        >>> mask.array.shape, mask.array.max()                        # doctest: +SKIP
        ((75, 512, 512), 2)
    """
    predictor = _load_predictor(model)
    if isinstance(image, Volume):
        check_image(image)
    else:
        image = read_input(Path(image), predictor.network.tiles.channel)
    if postprocessing is None:
        postprocessing = predictor.postprocessing
    regions = predictor.network.regions
    probabilities = None
    if postprocessing.needs_probabilities:
        probabilities = np.zeros((len(regions), *image.array.shape), np.uint8)
    inference = replace(inference, thresholds=postprocessing.thresholds(regions))
    masks = find_regions(image, predictor, inference, probabilities=probabilities)
    return postprocessing.apply(masks).labels()


def _load_predictor(model: Predictor | Path | str | Iterable[Path | str]) -> Predictor:
    if not isinstance(model, str | Path | Iterable):
        return model
    from liverseg_tf.predict.models.load import load_predictor

    paths = [model] if isinstance(model, str | Path) else model
    return load_predictor([Path(path) for path in paths])
