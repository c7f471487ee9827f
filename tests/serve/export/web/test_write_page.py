import hashlib
import json
import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from isal import igzip
from pydicom.uid import JPEGLSLossless

from liverseg_tf.ct.nifti import read_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.html_page import is_own_page
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.serve.export.web.write_page import PageModel, write_browser_page
from liverseg_tf.tiles.spec import TileSpec

VENDOR = files("liverseg_tf").joinpath("assets", "browser", "vendor")
NETWORK = NetworkSpec(TileSpec(spacing_mm=5.0, tile_shape=(32, 32)), LIVER_REGIONS, 3, 4)
STEPS = PostProcessing(largest=("liver",), fill_3d=("liver",), smooth_z=("tumour",))
# cancels the next image before its worker exists, and chooses it again before that worker is ready
CANCEL_WHILE_STARTING = """
const input = document.getElementById('files'), Original = Worker;
let file = null;
input.addEventListener('change', () => { file = input.files[0]; }, { capture: true, once: true });
input.addEventListener('change', () => document.getElementById('cancel').click(), { once: true });
window.Worker = class extends Original {
  constructor(address) {
    super(address);
    window.Worker = Original;
    setTimeout(() => {
      const list = new DataTransfer();
      list.items.add(file);
      input.files = list.files;
      input.dispatchEvent(new Event('change'));
    });
  }
};
"""


def test_vendored_files_are_those_of_their_packages():
    stated = (VENDOR / "vendor.txt").read_text()
    sizes = 0
    for name, digest in re.findall(r"dist/(\S+).*\nsha256: +(\w{64})", stated):
        packed = VENDOR / f"{name}.gz"
        packed = (
            packed.read_bytes()
            if packed.is_file()
            else igzip.compress((VENDOR / name).read_bytes())
        )
        assert hashlib.sha256(igzip.decompress(packed)).hexdigest() == digest, name
        sizes += len(packed)
    sizes += len(igzip.compress((VENDOR / "../../niivue.umd.js").read_bytes()))
    assert 1e6 < sizes < 6e6
    assert "MIT License" in (VENDOR / "onnxruntime.LICENSE.txt").read_text()
    assert "Permission is hereby granted" in (VENDOR / "pako.LICENSE.txt").read_text()


def test_the_page_holds_everything_and_forbids_connections(tmp_path):
    model = PageModel("</script><b>", 3, NETWORK, STEPS, ("Not <finished>.",))
    write_browser_page(tmp_path / "page.html", model, b"network")
    text = (tmp_path / "page.html").read_text()
    assert is_own_page(tmp_path / "page.html")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "blob: 'wasm-unsafe-eval'; worker-src blob:;" in policy
    assert not re.search(r"connect-src|https?:|unsafe-inline", policy)
    assert "Nothing is uploaded." in text
    assert "<b>" not in text.split("<body>")[0]
    record = json.loads(re.search(r'id="record">(.*?)</script>', text)[1])
    assert record["network"]["regions"] == [["liver", [1, 2]], ["tumour", [2]]]
    assert record["warnings"] == ["Not <finished>."]
    assert not re.search(r'(src|href)="(?!data:)', text.split("<script>")[0])


@pytest.mark.slow
def test_a_phantom_is_segmented_in_chromium_as_in_python(write_series, tmp_path):
    """One small case; benchmarks/browser.py compares real CTs and trained networks."""
    pytest.importorskip("selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    pytest.importorskip("highdicom")
    from segmentation_page import SegmentationPage, read_seg

    onnx = _network(channels=NETWORK.channels)
    write_browser_page(tmp_path / "page.html", PageModel("small", 1, NETWORK, STEPS), onnx)
    spec = PhantomSpec((8, 64, 64), (25.0, 6.5, 6.5), axes="RPI")
    image, _ = make_phantom(0, spec)
    image = image.with_array(np.maximum(image.array, -1024))
    write_volume(tmp_path / "phantom.nii.gz", image)
    with SegmentationPage(tmp_path / "page.html", tmp_path, flags=["--disable-3d-apis"]) as page:
        saved = read_labels(page.segment([tmp_path / "phantom.nii.gz"]))
        assert "liver" in page.text("table")
        (tmp_path / "text.nii").write_text("no image")
        page.choose([tmp_path / "phantom.nii.gz", tmp_path / "text.nii"])
        page.wait_until(lambda: page.state == "error")
        assert "Received another file (no NIfTI header)" in page.text("error")
        page.js(CANCEL_WHILE_STARTING)
        again = read_labels(page.segment([tmp_path / "phantom.nii.gz"], 60))
        np.testing.assert_array_equal(again.array, saved.array)
        states = "return [...document.querySelectorAll('.case-state')].map((e) => e.textContent)"
        assert page.js(states) == ["done", "done", "failed", "cancelled", "done"]
        assert page.js("return document.getElementById('save-seg')") is None
        folder = write_series(tmp_path / "dicom", image, _compress)
        from_dicom = read_labels(page.segment([folder]))
        found, wanted = to_canonical(from_dicom), to_canonical(saved)
        np.testing.assert_array_equal(found.array, wanted.array)
        expected = LIVER_REGIONS.masks(from_dicom.array)
        np.testing.assert_array_equal(read_seg(page.save_seg(), from_dicom, folder), expected)
        assert page.errors() == []
    inference = Inference(thresholds=STEPS.thresholds(NETWORK.regions))
    masks = find_regions(image, _Model(onnx), inference)
    expected = STEPS.apply(masks).labels()
    assert np.count_nonzero(expected.array) > 100
    np.testing.assert_array_equal(saved.array, expected.array)
    np.testing.assert_allclose(saved.affine, image.affine, atol=1e-5)


def _compress(dataset, z):
    dataset.compress(JPEGLSLossless)


class _Model:
    network = NETWORK

    def __init__(self, onnx):
        import onnxruntime

        self._session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    def probabilities(self, tiles):
        return self._session.run(None, {"tiles": tiles.astype(np.float32)})[0]


def _network(channels):
    """A convolution of 3 x 3 pixels and a sigmoid, NHWC, as ONNX."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = rng.normal(0.02, 0.01, (2, channels, 3, 3)).astype(np.float32)
    bias = np.array([-40.0, -42.0], np.float32) * weights.sum(axis=(1, 2, 3)) * 3
    nodes = [
        helper.make_node("Transpose", ["tiles"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "w", "b"], ["values"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["values"], ["last"]),
        helper.make_node("Transpose", ["last"], ["probabilities"], perm=[0, 2, 3, 1]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "h", "w", size])
        for name, size in (("tiles", channels), ("probabilities", 2))
    ]
    values = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
