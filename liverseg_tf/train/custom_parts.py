"""The parts of a training that the caller hands over as objects: loss, network, augmentation."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import keras
import numpy as np
from keras import ops

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.custom_code import CodeOrigin, describe_code
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.custom_augmentation import AugmentingSampler
from liverseg_tf.train.data.lesion_tiles import LesionSampler, LesionShare
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.network.custom_model import (
    check_outputs,
    copy_model,
    find_stride,
    logits_of,
    with_probabilities,
)
from liverseg_tf.train.network.losses import LOSSES
from liverseg_tf.train.settings import TrainSettings

CUSTOM_LOSS = "custom"  # the setting of a run to which the caller handed over a loss
# settings that describe the U-Net, and would have no effect on another network
_NETWORK_SETTINGS = (
    "base_filters",
    "depth",
    "patch",
    "stem_filters",
    "residual",
    "attention",
    "normalisation",
    "dropout",
    "encoder",
    "encoder_weights",
    "init_from",
    "deep_supervision",
)


@dataclass(frozen=True, eq=False)
class CustomParts:
    """Objects of the caller that take the place of the parts that the settings name.

    A run records where they come from, and never imports them; see `custom_code`.

    Args:
        loss: Loss as in `keras.Model.compile`: a function, or an object of `keras.losses.Loss`, of
            ground truth and probabilities, both (batch, h, w, regions) float32; of logits if its
            attribute `from_logits` is True. `TrainSettings.loss` is then 'custom'.
        model: Functional or sequential network from tiles (batch, h, w, channels), 0 to 255, to
            (batch, h, w, regions). Training starts with its weights, and does not change it.
        from_logits: Whether the network returns logits instead of probabilities.
        augment: Function of a tile, see `augment_tiles`. `TrainSettings.augment` is then 0.
    """

    loss: Callable | None = None
    model: keras.Model | None = None
    from_logits: bool = False
    augment: Callable | None = None

    def origins(self) -> dict[str, CodeOrigin]:
        """Return where the objects come from, by the name of the part."""
        parts = {"loss": self.loss, "model": self.model, "augment": self.augment}
        return {name: describe_code(part) for name, part in parts.items() if part is not None}

    def notes(self) -> tuple[str, ...]:
        """Return remarks for the user on parts of which the source is not known."""
        return tuple(
            f"The source of {name} ({origin}) is not known: a run that continues cannot tell "
            "whether it has changed."
            for name, origin in self.origins().items()
            if origin.source_hash is None
        )

    def network_spec(self, network: NetworkSpec) -> NetworkSpec:
        """Return the specification of a network with the stride of the caller's model, if any."""
        if self.model is None:
            return network
        copy = copy_model(self.model, network.channels, len(network.regions))
        return replace(network, stride=find_stride(copy))

    def training_model(self, network: NetworkSpec) -> keras.Model:
        """Copy the caller's model, and check that it returns probabilities if it should."""
        copy = self.inference_model(network.channels, len(network.regions))
        generator = np.random.default_rng(0)
        shape = (1, *network.padded((64, 64)), network.channels)
        check_outputs(copy.predict_on_batch, generator.integers(0, 256, shape, np.uint8))
        assert self.model is not None, "the U-Net is built from the settings"
        return copy_model(self.model, network.channels, len(network.regions))

    def inference_model(self, channels: int, regions: int) -> keras.Model:
        """Copy the caller's model to one that returns probabilities."""
        assert self.model is not None, "the U-Net is built from the settings"
        return with_probabilities(copy_model(self.model, channels, regions), self.from_logits)

    def make_sampler(
        self, store: TileStore, network: NetworkSpec, settings: TrainSettings
    ) -> BatchSampler:
        """Make the sampler of the training cases, with the caller's augmentation.

        Raises:
            LiverSegError: As `BatchSampler`, or if a case does not label every region and the loss
                is the caller's, which cannot leave out voxels.
        """
        arguments = (
            store,
            store.split["train"],
            network,
            settings.batch_size,
            settings.foreground_fraction,
            settings.auxiliary,
        )
        if settings.synthetic_lesions:
            share = LesionShare(
                settings.synthetic_lesions,
                settings.seed,
                settings.lookalikes,
                settings.cysts_are_lesions,
            )
            sampler: BatchSampler = LesionSampler(share, *arguments)
        else:
            sampler = BatchSampler(*arguments) if self.augment is None else self._augment(arguments)
        if self.loss is not None and not sampler.codes.are_labels:
            raise LiverSegError(
                "Expected training cases that label every region together with a loss of your own. "
                "Received cases that do not: use regions that all cases label."
            )
        return sampler

    def _augment(self, arguments: tuple) -> AugmentingSampler:
        sampler = AugmentingSampler(*arguments)
        assert self.augment is not None, "checked by the caller"
        sampler.function = self.augment
        return sampler

    def cache_choice(self, settings: TrainSettings, enabled: bool | None) -> bool | None:
        """Return whether tiles stay on the device; None leaves it to the free memory.

        The caller's functions do not run there, and lesions are drawn where tiles are read.

        Raises:
            SettingsError: If tiles are to stay on the device and cannot.
        """
        if settings.synthetic_lesions:
            reason = "synthetic_lesions, which are drawn where tiles are read"
        elif self.augment is not None or self.model is not None:
            reason = "a model or an augmentation of your own"
        else:
            return enabled
        if enabled:
            raise SettingsError(
                f"Expected no cache_on_device together with {reason}. Received it: it would have "
                "no effect."
            )
        return False

    @property
    def precision(self) -> str | None:
        """The precision to train in, or None for that of the machine."""
        return None if self.model is None else "float32"

    def check_precision(self, precision: str) -> None:
        """Refuse half precision for a network of the caller, whose layers may not suit it."""
        if self.precision not in (None, precision):
            raise SettingsError(
                f"Expected the precision {self.precision} together with a model of your own. "
                f"Received {precision}."
            )

    def compute_logits(self, outputs):
        """Return the logits of the outputs of the network."""
        return outputs if self.model is None or self.from_logits else logits_of(outputs)

    def loss_function(self, name: str) -> Callable:
        """Return the function of ground truth, logits and `LossWeights` to the loss of a batch.

        Args:
            name: Name of the loss in the settings.
        """
        if self.loss is None:
            return LOSSES[name]
        loss, from_logits = self.loss, getattr(self.loss, "from_logits", False)

        def compute(truth, logits, weights):
            return ops.mean(loss(truth, logits if from_logits else ops.sigmoid(logits)))

        return compute

    def check(self, settings: TrainSettings) -> None:
        """Check that the parts agree with the settings.

        Args:
            settings: Settings of the run.

        Raises:
            SettingsError: If a part is missing, is no function, or leaves a setting without effect.
        """
        for name, part in (("loss", self.loss), ("augment", self.augment)):
            if part is not None and not callable(part):
                raise SettingsError(
                    f"Expected {name} as a function. Received an object of class "
                    f"{type(part).__name__}."
                )
        if (self.loss is not None) != (settings.loss == CUSTOM_LOSS):
            raise SettingsError(
                f"Expected a loss of your own together with the setting loss {CUSTOM_LOSS}. "
                f"Received the setting {settings.loss} and "
                f"{'a' if self.loss is not None else 'no'} loss: hand it over in train_model."
            )
        if self.augment is not None and settings.augment:
            raise SettingsError(
                "Expected the setting augment 0 together with an augmentation of your own. "
                f"Received {settings.augment:g}."
            )
        if self.augment is not None and settings.synthetic_lesions:
            raise SettingsError(
                "Expected the setting synthetic_lesions 0 together with an augmentation of your "
                f"own. Received {settings.synthetic_lesions:g}."
            )
        if self.from_logits and self.model is None:
            raise SettingsError("Expected from_logits together with a model of your own.")
        if (self.loss, self.model) != (None, None) and settings.auxiliary is not None:
            raise SettingsError(
                "Expected no auxiliary regions together with a loss or a model of your own. "
                f"Received {', '.join(settings.auxiliary.names)}."
            )
        if self.model is not None:
            self._check_network_settings(settings)

    def _check_network_settings(self, settings: TrainSettings) -> None:
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.name in _NETWORK_SETTINGS and value != field.default:
                raise SettingsError(
                    f"Expected no setting {field.name} together with a model of your own, on which "
                    f"it has no effect. Received {value}."
                )
