"""The batches of a run for `Model.fit` of Keras' TensorFlow backend."""

import keras
import tensorflow as tf

from liverseg_tf.ct.regions import Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.data.mask_codes import MaskCodes
from liverseg_tf.train.data.pipeline import batch_maker, read_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def training_dataset(
    sampler: BatchSampler, settings: TrainSettings, first_step: int = 0
) -> tf.data.Dataset:
    """Return the batches of `read_batches` as a dataset without end.

    Its elements are uint8, so that a GPU receives a quarter of the bytes of float32. They become
    the batches of `training_batches` in the step of an `AugmentingModel`.

    Args:
        sampler: Draws the tiles of a batch.
        settings: Seed, data augmentation and regions.
        first_step: Step of the first batch.

    Returns:
        Dataset of image (tiles, h, w, channels) uint8, mask (tiles, h, w, 1) uint8 labels and, with
        augmentation, its parameters.

    Raises:
        LiverSegError: If a case does not label every region: Keras' losses have no weights for
            single regions.

    Example:
        model = AugmentingModel(network, settings.learnt_regions)
        model.compile("adam", "binary_crossentropy")
        model.fit(training_dataset(sampler, settings), steps_per_epoch=100, shuffle=False)
    """

    if not sampler.codes.are_labels:
        raise LiverSegError(
            "Expected cases that label every region for Model.fit. Received cases that do not: use "
            "`liverseg train`, or a region that all cases label."
        )

    def elements():
        for image, mask, draws in read_batches(sampler, settings, first_step):
            yield (image, mask) if draws is None else (image, mask, draws)

    signature = tf.nest.map_structure(
        lambda values: tf.TensorSpec(values.shape, values.dtype), next(elements())
    )
    dataset = tf.data.Dataset.from_generator(elements, output_signature=signature)
    return dataset.prefetch(tf.data.AUTOTUNE)


class AugmentingModel(keras.Model):
    """A model whose training step takes the batches of `training_dataset` and augments them.

    Args:
        network: Functional model from image (tiles, h, w, channels) to probabilities or logits
            (tiles, h, w, regions). Both models share their weights.
        regions: Regions of the ground truth.
    """

    def __init__(self, network: keras.Model, regions: Regions):
        super().__init__(network.inputs, network.outputs)
        self._make_batch = batch_maker(MaskCodes(regions))

    def train_step(self, batch):
        """Train on a batch of `training_dataset` and return the metrics by name."""
        return super().train_step(self._make_batch(*batch))
