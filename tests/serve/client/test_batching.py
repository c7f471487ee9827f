"""Several patients at once, with a server that merges requests and with one that does not."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving_batches import BatchingRefusal, BatchingSession

from liverseg_tf.errors import LiverSegError
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.address import ServerAddress
from liverseg_tf.serve.client.served_model import ServedModel
from liverseg_tf.serve.client.transport import ClientOptions
from liverseg_tf.serve.export.server_files import BATCHING, docker_command, write_server_files

HASTY = RetryPolicy(initial_backoff_s=0.01, max_backoff_s=0.5)


@pytest.fixture
def parameters(tmp_path):
    """The contents of the batching parameters that an export writes."""
    write_server_files(tmp_path, "liver")
    return (tmp_path / BATCHING).read_text()


def _model(server, protocol, **options):
    return ServedModel(ServerAddress.parse(server.address("liver", protocol)), **options)


@pytest.mark.parametrize("batching", ["as the printed command", "with --enable_batching"])
def test_four_clients_predict_four_patients_at_the_same_time(
    start, models, local, make_volumes, predict_labels, parameters, batching
):
    printed = docker_command(Path("models"))
    if batching == "with --enable_batching" or "--enable_batching" in printed:
        longer = parameters.replace("{ value: 2000 }", "{ value: 50000 }")  # so that they do meet
        models.batching = BatchingSession(longer)
    protocol = "rest" if "Rest" in start.__name__ else "grpc"
    images = [make_volumes(n, (5, 24 + 8 * n, 32 + 8 * n))[0] for n in range(4)]
    ready = threading.Barrier(4)

    def predict(image):
        with _model(server, protocol, retry_policy=HASTY) as model:
            ready.wait()
            return predict_labels(image, model)

    with start(models) as server, ThreadPoolExecutor(4) as clients:
        found = list(clients.map(predict, images))
    for image, mask in zip(images, found, strict=True):
        np.testing.assert_array_equal(mask.array, predict_labels(image, local).array)
    if models.batching is not None:
        assert models.batching.refused > 0  # requests of several patients met


def test_the_printed_command_does_not_merge_requests_of_several_patients():
    assert "batching" not in docker_command(Path("models"))


def test_only_the_request_that_failed_is_sent_again(servers, models, parameters):
    models.batching = BatchingSession(parameters)
    asked, left = [], [2]

    def before(signature, inputs):
        if signature == "serving_default":
            asked.append(int(inputs["tiles"][0, 0, 0, 0]))
            if asked[-1] == 3 and left[0]:
                left[0] -= 1
                raise servers.Refusal(
                    "FAILED_PRECONDITION",
                    "Tensors with name 'tiles' from different tasks have different shapes",
                )

    models.before = before
    tiles = np.zeros((5, 8, 8, 1), np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None, None]
    with (
        servers.GrpcServer(models) as server,
        _model(server, "grpc", options=ClientOptions(1, 2), retry_policy=HASTY) as model,
    ):
        model.probabilities(tiles)
    assert sorted(asked) == [0, 1, 2, 3, 3, 3, 4]


@pytest.mark.parametrize("details", ["different shapes and padding is turned off", "other"])
def test_a_request_that_never_succeeds_is_told_what_to_do(start, servers, models, details):
    def before(signature, inputs):
        if signature == "serving_default":
            raise servers.Refusal("FAILED_PRECONDITION", details)

    models.before = before
    protocol = "rest" if "Rest" in start.__name__ else "grpc"
    policy = RetryPolicy(deadline_s=0.2, initial_backoff_s=0.01)
    with (
        start(models) as server,
        _model(server, protocol, retry_policy=policy) as model,
        pytest.raises(LiverSegError, match="FAILED_PRECONDITION") as error,
    ):
        model.probabilities(np.zeros((1, 8, 8, 1), np.uint8))
    hint = "start it without --enable_batching" in str(error.value)
    assert hint == ("shapes" in details)
    assert ("retries" in str(error.value)) == hint  # any other reason is final


def _run_together(session, shapes):
    ready = threading.Barrier(len(shapes))

    def run(shape):
        ready.wait()
        try:
            return session.run("a", {"x": np.zeros(shape)}, lambda values: {"y": values["x"] + 1})
        except BatchingRefusal as error:
            return error.args[0]

    with ThreadPoolExecutor(len(shapes)) as users:
        return list(users.map(run, shapes))


PARAMETERS = """
max_batch_size { value: 6 }
batch_timeout_micros { value: 200000 }
num_batch_threads { value: 2 }
"""


def test_the_test_server_merges_and_refuses_as_the_batching_session_does():
    session = BatchingSession(PARAMETERS)
    merged = _run_together(session, [(1, 4), (2, 4), (3, 4)])
    assert [one["y"].shape for one in merged] == [(1, 4), (2, 4), (3, 4)]
    assert session.merged == 3
    assert _run_together(session, [(1, 4), (2, 8)]) == ["FAILED_PRECONDITION"] * 2
    assert _run_together(session, [(7, 4)]) == ["INVALID_ARGUMENT"]
    split = "\nenable_large_batch_splitting { value: true }\nmax_execution_batch_size { value: 2 }"
    session = BatchingSession(PARAMETERS + split)
    assert _run_together(session, [(5, 4)])[0]["y"].shape == (5, 4)


def test_the_exported_parameters_accept_large_requests(parameters):
    session = BatchingSession(parameters)
    assert _run_together(session, [(100, 4)])[0]["y"].shape == (100, 4)
