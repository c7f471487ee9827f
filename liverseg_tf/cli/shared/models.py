"""The models that `--model` names: runs and exports here, or one on a server."""

import os
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.errors import SettingsError


def paths_of(models: tuple[str, ...]) -> tuple[str, ...]:
    """Models as they are typed, with whole paths; a cross-validation stands for its runs.

    Raises:
        LiverSegError: when a cross-validation's record is none.
    """
    from liverseg_tf.predict.tuning.cross_validation import runs_in

    found: list[str] = []
    for model in models:
        if "://" in model:
            found.append(model)
            continue
        path = os.path.abspath(model)
        found += map(str, runs_in(Path(path)) or [path])
    return tuple(found)


@dataclass(frozen=True)
class Models:
    """Loads the predictor, here or in a worker.

    Args:
        given: paths of runs and exports, or one server's address.
        mirror: whether slices are mirrored as well.
        token_file: with the token for the server; LIVERSEG_TOKEN holds it otherwise.
        tls_ca: certificates (PEM) that vouch for the server.
    """

    given: tuple[str, ...]
    mirror: bool = False
    token_file: Path | None = None
    tls_ca: Path | None = None

    @property
    def on_server(self) -> bool:
        """Whether the model is a server's.

        Raises:
            SettingsError: when a server is named beside other models, or is to mirror.
        """
        served = ["://" in name for name in self.given]
        if any(served) and (len(served) > 1 or self.mirror):
            raise SettingsError(
                "Expected one server as --model, and no --mirror. "
                f"Received {len(served)} models{' and --mirror' if self.mirror else ''}."
            )
        return served[0]

    def records(self) -> list:
        """What each model says about itself; those here are not loaded.

        Raises:
            SettingsError: when a run has not seen mirrored slices, and is to.
            LiverSegError: when a model isn't there.
        """
        from liverseg_tf.model.run_record import read_record
        from liverseg_tf.predict.models.load import check_mirrored

        if self.on_server:
            with self() as served:
                return [_Served(served.network)]
        records = [read_record(Path(path)) for path in self.given]
        if self.mirror:
            check_mirrored(self.given, records)
        return records

    def __call__(self):
        """The predictor."""
        if self.on_server:  # no TensorFlow here
            from liverseg_tf.serve.client.address import Access, ServerAddress, read_token
            from liverseg_tf.serve.client.served_model import ServedModel

            access = Access(read_token(os.environ, self.token_file), self.tls_ca)
            return ServedModel(ServerAddress.parse(self.given[0]), access)

        from liverseg_tf.cli.shared.tensorflow import import_tensorflow
        from liverseg_tf.predict.models.load import load_predictor

        import_tensorflow()
        return load_predictor([Path(path) for path in self.given], self.mirror)


@dataclass(frozen=True)
class _Served:
    """A server's model: names of cases stay with the run."""

    network: object

    @property
    def split(self) -> dict[str, list[str]]:
        return {"train": [], "val": [], "test": []}
