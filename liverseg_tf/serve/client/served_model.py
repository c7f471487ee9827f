"""A model on a server as a predictor, without TensorFlow: only the network runs there."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.models.probabilities import check_probabilities
from liverseg_tf.retry import Retries, RetryPolicy
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.served_record import ServedRecord
from liverseg_tf.serve.client.transport import ClientOptions, Request, Response, Transport

_MAX_PAUSE_S = 1.0  # during a longer one, the server may have been replaced without a failure
_MAX_REQUEST_BYTES = 32 << 20
_MAX_RECORD_BYTES = 1 << 20


class ServedModel:
    """A predictor that sends its batches to a server.

    All requests use the version of the model that sent the first response. Its fingerprint is
    compared again whenever the server was unavailable, so that a mask is never made by two models.

    Args:
        address: Address of the model.
        access: Token and certificates.
        options: Size, number and timeouts of requests.
        retry_policy: Retries while the server is unavailable. For the first contact, the connect
            timeout takes the place of the deadline.

    Raises:
        SettingsError: If gRPC is not installed, or a token would be sent without encryption.
        LiverSegError: If there is no such server, or its model was not exported by liverseg.

    Example:
        >>> with ServedModel(ServerAddress.parse("grpc://localhost:8500/liver")) as model:
        ...     mask = segment("ct.nii.gz", model)                     # doctest: +SKIP
    """

    def __init__(
        self,
        address: ServerAddress,
        access: Access = Access(),
        options: ClientOptions = ClientOptions(),
        retry_policy: RetryPolicy = RetryPolicy(),
    ):
        self._address, self._access, self._options = address, access, options
        self.name, self._version = address.name, address.version
        self._transport = _open_transport(address, access, options, retry_policy)
        self._pool = ThreadPoolExecutor(options.concurrency, thread_name_prefix="liverseg-client")
        self._retries = Retries(replace(retry_policy, deadline_s=options.connect_timeout_s))
        try:
            response = self._describe()
            self._version, self.version = response.version, str(response.version)
            record = self._read_record(response)
            self.network, self.postprocessing = record.network, record.postprocessing
            self.fingerprint, self.warnings = record.fingerprint, record.warnings
            self.trust, self.training_range = record.trust, record.training_range
        except BaseException:
            self.close()
            raise
        self._retries = Retries(retry_policy)
        self._checked_failures = 0  # number of failures at the last check of the fingerprint
        self._checked_at = time.monotonic()

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Predict a batch.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.

        Raises:
            LiverSegError: If the server rejects a request, is unavailable for too long, has
                another model than before, or sends values that are not probabilities of these
                tiles. The message names the server.
        """
        return self.submit(tiles).result()

    def submit(self, tiles: np.ndarray) -> "PendingBatch":
        """Send a batch without waiting; `result()` of the returned object is `probabilities`.

        Args:
            tiles: (batch, h, w, channels) uint8. They must not change before the result is read.
        """
        if time.monotonic() - self._checked_at > _MAX_PAUSE_S:
            self._checked_failures = -1  # check the fingerprint after this batch
        outputs = np.empty((*tiles.shape[:3], len(self.network.regions)), np.float32)
        step = max(1, min(self._options.slices, _MAX_REQUEST_BYTES // (4 * tiles[0].size)))
        cancelled = threading.Event()
        futures = [
            self._pool.submit(
                self._predict, tiles[start : start + step], outputs[start : start + step], cancelled
            )
            for start in range(0, len(tiles), step)
        ]
        return PendingBatch(self, outputs, futures, cancelled)

    def check_fingerprint(self) -> None:
        """Check that the server still has the same model, if it was unavailable in the meantime.

        Raises:
            LiverSegError: If the server has another model.
        """
        failures = self._retries.failures
        if self._checked_failures != failures:
            fingerprint = self._read_record(self._describe()).fingerprint
            if fingerprint != self.fingerprint:
                raise LiverSegError(
                    f"Expected {self._address} to stay the model {self.fingerprint}. "
                    f"Received {fingerprint}: the model was replaced during the prediction."
                )
            self._checked_failures = failures
        self._checked_at = time.monotonic()

    def close(self) -> None:
        """Close the connection and cancel the requests in progress."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def __enter__(self) -> "ServedModel":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _predict(self, tiles: np.ndarray, outputs: np.ndarray, cancelled: threading.Event) -> None:
        """Fill `outputs`, (batch, h, w, regions), with the response to one request."""
        request = Request(
            "serving_default", "tiles", tiles, "probabilities", self._version, outputs.size
        )
        response = self._retries.call(lambda: self._transport.call(request), cancelled)
        values = response.value
        check_probabilities(values, outputs.shape, str(self._address))
        self._check_version(response)
        outputs[:] = values

    def _describe(self) -> Response:
        """Request the record of the model."""
        request = Request("describe", "request", np.array([b""], object), "record", self._version)
        response = self._retries.call(lambda: self._transport.call(request))
        self._check_version(response)
        return response

    def _check_version(self, response: Response) -> None:
        if self._version not in (None, response.version):
            raise LiverSegError(
                f"Expected version {self._version} of {self._address}. "
                f"Received an answer of version {response.version}."
            )

    def _read_record(self, response: Response) -> ServedRecord:
        """Read the record of the model."""
        values = response.value
        try:
            if values.shape != (1,) or values.dtype != object or len(values[0]) > _MAX_RECORD_BYTES:
                raise LiverSegError("values that are not a record")
            return ServedRecord.decode(values[0], self._access.sanitise)
        except LiverSegError as error:
            raise LiverSegError(
                f"Expected the record of a model that liverseg exported at {self._address}. "
                f"Received: {self._access.sanitise(error)}"
            ) from error


@dataclass(frozen=True)
class PendingBatch:
    """A batch whose requests are in progress.

    Args:
        model: Model that sent the batch.
        outputs: (batch, h, w, regions) float32, which the responses fill.
        futures: Futures of the requests.
        cancelled: Event that prevents retries of the requests.
    """

    model: ServedModel
    outputs: np.ndarray
    futures: Sequence[Future]
    cancelled: threading.Event

    def result(self) -> np.ndarray:
        """Wait for all responses and return the probabilities; see `ServedModel.probabilities`."""
        try:
            for future in self.futures:
                future.result()
            self.model.check_fingerprint()
        except BaseException:
            self.cancel()
            raise
        return self.outputs

    def cancel(self) -> None:
        """Cancel the requests that have not been sent, and all retries."""
        self.cancelled.set()
        for future in self.futures:
            future.cancel()


def _open_transport(
    address: ServerAddress, access: Access, options: ClientOptions, retry_policy: RetryPolicy
) -> Transport:
    if address.scheme.startswith("grpc"):
        from liverseg_tf.serve.client.grpc_transport import GrpcTransport

        return GrpcTransport(address, access, options, retry_policy)
    from liverseg_tf.serve.client.rest_transport import RestTransport

    return RestTransport(address, access, options)
