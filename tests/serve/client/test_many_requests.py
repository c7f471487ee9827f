"""A thousand requests, eight at a time: a ninth is malformed, a seventh meets a full queue."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.address import ServerAddress
from liverseg_tf.serve.client.served_model import ServedModel
from liverseg_tf.serve.client.transport import ClientOptions

COUNT, IN_FLIGHT, SHAPE = 1000, 8, (8, 12)
MALFORMED = {
    "channels": (np.zeros((1, *SHAPE, 3), np.uint8), "must be float32 of shape"),
    "axes": (np.zeros((1, *SHAPE), np.uint8), "must be float32 of shape"),
}


def _tiles(number):
    return np.random.default_rng(number).integers(0, 256, (1 + number % 3, *SHAPE, 1), np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_no_result_is_wrong_and_no_slice_is_lost(servers, models, local, protocol):
    count = [0]

    def before(signature, inputs):
        count[0] += 1
        if signature == "serving_default" and count[0] % 7 == 0:
            raise servers.Refusal("UNAVAILABLE", "the queue is full")

    models.before = before
    tiles = {number: _tiles(number) for number in range(COUNT)}
    everything = np.concatenate(list(tiles.values()))
    wanted = np.split(
        local.probabilities(everything), np.cumsum([len(one) for one in tiles.values()])[:-1]
    )
    kinds = list(MALFORMED.values())
    told = []

    def ask(number):
        if number % 9:
            return model.probabilities(tiles[number])
        value, says = kinds[number // 9 % 2]
        with pytest.raises(LiverSegError, match=says) as error:
            model.probabilities(value)
        told.append(str(error.value))
        return None

    start = {"grpc": servers.GrpcServer, "rest": servers.RestServer}[protocol]
    with start(models) as server:
        address = ServerAddress.parse(server.address(scheme=protocol))
        options, retry_policy = ClientOptions(2, IN_FLIGHT), RetryPolicy(initial_backoff_s=0.005)
        with (
            ServedModel(address, options=options, retry_policy=retry_policy) as model,
            ThreadPoolExecutor(IN_FLIGHT) as users,
        ):
            found = list(users.map(ask, range(COUNT)))
    for number, (one, right) in enumerate(zip(found, wanted, strict=True)):
        if number % 9:
            np.testing.assert_allclose(one, right, atol=1e-6, err_msg=str(number))
    assert len(told) == len(range(0, COUNT, 9))
    assert all(str(address) in one and "\n" not in one for one in told)
