"""The example of a request in the documentation, run with curl on a slice of full size."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"


@pytest.fixture(params=["noise", "a real CT"])
def slice_hu(request):
    """A slice of 512 x 512, in HU: (row, col) int16."""
    if request.param == "noise":  # which PNG cannot compress
        return np.random.default_rng(0).integers(-1024, 3072, (512, 512), np.int16)
    folder = request.getfixturevalue("shared_data") / "Task03_Liver" / "imagesTr"
    image = nib.load(folder / "liver_0.nii.gz")
    plane = np.asarray(image.dataobj[:, :, image.shape[2] // 2]).T
    assert plane.shape == (512, 512)
    return np.clip(plane, -1024, 3071).astype(np.int16)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_documented_request_sends_a_slice_of_full_size(
    servers, served_liver, slice_hu, tmp_path
):
    (example,) = re.findall(r"```sh\n(curl .*?)```", PAGE.read_text(), re.DOTALL)
    Image.fromarray((slice_hu.astype(np.int32) + 32768).astype(np.uint16)).save(
        tmp_path / "slice.png"
    )
    content = (tmp_path / "slice.png").read_bytes()
    assert len(content) > 100_000  # more than Linux allows for one argument, in base64
    with servers.RestServer(servers.Models(served_liver.folder.parents[1])) as server:
        script = example.replace(":8501/", f":{server.port}/").replace("localhost", "127.0.0.1")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
    _, answer = done.stdout.decode().split('{"outputs"')
    (mask,) = json.loads('{"outputs"' + answer)["outputs"]
    inputs = {"image_bytes": [content], "spacing_mm": np.array([[0.8, 0.8]])}
    wanted = served_liver.call("png", inputs)["mask_bytes"][0]
    is_equal = base64.b64decode(mask["b64"]) == wanted  # without showing the bytes if they differ
    assert is_equal
