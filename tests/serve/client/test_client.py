"""The client meets servers that answer, err, and answer what they shouldn't."""

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.segment_volume import Inference, predict_volume
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.served_model import Sending, ServedModel

TOKEN = "s3cr3t-t0ken"


def _model(server, name="liver", **options):
    protocol = "rest" if type(server).__name__ == "RestServer" else "grpc"
    return ServedModel(ServerAddress.parse(server.address(name, protocol)), **options)


def _tiles(batch=8, shape=(16, 20), channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (batch, *shape, channels), np.uint8)


def test_probabilities_are_those_of_the_model(start, models, local):
    with start(models) as server, _model(server) as model:
        assert model.network == local.network
        assert model.fingerprint == local.fingerprint
        for batch in (1, 3, 8):
            found = model.probabilities(_tiles(batch))
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, local.probabilities(_tiles(batch)), atol=1e-6)


@pytest.mark.parametrize("name", ["liver", "wide"])
def test_masks_of_a_server_and_of_this_process_are_one(
    start, models, local_model, name, make_volumes
):
    image, _ = make_volumes(0, (21, 40, 44))
    with start(models) as server, _model(server, name) as model:
        served = predict_volume(image, model)
    own = predict_volume(image, local_model(name))
    np.testing.assert_array_equal(served.array, own.array)
    assert set(np.unique(own.array)) == {0, 1, 2}


def test_slices_go_out_in_several_requests_at_once(start, models):
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
    with start(models) as server, _model(server, sending=Sending(2, 3)) as model:
        model.probabilities(_tiles(13))
    assert sorted(sizes) == [1, 2, 2, 2, 2, 2, 2]
    assert most == 3


def test_a_batch_is_sent_before_the_one_before_is_answered(servers, models, make_volumes):
    open_batches, seen = set(), []

    class Watched(ServedModel):
        def submit(self, tiles):
            sent = super().submit(tiles)
            open_batches.add(id(sent.outputs))
            seen.append(len(open_batches))
            return sent

        def check_same(self):
            super().check_same()
            open_batches.pop()

    image, _ = make_volumes(0, (21, 40, 44))
    with servers.GrpcServer(models) as server:
        address = ServerAddress.parse(server.address())
        with Watched(address) as model:
            predict_volume(image, model, Inference(4, crop=False))
    assert seen == [1, 2, 2, 2, 2, 2]


ERRORS = ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "INTERNAL"]


@pytest.mark.parametrize("code", ERRORS)
def test_a_refusal_is_one_line_that_names_server_and_reason_and_is_final(
    servers, start, models, code, impatient
):
    asked = []

    def before(signature, inputs):
        if signature == "serving_default":
            asked.append(signature)
            raise servers.Refusal(code, "there is\nno room")

    models.before = before
    with start(models) as server, _model(server, retry_policy=impatient) as model:
        with pytest.raises(LiverSegError, match="there is no room") as error:
            model.probabilities(_tiles(1))
        assert f"127.0.0.1:{server.port}/liver" in str(error.value)
        assert code in str(error.value) or "(500)" in str(error.value)
        assert "\n" not in str(error.value)
        assert len(asked) == 1


def test_a_slow_answer_is_told(start, models, impatient):
    models.before = lambda signature, inputs: signature == "describe" or time.sleep(1.5)
    retry_policy = RetryPolicy(connect_s=1, request_s=0.3, outage_s=1)
    with start(models) as server, _model(server, retry_policy=retry_policy) as model:
        started = time.monotonic()
        with pytest.raises(LiverSegError, match=r"DEADLINE_EXCEEDED: no answer within 0\.3 s"):
            model.probabilities(_tiles(1))
        assert time.monotonic() - started < 1.4  # it didn't wait for the answer


def _refuses(servers, code, times):
    """A server's `before` that refuses the first requests, and the number that it still will."""
    left = {"count": times}

    def before(signature, inputs):
        if signature == "serving_default" and left["count"]:
            left["count"] -= 1
            raise servers.Refusal(code, "shutting down")

    return before, left


def test_a_server_that_is_away_for_a_moment_is_asked_again(servers, start, models, local):
    models.before, left = _refuses(servers, "UNAVAILABLE", 5)
    retry_policy = RetryPolicy(wait_s=0.01)
    with start(models) as server, _model(server, retry_policy=retry_policy) as model:
        found = model.probabilities(_tiles())
        np.testing.assert_allclose(found, local.probabilities(_tiles()), atol=1e-6)
    assert left["count"] == 0


def test_what_a_stopping_server_cancels_is_sent_again(servers, models, local):
    # gRPC's own server says UNAVAILABLE or, when it is torn down faster, CANCELLED
    models.before, left = _refuses(servers, "CANCELLED", 3)
    retry_policy = RetryPolicy(wait_s=0.01)
    with servers.GrpcServer(models) as server, _model(server, retry_policy=retry_policy) as model:
        found = model.probabilities(_tiles())
        np.testing.assert_allclose(found, local.probabilities(_tiles()), atol=1e-6)
    assert left["count"] == 0


def test_a_server_that_stays_away_is_given_up_once(start, models, impatient):
    with start(models) as server:
        model = _model(server, retry_policy=impatient)
    with model:
        with pytest.raises(LiverSegError, match=r"UNAVAILABLE.*attempts"):
            model.probabilities(_tiles(1))
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(LiverSegError, match="UNAVAILABLE"):
                model.probabilities(_tiles(1))
        assert time.monotonic() - started < 10  # not 20 times the patience


def _restart(server, start, models, wait_s=0.2):
    """Stop a server and start one on its port a moment later; returns a list with it."""
    again = []

    def restart():
        server.stop()
        time.sleep(wait_s)
        again.append(start(models, port=server.port).__enter__())

    thread = threading.Thread(target=restart)
    thread.start()
    return thread, again


@pytest.mark.parametrize("change", ["none", "version", "model"])
def test_a_restart_in_the_middle_of_a_volume(servers, start, models, change, make_volumes):
    image, _ = make_volumes(0, (41, 24, 28))
    inference = Inference(4, crop=False)
    after = replace(models, served={2} if change == "version" else {1})
    if change == "model":  # another one under the same version
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

    retry_policy = RetryPolicy(connect_s=2, outage_s=10, wait_s=0.05, longest_wait_s=0.2)
    with start(models) as server, _model(server, retry_policy=retry_policy) as model:
        whole = predict_volume(image, model, inference)
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
                found = predict_volume(image, model, inference)
                np.testing.assert_array_equal(found.array, whole.array)
            else:
                says = "NOT_FOUND" if change == "version" else "to stay the model model-1"
                with pytest.raises(LiverSegError, match=says):
                    predict_volume(image, model, inference)
        finally:
            watcher.join()
            thread, again = threads[0]
            thread.join()
            again[0].stop()


def test_requests_under_way_when_a_server_stops_are_sent_again(start, models, local):
    reached, stopped = threading.Barrier(4, timeout=10), threading.Event()

    def before(signature, inputs):
        if signature == "serving_default" and not stopped.is_set():
            reached.wait()
            stopped.wait(10)

    models.before = before
    retry_policy = RetryPolicy(connect_s=2, outage_s=10, wait_s=0.05, longest_wait_s=0.2)
    sending = Sending(slices=2, in_flight=3)
    with (
        start(models) as server,
        _model(server, retry_policy=retry_policy, sending=sending) as model,
    ):
        sent = model.submit(_tiles(6))
        reached.wait()  # three requests are with the server
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


def test_a_model_that_changed_in_a_pause_is_noticed(start, models, monkeypatch):
    monkeypatch.setattr("liverseg_tf.serve.client.served_model._PAUSE_S", 0.0)
    with start(models) as server, _model(server) as model:
        model.probabilities(_tiles(1))
        models.after = lambda signature, outputs: (
            {"record": _renamed(outputs["record"])} if signature == "describe" else outputs
        )
        with pytest.raises(LiverSegError, match="Received model-9"):
            model.probabilities(_tiles(1))


def _change(values):
    """An answer whose probabilities are changed."""
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
def test_answers_that_are_no_probabilities_are_refused(start, models, name, impatient):
    values, says = ANSWERS[name]
    models.after = _change(values)
    with start(models) as server, _model(server, retry_policy=impatient) as model:
        with pytest.raises(LiverSegError, match=says) as error:
            model.probabilities(_tiles(2))
        assert f"127.0.0.1:{server.port}" in str(error.value)


@pytest.mark.parametrize("values", [np.int64, np.float16, np.str_])
def test_answers_of_another_type_are_refused(servers, models, values, impatient):
    models.after = _change(lambda p: p.astype(values))
    with (
        servers.GrpcServer(models) as server,
        _model(server, retry_policy=impatient) as model,
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
}


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_bytes_are_refused(start, models, name, impatient):
    with start(models) as server, _model(server, retry_policy=impatient) as model:
        models.spoil = SPOILT[name]
        with pytest.raises(LiverSegError, match=f"127.0.0.1:{server.port}") as error:
            model.probabilities(_tiles(2))
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600


def test_a_connection_that_breaks_in_an_answer_is_made_again(servers, models, local):
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
def test_models_of_others_are_refused(start, models, record, impatient):
    models.after = lambda signature, outputs: {"record": np.array([record], object)}
    with start(models) as server, pytest.raises(LiverSegError) as error:
        _model(server, retry_policy=impatient)
    assert f"127.0.0.1:{server.port}" in str(error.value)
    assert len(str(error.value)) < 600


def test_what_is_not_there_is_told(start, models, impatient):
    with start(models) as server:
        with pytest.raises(LiverSegError, match="NOT_FOUND"):
            _model(server, "spleen", retry_policy=impatient)
        address = ServerAddress.parse(f"{server.address(scheme=_scheme(server))}/7")
        with pytest.raises(LiverSegError, match="NOT_FOUND"):
            ServedModel(address, retry_policy=impatient)
    started = time.monotonic()
    with pytest.raises(LiverSegError, match="UNAVAILABLE"):
        _model(server, retry_policy=impatient)
    assert time.monotonic() - started < 5


def _scheme(server):
    return "rest" if type(server).__name__ == "RestServer" else "grpc"


def test_a_version_in_the_address_is_the_one_that_answers(start, servers, exported):
    models = servers.Models(exported, served={1, 2})
    with start(models) as server:
        with _model(server) as model:
            assert model.fingerprint == "model-2"
        address = ServerAddress.parse(f"{server.address(scheme=_scheme(server))}/1")
        with ServedModel(address) as model:
            assert model.fingerprint == "model-1"
            model.probabilities(_tiles(1))


def test_an_answer_of_another_version_is_refused(servers, models, monkeypatch, impatient):
    with servers.GrpcServer(models) as server, _model(server, retry_policy=impatient) as model:
        models.served = {1, 2}
        monkeypatch.setattr(models, "choose", lambda name, version: 2)
        with pytest.raises(LiverSegError, match="Received an answer of version 2"):
            model.probabilities(_tiles(1))


def test_a_token_reaches_the_server_and_nobody_else(start, models, impatient, capfd):
    models.token = TOKEN
    with start(models) as server:
        with _model(server, access=Access(TOKEN), retry_policy=impatient) as model:
            model.probabilities(_tiles(1))
        assert set(models.tokens) == {f"Bearer {TOKEN}"}
        models.tokens.clear()
        models.token = "another"
        with pytest.raises(LiverSegError, match=r"UNAUTHENTICATED.*Bearer \[token\]") as error:
            _model(server, access=Access(TOKEN), retry_policy=impatient)
        assert TOKEN not in str(error.value)
        with pytest.raises(LiverSegError, match="UNAUTHENTICATED"):
            _model(server, retry_policy=impatient)
        assert models.tokens[-1] is None
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err


def test_a_client_without_grpc_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(SettingsError, match=r"pip install 'liverseg_tf\[client\]'"):
        ServedModel(ServerAddress.parse("grpc://localhost:1/liver"))


def test_answers_beyond_grpcs_usual_4_mib_are_read(servers, models, local):
    tiles = _tiles(4, (512, 512))  # 4 MiB of float32 there, 8 MiB back
    with servers.GrpcServer(models) as server, _model(server) as model:
        found = model.probabilities(tiles)
    np.testing.assert_allclose(found, local.probabilities(tiles), atol=1e-6)


def test_a_closed_client_ends_what_is_under_way(start, models):
    models.before = lambda signature, inputs: signature == "describe" or time.sleep(3)
    with start(models) as server:
        model = _model(server)
        sent = model.submit(_tiles(1))
        time.sleep(0.2)
        started = time.monotonic()
        model.close()
        with pytest.raises(LiverSegError):
            sent.result()
        assert time.monotonic() - started < 2
