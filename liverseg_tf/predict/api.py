"""A mask for a volume, without files."""

from collections.abc import Sequence
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
    inference: Inference = Inference(),  # noqa: B008 (frozen)
) -> Volume:
    """Segment a volume.

    Args:
        image: a volume (HU or MR units, any axis order), or the file to read it from.
        model: a run's folder, several of them (their probabilities are averaged), or a
            predictor that was loaded once for many images.
        postprocessing: of the masks; None takes what the model's validation chose.
        inference: how slices go through the network.

    Returns:
        uint8 labels on the image's grid, with its header; nothing is written.

    Raises:
        LiverSegError: when the image or the model can't be used.

    Example:
        >>> mask = segment("ct.nii.gz", "run")                        # doctest: +SKIP
        >>> mask.array.shape, mask.array.max()                        # doctest: +SKIP
        ((75, 512, 512), 2)
    """
    predictor = _predictor(model)
    if isinstance(image, Volume):
        check_image(image)
    else:
        image = read_input(Path(image), predictor.network.tiles.channel)
    chosen = predictor.postprocessing if postprocessing is None else postprocessing
    probabilities = None
    if chosen.needs_probabilities:
        shape = (len(predictor.network.regions), *image.array.shape)
        probabilities = np.zeros(shape, np.uint8)
    inference = replace(inference, thresholds=chosen.thresholds(predictor.network.regions))
    found = find_regions(image, predictor, inference, probabilities=probabilities)
    return chosen.apply(found).labels()


def _predictor(model) -> Predictor:
    if hasattr(model, "probabilities"):
        return model
    from liverseg_tf.predict.models.load import load_predictor

    return load_predictor([model] if isinstance(model, str | Path) else list(model))
