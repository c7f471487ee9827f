"""A model on a server, as a predictor: geometry here, the network there. No TensorFlow."""

import json
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.retry import Retries, RetryPolicy
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.transport import Request, Response, Transport

_PAUSE_S = 1.0  # after which the server may have been replaced without a word
_LARGEST_REQUEST = 32 << 20  # bytes
_MOST_OF_RECORD = 1 << 20  # bytes


@dataclass(frozen=True)
class Sending:
    """How slices are sent.

    Args:
        slices: in one request.
        in_flight: requests at the same time.
    """

    slices: int = 4
    in_flight: int = 4


class ServedModel:
    """A predictor that asks a server.

    The version of the model that the first answer names is asked for from then on, and its
    fingerprint is compared again after every time that the server was away: a mask is never made
    of two models.

    Args:
        address: of the model.
        access: token and authorities.
        patience: with the server.
        sending: how slices are sent.

    Raises:
        SettingsError: when gRPC is not installed, or a token would be sent in the clear.
        LiverSegError: when there is no such server, or no model that liverseg exported.

    Example:
        >>> with ServedModel(ServerAddress.parse("grpc://localhost:8500/liver")) as model:
        ...     mask = segment("ct.nii.gz", model)                     # doctest: +SKIP
    """

    def __init__(
        self,
        address: ServerAddress,
        access: Access = Access(),  # noqa: B008 (frozen)
        retry_policy: RetryPolicy = RetryPolicy(),  # noqa: B008 (frozen)
        sending: Sending = Sending(),
    ):
        self._address, self._access, self._sending = address, access, sending
        self._version = address.version
        self._transport = _transport(address, access, retry_policy)
        self._pool = ThreadPoolExecutor(sending.in_flight, thread_name_prefix="liverseg-client")
        self._retries = Retries(retry_policy, retry_policy.connect_s)
        try:
            response = self._describe()
            self._version = response.version
            self.network, self.postprocessing, self.fingerprint = self._read_record(response)
        except BaseException:
            self.close()
            raise
        self._retries = Retries(retry_policy, retry_policy.outage_s)
        self._seen = 0  # failures after which the fingerprint was compared
        self._heard = time.monotonic()

    def probabilities(self, tiles: np.ndarray) -> np.ndarray:
        """Probabilities of a batch.

        Args:
            tiles: (batch, h, w, channels) uint8; h and w are multiples of the stride.

        Returns:
            (batch, h, w, regions) float32.

        Raises:
            LiverSegError: naming the server, when it refuses, stays away for too long, has
                another model by now, or answers what can't be probabilities of these tiles.
        """
        return self.submit(tiles).result()

    def submit(self, tiles: np.ndarray) -> "SentBatch":
        """Send a batch; its `result()` is what `probabilities` returns.

        Args:
            tiles: (batch, h, w, channels) uint8; must stay as they are until then.
        """
        if time.monotonic() - self._heard > _PAUSE_S:
            self._seen = -1  # compare once this batch is here
        outputs = np.empty((*tiles.shape[:3], len(self.network.regions)), np.float32)
        step = max(1, min(self._sending.slices, _LARGEST_REQUEST // (4 * tiles[0].size)))
        abandoned = threading.Event()
        futures = [
            self._pool.submit(
                self._ask, tiles[place : place + step], outputs[place : place + step], abandoned
            )
            for place in range(0, len(tiles), step)
        ]
        return SentBatch(self, outputs, futures, abandoned)

    def check_same(self) -> None:
        """Compare the fingerprint with the first one, where the server was away meanwhile.

        Raises:
            LiverSegError: when the server has another model by now.
        """
        failures = self._retries.failures
        if self._seen != failures:
            *_, fingerprint = self._read_record(self._describe())
            if fingerprint != self.fingerprint:
                raise LiverSegError(
                    f"Expected {self._address} to stay the model {self.fingerprint}. "
                    f"Received {fingerprint}: another one by now."
                )
            self._seen = failures
        self._heard = time.monotonic()

    def close(self) -> None:
        """Hang up; what is under way is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def __enter__(self) -> "ServedModel":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _ask(self, tiles: np.ndarray, outputs: np.ndarray, abandoned: threading.Event) -> None:
        """Fill `outputs`, (batch, h, w, regions), with one request's answer."""
        request = Request(
            "serving_default", "tiles", tiles, "probabilities", self._version, outputs.size
        )
        response = self._retries.call(lambda: self._transport.ask(request), abandoned)
        values = response.value
        if values.shape != outputs.shape or values.dtype != np.float32:
            raise LiverSegError(
                f"Expected probabilities of shape {outputs.shape} from {self._address}. "
                f"Received {values.dtype} of shape {values.shape}."
            )
        lowest, highest = values.min(), values.max()  # NaN where there is one
        if not (lowest >= 0 and highest <= 1):
            raise LiverSegError(
                f"Expected probabilities of 0 to 1 from {self._address}. "
                f"Received {lowest:g} to {highest:g}."
            )
        self._check_version(response)
        outputs[:] = values

    def _describe(self) -> Response:
        request = Request("describe", "request", np.array([b""], object), "record", self._version)
        response = self._retries.call(lambda: self._transport.ask(request))
        self._check_version(response)
        return response

    def _check_version(self, response: Response) -> None:
        if self._version not in (None, response.version):
            raise LiverSegError(
                f"Expected version {self._version} of {self._address}. "
                f"Received an answer of version {response.version}."
            )

    def _read_record(self, response: Response) -> tuple[NetworkSpec, PostProcessing, str]:
        values = response.value
        try:
            if values.shape != (1,) or values.dtype != object or len(values[0]) > _MOST_OF_RECORD:
                raise ValueError("something else than a record")
            record = json.loads(values[0])
            network = NetworkSpec.from_json(record["network"])
            postprocessing = PostProcessing.from_json(record.get("postprocessing", {}))
            postprocessing.check(network.regions)
            fingerprint = record["fingerprint"]
            if not re.fullmatch(r"[ -~]{1,500}", fingerprint):
                raise ValueError("no fingerprint")
        except (LookupError, TypeError, ValueError, RecursionError, LiverSegError) as error:
            raise LiverSegError(
                f"Expected the record of a model that liverseg exported at {self._address}. "
                f"Received: {self._access.tell(error)}"
            ) from error
        return network, postprocessing, fingerprint


@dataclass(frozen=True)
class SentBatch:
    """A batch that is under way, in several requests.

    Args:
        model: that sent it.
        outputs: (batch, h, w, regions) float32, being filled.
        futures: of the requests.
        abandoned: set when nobody waits for them any more.
    """

    model: ServedModel
    outputs: np.ndarray
    futures: Sequence[Future]
    abandoned: threading.Event

    def result(self) -> np.ndarray:
        """The probabilities, once all requests are answered; see `ServedModel.probabilities`."""
        try:
            for future in self.futures:
                future.result()
            self.model.check_same()
        except BaseException:
            self.cancel()
            raise
        return self.outputs

    def cancel(self) -> None:
        """Send nothing more of it."""
        self.abandoned.set()
        for future in self.futures:
            future.cancel()


def _transport(address: ServerAddress, access: Access, retry_policy: RetryPolicy) -> Transport:
    if address.scheme.startswith("grpc"):
        from liverseg_tf.serve.client.grpc_transport import GrpcTransport

        return GrpcTransport(address, access, retry_policy)
    from liverseg_tf.serve.client.rest_transport import RestTransport

    return RestTransport(address, access, retry_policy)
