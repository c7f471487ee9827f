"""The client with servers that respond correctly, fail, or send invalid responses."""

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.segment_volume import Inference
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.served_model import ServedModel
from liverseg_tf.serve.client.transport import ClientOptions

TOKEN = "s3cr3t-t0ken"


def _model(server, name="liver", **options):
    protocol = "rest" if type(server).__name__ == "RestServer" else "grpc"
    return ServedModel(ServerAddress.parse(server.address(name, protocol)), **options)


def _tiles(batch=8, shape=(16, 20), channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (batch, *shape, channels), np.uint8)


def test_probabilities_equal_those_of_the_local_model(start, models, local):
    with start(models) as server, _model(server) as model:
        assert model.network == local.network
        assert model.fingerprint == local.fingerprint
        for batch in (1, 3, 8):
            found = model.probabilities(_tiles(batch))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, local.probabilities(_tiles(batch)), atol=1e-6)


@pytest.mark.parametrize("name", ["liver", "wide"])
def test_masks_equal_those_of_the_local_model(
    start, models, local_model, name, make_volumes, predict_labels
):
    image, _ = make_volumes(0, (21, 40, 44))
    with start(models) as server, _model(server, name) as model:
        served = predict_labels(image, model)
    own = predict_labels(image, local_model(name))
    np.testing.assert_array_equal(served.array, own.array)
    assert set(np.unique(own.array)) == {0, 1, 2}


def test_slices_are_sent_in_concurrent_requests(start, models):
    lock, now, most, sizes = threading.Lock(), 0, 0, []

    def before(signature, inputs):
        nonlocal now, most
        if signature == "describe":
            return
        with lock:
            now += 1
            most = max(most, now)
            sizes.append(len(inputs["tiles"]))
        time.sleep(0.05)
        with lock:
            now -= 1

    models.before = before
    with start(models) as server, _model(server, options=ClientOptions(2, 3)) as model:
        model.probabilities(_tiles(13))
    assert sorted(sizes) == [1, 2, 2, 2, 2, 2, 2]
    assert most == 3


def test_a_batch_is_sent_before_the_previous_one_is_finished(
    servers, models, make_volumes, predict_labels
):
    open_batches, seen = set(), []

    class Watched(ServedModel):
        def submit(self, tiles):
            sent = super().submit(tiles)
            open_batches.add(id(sent.outputs))
            seen.append(len(open_batches))
            return sent

        def check_fingerprint(self):
            super().check_fingerprint()
            open_batches.pop()

    image, _ = make_volumes(0, (21, 40, 44))
    with servers.GrpcServer(models) as server:
        address = ServerAddress.parse(server.address())
        with Watched(address) as model:
            predict_labels(image, model, Inference(4, crop=False))
    assert seen == [1, 2, 2, 2, 2, 2]


ERRORS = ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "INTERNAL"]


@pytest.mark.parametrize("code", ERRORS)
def test_a_rejected_request_is_one_line_with_server_and_reason_and_is_not_retried(
    servers, start, models, code, impatient
):
    asked = []

    def before(signature, inputs):
        if signature == "serving_default":
            asked.append(signature)
            raise servers.Refusal(code, "there is\nno room")

    models.before = before
    with start(models) as server, _model(server, **impatient) as model:
        with pytest.raises(LiverSegError, match="there is no room") as error:
            model.probabilities(_tiles(1))
        assert f"127.0.0.1:{server.port}/liver" in str(error.value)
        assert code in str(error.value) or "(500)" in str(error.value)
        assert "\n" not in str(error.value)
        assert len(asked) == 1


def test_a_slow_response_times_out(start, models):
    models.signatures("liver", 1)  # loading it takes longer than the time limit
    released = threading.Event()
    models.before = lambda signature, inputs: signature == "describe" or released.wait(60)
    options = ClientOptions(request_timeout_s=2)  # also for the record of the model, which is sent
    with start(models) as server, _model(server, options=options) as model:
        # the response is never sent before the end of this call
        with pytest.raises(LiverSegError, match=r"DEADLINE_EXCEEDED: no answer within 2 s"):
            model.probabilities(_tiles(1))
        released.set()


def _refuses(servers, code, times):
    """A server's `before` that rejects the first requests, and the number that are left."""
    left = {"count": times}

    def before(signature, inputs):
        if signature == "serving_default" and left["count"]:
            left["count"] -= 1
            raise servers.Refusal(code, "shutting down")

    return before, left


def test_a_server_that_is_unavailable_for_a_moment_is_retried(servers, start, models, local):
    models.before, left = _refuses(servers, "UNAVAILABLE", 5)
    retry_policy = RetryPolicy(initial_backoff_s=0.01)
    with start(models) as server, _model(server, retry_policy=retry_policy) as model:
        found = model.probabilities(_tiles())
        np.testing.assert_allclose(found, local.probabilities(_tiles()), atol=1e-6)
    assert left["count"] == 0


def test_requests_that_a_stopping_server_cancels_are_retried(servers, models, local):
    # gRPC's own server sends UNAVAILABLE or, when it is stopped faster, CANCELLED
    models.before, left = _refuses(servers, "CANCELLED", 3)
    retry_policy = RetryPolicy(initial_backoff_s=0.01)
    with servers.GrpcServer(models) as server, _model(server, retry_policy=retry_policy) as model:
        found = model.probabilities(_tiles())
        np.testing.assert_allclose(found, local.probabilities(_tiles()), atol=1e-6)
    assert left["count"] == 0


def test_the_deadline_for_an_unavailable_server_is_waited_for_once(start, models, impatient):
    with start(models) as server:
        model = _model(server, **impatient)
    with model:
        with pytest.raises(LiverSegError, match=r"UNAVAILABLE.*, after \d+ retries$"):
            model.probabilities(_tiles(1))
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(LiverSegError, match="UNAVAILABLE"):
                model.probabilities(_tiles(1))
        assert time.monotonic() - started < 10  # not 20 times the deadline


def _restart(server, start, models, wait_s=0.2):
    """Stop a server and soon start another one on its port, which is added to the list."""
    again = []

    def restart():
        server.stop()
        time.sleep(wait_s)
        again.append(start(models, port=server.port).__enter__())

    thread = threading.Thread(target=restart)
    thread.start()
    return thread, again


@pytest.mark.parametrize("change", ["none", "version", "model"])
def test_a_restart_in_the_middle_of_a_volume(
    servers, start, models, change, make_volumes, predict_labels
):
    image, _ = make_volumes(0, (41, 24, 28))
    inference = Inference(4, crop=False)
    after = replace(models, served={2} if change == "version" else {1})
    if change == "model":  # another model under the same version
        after.after = lambda signature, outputs: (
            {key: _renamed(value) for key, value in outputs.items()}
            if signature == "describe"
            else outputs
        )
    count, reached, restarted = [0], threading.Event(), threading.Event()

    def before(signature, inputs):
        if signature == "serving_default":
            count[0] += 1
            if count[0] == 7:
                reached.set()
                restarted.wait(5)
                raise servers.Refusal("UNAVAILABLE", "shutting down")

    options = ClientOptions(connect_timeout_s=2)
    retry_policy = RetryPolicy(deadline_s=10, initial_backoff_s=0.05, max_backoff_s=0.2)
    with (
        start(models) as server,
        _model(server, options=options, retry_policy=retry_policy) as model,
    ):
        whole = predict_labels(image, model, inference)
        models.before = before
        threads = []

        def watch():
            assert reached.wait(10)
            threads.append(_restart(server, start, after))
            restarted.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            if change == "none":
                found = predict_labels(image, model, inference)
                np.testing.assert_array_equal(found.array, whole.array)
            else:
                says = "NOT_FOUND" if change == "version" else "to stay the model model-1"
                with pytest.raises(LiverSegError, match=says):
                    predict_labels(image, model, inference)
        finally:
            watcher.join()
            thread, again = threads[0]
            thread.join()
            again[0].stop()


def test_requests_in_progress_when_a_server_stops_are_retried(start, models, local):
    reached, stopped = threading.Barrier(4, timeout=10), threading.Event()

    def before(signature, inputs):
        if signature == "serving_default" and not stopped.is_set():
            reached.wait()
            stopped.wait(10)

    models.before = before
    options = ClientOptions(slices=2, concurrency=3, connect_timeout_s=2)
    retry_policy = RetryPolicy(deadline_s=10, initial_backoff_s=0.05, max_backoff_s=0.2)
    with (
        start(models) as server,
        _model(server, retry_policy=retry_policy, options=options) as model,
    ):
        sent = model.submit(_tiles(6))
        reached.wait()  # the server has received three requests
        thread, again = _restart(server, start, models)
        time.sleep(0.1)
        stopped.set()
        try:
            np.testing.assert_allclose(sent.result(), local.probabilities(_tiles(6)), atol=1e-6)
        finally:
            thread.join()
            again[0].stop()


def _renamed(record):
    return np.array([one.replace(b"model-1", b"model-9") for one in record], object)


def test_a_model_that_is_replaced_during_a_pause_is_detected(start, models, monkeypatch):
    monkeypatch.setattr("liverseg_tf.serve.client.served_model._MAX_PAUSE_S", 0.0)
    with start(models) as server, _model(server) as model:
        model.probabilities(_tiles(1))
        models.after = lambda signature, outputs: (
            {"record": _renamed(outputs["record"])} if signature == "describe" else outputs
        )
        with pytest.raises(LiverSegError, match="Received model-9"):
            model.probabilities(_tiles(1))


def _change(values):
    """A function that changes the probabilities of a response."""
    return lambda signature, outputs: (
        {"probabilities": values(outputs["probabilities"])}
        if signature == "serving_default"
        else outputs
    )


def _with(array, value):
    array = array.copy()
    array[0, 0, 0, 0] = value
    return array


ANSWERS = {
    "a slice too few": (lambda p: p[1:], r"shape \(2, 16, 20, 2\).*Received float32 of shape"),
    "a region too few": (lambda p: p[..., :1], r"Received float32 of shape \(2, 16, 20, 1\)"),
    "turned": (lambda p: p.swapaxes(1, 2), r"Received float32 of shape \(2, 20, 16, 2\)"),
    "flat": (lambda p: p.ravel(), r"shape \(1280,\)"),
    "nan": (lambda p: _with(p, np.nan), "Received nan to nan"),
    "infinite": (lambda p: _with(p, np.inf), "to inf"),
    "negative": (lambda p: _with(p, -0.5), r"Received -0\.5 to"),
    "logits": (lambda p: _with(p, 7), "to 7"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_responses_without_valid_probabilities_are_refused(start, models, name, impatient):
    values, says = ANSWERS[name]
    models.after = _change(values)
    with start(models) as server, _model(server, **impatient) as model:
        with pytest.raises(LiverSegError, match=says) as error:
            model.probabilities(_tiles(2))
        assert f"127.0.0.1:{server.port}" in str(error.value)


@pytest.mark.parametrize("values", [np.int64, np.float16, np.str_])
def test_responses_of_another_type_are_refused(servers, models, values, impatient):
    models.after = _change(lambda p: p.astype(values))
    with (
        servers.GrpcServer(models) as server,
        _model(server, **impatient) as model,
        pytest.raises(LiverSegError, match=r"Received (a tensor of type|object of shape)"),
    ):
        model.probabilities(_tiles(2))


SPOILT = {
    "nothing": lambda data: b"",
    "garbage": lambda data: b"\xff\x00garbage" * 9,
    "half": lambda data: data[: len(data) // 2],
    "an error page": lambda data: b"<html>502 Bad Gateway</html>",
    "a list": lambda data: b"[1, 2]",
    "deep": lambda data: b'{"outputs":' + b"[" * 100_000,
    "words": lambda data: b'{"outputs": [["a", 1]]}',
    "ragged": lambda data: b'{"outputs": [[1, 2], [3]]}',
    "an object": lambda data: b'{"outputs": {"probabilities": null}}',
    "a flood": lambda data: b" " * (1 << 26),
    "empty lists": lambda data: b'{"outputs": [' + b"[]," * 350_000 + b"1]}",
}


@pytest.mark.parametrize("name", SPOILT)
def test_damaged_responses_are_refused(start, models, name, impatient):
    with start(models) as server, _model(server, **impatient) as model:
        models.spoil = SPOILT[name]
        with pytest.raises(LiverSegError, match=f"127.0.0.1:{server.port}") as error:
            model.probabilities(_tiles(2))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600


def test_a_connection_that_breaks_during_a_response_is_retried(servers, models, local):
    left = [3]

    def spoil(data):
        left[0] -= 1
        return None if left[0] >= 0 else data

    with servers.RestServer(models) as server, _model(server) as model:
        models.spoil = spoil
        found = model.probabilities(_tiles(2))
    np.testing.assert_allclose(found, local.probabilities(_tiles(2)), atol=1e-6)


RECORDS = [b"", b"{}", b"[]", b"\xff", b'{"network": {}, "fingerprint": "a"}', b"[" * 100_000]


@pytest.mark.parametrize("record", RECORDS)
def test_models_that_liverseg_did_not_export_are_refused(start, models, record, impatient):
    models.after = lambda signature, outputs: {"record": np.array([record], object)}
    with start(models) as server, pytest.raises(LiverSegError) as error:
        _model(server, **impatient)
    assert f"127.0.0.1:{server.port}" in str(error.value)
    assert len(str(error.value)) < 600


def test_missing_models_versions_and_servers_are_reported(start, models, impatient):
    with start(models) as server:
        with pytest.raises(LiverSegError, match="NOT_FOUND"):
            _model(server, "spleen", **impatient)
        address = ServerAddress.parse(f"{server.address(scheme=_scheme(server))}/7")
        with pytest.raises(LiverSegError, match="NOT_FOUND"):
            ServedModel(address, **impatient)
    started = time.monotonic()
    with pytest.raises(LiverSegError, match="UNAVAILABLE"):
        _model(server, **impatient)
    assert time.monotonic() - started < 5


def _scheme(server):
    return "rest" if type(server).__name__ == "RestServer" else "grpc"


def test_a_version_in_the_address_is_used(start, servers, exported):
    models = servers.Models(exported, served={1, 2})
    with start(models) as server:
        with _model(server) as model:
            assert model.fingerprint == "model-2"
        address = ServerAddress.parse(f"{server.address(scheme=_scheme(server))}/1")
        with ServedModel(address) as model:
            assert model.fingerprint == "model-1"
            model.probabilities(_tiles(1))


def test_a_response_of_another_version_is_refused(servers, models, monkeypatch, impatient):
    with servers.GrpcServer(models) as server, _model(server, **impatient) as model:
        models.served = {1, 2}
        monkeypatch.setattr(models, "choose", lambda name, version: 2)
        with pytest.raises(LiverSegError, match="Received an answer of version 2"):
            model.probabilities(_tiles(1))


def test_a_token_is_sent_to_the_server_and_never_shown(start, models, impatient, capfd):
    models.token = TOKEN
    with start(models) as server:
        with _model(server, access=Access(TOKEN), **impatient) as model:
            model.probabilities(_tiles(1))
        assert set(models.tokens) == {f"Bearer {TOKEN}"}
        models.tokens.clear()
        models.token = "another"
        with pytest.raises(LiverSegError, match=r"UNAUTHENTICATED.*Bearer \[token\]") as error:
            _model(server, access=Access(TOKEN), **impatient)
        assert TOKEN not in str(error.value)
        with pytest.raises(LiverSegError, match="UNAUTHENTICATED"):
            _model(server, **impatient)
        assert models.tokens[-1] is None
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err


def test_a_client_without_grpc_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(SettingsError, match=r"pip install 'liverseg_tf\[client\]'"):
        ServedModel(ServerAddress.parse("grpc://localhost:1/liver"))


def test_responses_above_4_mib_are_read_by_grpc(servers, models, local):
    tiles = _tiles(4, (512, 512))  # 4 MiB of float32 there, 8 MiB back
    with servers.GrpcServer(models) as server, _model(server) as model:
        found = model.probabilities(tiles)
    np.testing.assert_allclose(found, local.probabilities(tiles), atol=1e-6)


def test_closing_the_client_ends_requests_in_progress(start, models):
    reached, released = threading.Event(), threading.Event()

    def before(signature, inputs):
        if signature != "describe":
            reached.set()
            released.wait(60)

    models.before = before
    with start(models) as server:
        model = _model(server)
        sent = model.submit(_tiles(1))
        assert reached.wait(60)
        model.close()
        with pytest.raises(LiverSegError):  # the response is never sent before this
            sent.result()
        released.set()
