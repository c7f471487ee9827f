"""The models that `--model` names: runs and exports on this machine, or one on a server."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from liverseg_tf.cli.shared.terminal import say
from liverseg_tf.errors import SettingsError
from liverseg_tf.plural import count

_BUNDLE_SCHEMES = ("https", "http", "hf")


def resolve_models(models: tuple[str, ...]) -> tuple[str, ...]:
    """Return the models with absolute paths, and the runs of a cross-validation in its place.

    A bundle is unpacked, after it was downloaded if necessary; the line that describes it is
    printed on standard error.

    Args:
        models: Paths, names and addresses as they were typed. An empty tuple stands for the
            packaged model.

    Raises:
        SettingsError: If there is no packaged model.
        LiverSegError: If the record of a cross-validation is invalid, or a bundle cannot be used.
    """
    from liverseg_tf.predict.bundles.locate import locate_default_model
    from liverseg_tf.predict.tuning.cross_validation import list_runs

    resolved: list[str] = []
    for model in models or (locate_default_model(),):
        if "://" in model and model.partition("://")[0].lower() not in _BUNDLE_SCHEMES:
            resolved.append(model)
            continue
        path = locate(model)
        resolved += map(str, list_runs(path) or [path])
    return tuple(resolved)


def locate(model: str) -> Path:
    """Return the absolute path of a model; a bundle is described on standard error.

    Args:
        model: Path of a run, an export or a bundle; name or address of a bundle.

    Raises:
        LiverSegError: If a bundle cannot be used.
    """
    from liverseg_tf.predict.bundles.locate import describe_bundle, locate_model

    located = locate_model(model)
    if located.bundle is not None:
        say(describe_bundle(located.bundle), err=True)
    return Path(os.path.abspath(located.path))


def locate_run(model: str) -> str:
    """Return the path of a run as it was typed, or that of an unpacked bundle.

    Raises:
        LiverSegError: If a bundle cannot be used.
    """
    from liverseg_tf.model.bundle.bundle_record import BUNDLE_FILE

    path = locate(model)
    return str(path) if (path / BUNDLE_FILE).is_file() else model


def find_sides(records: list) -> dict[str, str]:
    """Return the side of each case in the splits of models; exports do not know any.

    Args:
        records: Records of runs and exports.
    """
    from liverseg_tf.dataset.split import combine_splits

    splits = []
    for record in records:
        with suppress(SettingsError):
            splits.append(record.split)
    return combine_splits(splits)


@dataclass(frozen=True)
class ModelLoader:
    """Loads the predictor, in this process or in a worker.

    Args:
        models: Paths of runs and exports, or the address of one server.
        mirror: Whether predictions are averaged with those of mirrored slices.
        token_file: File with the access token of the server; if None, the variable
            LIVERSEG_TOKEN is used.
        tls_ca: File with the CA certificates (PEM) that verify the server.
        precision: Precision of runs; None chooses it for the device.
    """

    models: tuple[str, ...]
    mirror: bool = False
    token_file: Path | None = None
    tls_ca: Path | None = None
    precision: str | None = None

    @property
    def on_server(self) -> bool:
        """Whether the model runs on a server.

        Raises:
            SettingsError: If a server is combined with other models, `mirror` or `precision`.
        """
        addresses = ["://" in model for model in self.models]
        if any(addresses) and (len(addresses) > 1 or self.mirror):
            raise SettingsError(
                "Expected a single --model and no --mirror with a model on a server. Received "
                f"{count(len(addresses), 'model')}{' and --mirror' if self.mirror else ''}."
            )
        if addresses[0] and self.precision is not None:
            raise SettingsError(
                "Expected runs together with --precision. Received a model on a server, whose "
                "precision is fixed: leave --precision out."
            )
        return addresses[0]

    def records(self) -> list:
        """Read the record of each model. Models on this machine are not loaded.

        Raises:
            SettingsError: If `mirror` is set and a run was not trained with it, or `precision` is
                set and a model is an export.
            LiverSegError: If a model does not exist.
        """
        from liverseg_tf.model.run_record import read_record
        from liverseg_tf.predict.models.load import check_mirrored, check_precision

        if self.on_server:
            with self() as served:
                return [_ServedRecord(self.models[0], served.network)]
        paths = [Path(model) for model in self.models]
        records = [read_record(path) for path in paths]
        if self.mirror:
            check_mirrored(paths, records)
        check_precision(paths, self.precision)
        return records

    def __call__(self):
        """Load the predictor."""
        if self.on_server:  # needs no TensorFlow on this machine
            from liverseg_tf.serve.client.address import Access, ServerAddress, read_token
            from liverseg_tf.serve.client.served_model import ServedModel

            access = Access(read_token(os.environ, self.token_file), self.tls_ca)
            return ServedModel(ServerAddress.parse(self.models[0]), access)

        from liverseg_tf.predict.models.load import load_predictor

        paths = [Path(path) for path in self.models]
        _import_frameworks(paths)
        return load_predictor(paths, self.mirror, self.precision)


def _import_frameworks(paths: list[Path]) -> None:
    """Import what the models need: ONNX files, and LiteRT files with its runtime, need nothing."""
    from liverseg_tf.model.export_record import LITERT, SAVED_MODEL, find_export_kind

    kinds = {find_export_kind(path) for path in paths}
    if SAVED_MODEL in kinds or (LITERT in kinds and find_spec("ai_edge_litert") is None):
        from liverseg_tf.cli.shared.tensorflow import import_tensorflow

        import_tensorflow()
    elif None in kinds:
        from liverseg_tf.cli.shared.tensorflow import import_backend

        import_backend()


@dataclass(frozen=True)
class _ServedRecord:
    """Record of a model on a server, which does not know the names of cases."""

    address: str
    network: object

    @property
    def split(self) -> dict[str, list[str]]:
        raise SettingsError(
            "Expected a run for its training, validation or test cases. Received "
            f"{self.address}: a model on a server does not know the split. Name the run, or the "
            "cases themselves."
        )
