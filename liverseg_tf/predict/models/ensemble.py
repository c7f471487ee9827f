"""Averages over several predictions of a slice: model ensembles and test-time augmentation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import combine_ranges
from liverseg_tf.model.trust_record import ENSEMBLE, MIRRORED, SINGLE, common_trust
from liverseg_tf.predict.models.predictor import (
    Predictor,
    average_passes,
    identify,
    training_range_of,
    trust_of,
    warnings_of,
)

_NOT_JUDGED = (
    "No mask is judged, since the models differ in what `liverseg trust` measured for them: "
    "measure the cross-validation to which they belong again."
)


def combine_networks(networks: Sequence[NetworkSpec]) -> NetworkSpec:
    """Return the common input and output of several networks.

    Its stride is the least common multiple of theirs.

    Args:
        networks: At least one specification.

    Raises:
        SettingsError: If they differ in anything but the stride.
    """
    first = networks[0]
    for number, other in enumerate(networks[1:], 2):
        for name, (expected, received) in _differences(first, other):
            raise SettingsError(
                f"Expected models with the same {name}. "
                f"Received {expected} for model 1 and {received} for model {number}."
            )
    return replace(first, stride=math.lcm(*(network.stride for network in networks)))


def _differences(first: NetworkSpec, other: NetworkSpec) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the name and both values of each field in which the input or the output differs.

    All fields are compared, so that a field that is added later is compared, too.
    """
    for field in fields(NetworkSpec):
        one, two = getattr(first, field.name), getattr(other, field.name)
        without_context = first.context == other.context == 1
        is_unused = field.name == "context_spacing_mm" and without_context
        if field.name != "stride" and not is_unused and one != two:
            yield field.name, ("none" if one is None else str(one), str(two or "none"))


class Ensemble:
    """The mean of the probabilities of several models.

    Its post-processing consists of the steps that are the same for all models.

    Args:
        predictors: At least one predictor; all have the same input and output.

    Raises:
        SettingsError: If they differ in anything but the stride.
    """

    def __init__(self, predictors: Sequence[Predictor]):
        self.network = combine_networks([predictor.network for predictor in predictors])
        self.postprocessing = predictors[0].postprocessing
        for predictor in predictors[1:]:
            self.postprocessing = self.postprocessing.common_steps(predictor.postprocessing)
        self.fingerprint = "+".join(predictor.fingerprint for predictor in predictors)
        self.warnings = tuple(line for predictor in predictors for line in warnings_of(predictor))
        identities = [identify(predictor) for predictor in predictors]
        self.name = " + ".join(identity.name for identity in identities)
        self.version = " + ".join(identity.version for identity in identities)
        # `liverseg trust` stores the same in all runs of a cross-validation
        known = [trust_of(predictor)[0] for predictor in predictors]
        self.trust = common_trust(known)
        if any(known) and not self.trust:
            self.warnings += (_NOT_JUDGED,)
        self.passes_kind = ENSEMBLE
        self.training_range = combine_ranges([training_range_of(one) for one in predictors])
        self._predictors = predictors

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """Return the probabilities of each model, (batch, h, w, regions) float32."""
        return [predictor.probabilities(tiles) for predictor in self._predictors]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean over the models, (batch, h, w, regions) float32."""
        return average_passes(self.passes(tiles))


class MirroredPredictor:
    """The mean over the tiles and the tiles mirrored left to right (test-time augmentation).

    It is only valid for models that were trained on mirrored tiles. Other models may take a
    mirrored organ for a different one.

    Args:
        predictor: Model that predicts both.
    """

    def __init__(self, predictor: Predictor):
        self.network = predictor.network
        self.postprocessing = predictor.postprocessing
        self.fingerprint = f"{predictor.fingerprint} mirrored"
        self.warnings = warnings_of(predictor)
        identity = identify(predictor)
        self.name, self.version = identity.name, identity.version
        self.trust, kind = trust_of(predictor)
        self.training_range = training_range_of(predictor)
        self.passes_kind = MIRRORED if kind == SINGLE else f"{MIRRORED} {kind}"
        self._predictor = predictor

    def passes(self, tiles: np.ndarray) -> list[np.ndarray]:
        """Return the probabilities of the tiles and of the mirrored tiles, mirrored back."""
        mirrored = self._predictor.probabilities(np.ascontiguousarray(tiles[:, :, ::-1]))
        return [self._predictor.probabilities(tiles), mirrored[:, :, ::-1]]

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean over both passes, (batch, h, w, regions) float32."""
        return average_passes(self.passes(tiles))
