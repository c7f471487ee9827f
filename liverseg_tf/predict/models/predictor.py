"""The interface of every model that predicts, and the mean over several passes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import TrainingRange
from liverseg_tf.model.trust_record import SINGLE, TrustRecord


class Predictor(Protocol):
    """A model that predicts probabilities of tiles: a run, several runs, an export or a server.

    A predictor that averages several passes also has `passes(tiles)`, which returns the
    probabilities of each pass; `probabilities` is their mean. A predictor that works
    asynchronously also has `submit(tiles)`, which returns at once an object with the methods
    `result()` and `cancel()`. It is given the next batch before it has returned the previous one.
    A predictor of which something must be known before it is used also has `warnings`; see
    `warnings_of`. One that knows its name, and perhaps its version, has `name` and `version`; see
    `identify`. One of which is known when not to trust it has `trust`, and `passes_kind` if it
    averages passes; see `trust_of`. One whose training cases are described has `training_range`.

    Attributes:
        network: Input and output of the model.
        postprocessing: Steps that were chosen on the validation cases of the run.
        fingerprint: Identifier that changes whenever the model does.
    """

    network: NetworkSpec
    postprocessing: PostProcessing
    fingerprint: str

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.
        """


def warnings_of(predictor: Predictor) -> tuple[str, ...]:
    """Return what must be known before a model is used, one line each, such as an unfinished run.

    Args:
        predictor: Any model; those without the attribute `warnings` have none.
    """
    return tuple(getattr(predictor, "warnings", ()))


def identify(predictor: Predictor) -> ModelIdentity:
    """Return the name, the version and the fingerprint of a model.

    Args:
        predictor: Any model; one without the attribute `name` is called by its kind.
    """
    return ModelIdentity(
        str(getattr(predictor, "name", type(predictor).__name__)),
        str(getattr(predictor, "version", "")),
        predictor.fingerprint,
    )


def trust_of(predictor: Predictor) -> tuple[TrustRecord, str]:
    """Return what is known about when not to trust a model, and the kind of its passes.

    Args:
        predictor: Any model. Without the attribute `trust`, the record is empty; without
            `passes_kind`, the kind is `single`.
    """
    record = getattr(predictor, "trust", TrustRecord())
    return record, str(getattr(predictor, "passes_kind", SINGLE))


def training_range_of(predictor: Predictor) -> TrainingRange:
    """Return what the training cases of a model were like; an empty record if it is not known."""
    return getattr(predictor, "training_range", TrainingRange())


def digest_knowledge(predictor: Predictor) -> str:
    """Return an identifier of everything with which images and masks are judged.

    It is empty if nothing is known.
    """
    records = trust_of(predictor)[0], training_range_of(predictor)
    return "-".join(record.digest for record in records if record)


def average_passes(passes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean over several passes in float32; a single pass is returned unchanged."""
    if len(passes) == 1:
        return passes[0]
    total = np.add(passes[0], passes[1], dtype=np.float32)
    for output in passes[2:]:
        total += output
    return np.divide(total, np.float32(len(passes)), out=total)
