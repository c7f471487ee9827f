"""A small model with two signatures of an export, and servers that provide it."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.retry import RetryPolicy
from liverseg_tf.serve.client.transport import ClientOptions
from liverseg_tf.tiles.spec import TileSpec

STRIDE = 4
CONTEXTS = {"liver": 1, "wide": 5}  # name of the model: slices of context


@pytest.fixture(scope="session")
def servers():
    """The module tests/serve/servers.py."""
    path = Path(__file__).parents[1] / "servers.py"
    spec = importlib.util.spec_from_file_location("serve_servers", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A folder with NAME/VERSION/: liver with 1 slice of context in two versions, wide with 5."""
    folder = tmp_path_factory.mktemp("exported")
    for name, context in CONTEXTS.items():
        for version in (1, 2) if name == "liver" else (1,):
            _export(folder / name / str(version), context, seed=version)
    return folder


@pytest.fixture
def models(servers, exported):
    """Models of a server; the newest version is 1."""
    return servers.Models(exported, served={1})


@pytest.fixture(params=["grpc", "rest"])
def start(request, servers):
    """A function that takes models and a port and returns a server, for each protocol."""
    return {"grpc": servers.GrpcServer, "rest": servers.RestServer}[request.param]


@pytest.fixture
def local_model(exported):
    """A function that takes a name and returns version 1 of that model in this process."""
    return lambda name: LocalModel(exported / name / "1")


@pytest.fixture
def local(local_model):
    return local_model("liver")


@pytest.fixture
def impatient():
    """Options and retry policy that give up an unavailable server after half a second."""
    return {
        "options": ClientOptions(connect_timeout_s=0.5, request_timeout_s=5),
        "retry_policy": RetryPolicy(deadline_s=0.5, initial_backoff_s=0.02, max_backoff_s=0.1),
    }


class LocalModel:
    """The same graph without a server."""

    def __init__(self, folder):
        self._signatures = tf.saved_model.load(str(folder)).signatures
        described = self._signatures["describe"](request=tf.constant([b""]))["record"]
        record = json.loads(described.numpy()[0])
        self.network = NetworkSpec.from_json(record["network"])
        self.postprocessing = PostProcessing()
        self.fingerprint = record["fingerprint"]

    def probabilities(self, tiles):
        tiles = tf.constant(tiles.astype(np.float32))
        return self._signatures["serving_default"](tiles=tiles)["probabilities"].numpy()


def _export(folder, context, seed):
    network = NetworkSpec(TileSpec(spacing_mm=2.0), LIVER_REGIONS, context, STRIDE)
    record = {"network": network.to_json(), "postprocessing": {}, "fingerprint": f"model-{seed}"}
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.3, (5, 5, context, len(network.regions))).astype(np.float32)
    model = _Model(kernel, json.dumps(record))
    signatures = {"serving_default": model.segment, "describe": model.describe}
    tf.saved_model.save(model, str(folder), signatures)


class _Model(tf.Module):
    """A single convolution, whose masks are small spots."""

    def __init__(self, kernel, record):
        super().__init__()
        self.kernel, self.record = tf.Variable(kernel), record
        tiles = tf.TensorSpec((None, None, None, kernel.shape[2]), tf.float32, "tiles")
        self.segment = tf.function(self._segment, input_signature=[tiles])
        request = tf.TensorSpec((None,), tf.string, "request")
        self.describe = tf.function(self._describe, input_signature=[request])

    def _segment(self, tiles):
        logits = tf.nn.conv2d(tiles / 127.5 - 1, self.kernel, 1, "SAME")
        return {"probabilities": tf.sigmoid(logits)}

    def _describe(self, request):
        return {"record": tf.fill(tf.shape(request), self.record)}
