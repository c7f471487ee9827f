"""The record of a model on a server, which comes over the network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.model.training_range import TrainingRange
from liverseg_tf.model.trust_record import TrustRecord
from liverseg_tf.records import decode_record


@dataclass(frozen=True)
class ServedRecord:
    """What a client needs to know of a model; see `ExportRecord`.

    Args:
        network: Input and output of the model.
        postprocessing: Steps that were chosen on the validation cases of the run.
        fingerprint: Identifier that changes whenever the model does.
        warnings: What must be known before the model is used, one line each.
        trust: When not to trust its masks.
        training_range: What its training cases were like; empty if that is not known.
    """

    network: NetworkSpec
    postprocessing: PostProcessing
    fingerprint: str
    warnings: tuple[str, ...]
    trust: TrustRecord
    training_range: TrainingRange

    @classmethod
    def decode(cls, content: bytes, sanitise: Callable[[object], str]) -> "ServedRecord":
        """Decode the record that a server sent.

        Args:
            content: JSON in UTF-8.
            sanitise: Function that makes text of a server safe to print.

        Raises:
            LiverSegError: If it is no such record.
        """
        entries = decode_record(content, _Entries, "the record of the model")
        record = cls(
            NetworkSpec.from_json(entries.network),
            PostProcessing.from_json(entries.postprocessing),
            entries.fingerprint,
            tuple(map(sanitise, entries.export.warnings)),
            TrustRecord.from_json(entries.trust),
            TrainingRange.from_json(entries.training_range),
        )
        record.postprocessing.check(record.network.regions)
        record.trust.check(record.network.regions)
        record.training_range.check(record.network.regions)
        return record


@dataclass(frozen=True)
class _Export:
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entries:
    """The JSON values of the record that the client needs."""

    network: dict[str, Any]
    fingerprint: Annotated[str, Meta(pattern="^[ -~]{1,500}$")]
    postprocessing: dict[str, Any] = field(default_factory=dict)
    trust: dict[str, Any] = field(default_factory=dict)
    training_range: dict[str, Any] = field(default_factory=dict)
    export: _Export = _Export()
