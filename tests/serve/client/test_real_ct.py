"""Whole volumes through a U-Net on a server: the masks of this process, voxel for voxel."""

import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.ct.phantom import PhantomSpec, make_phantom
from liverseg_tf.predict.api import segment
from liverseg_tf.predict.batch import Output, predict_cases
from liverseg_tf.serve.address import ServerAddress
from liverseg_tf.serve.client import ServedModel


@pytest.fixture(params=["grpc", "rest"])
def served(request, servers, unet):
    """The U-Net on a server."""
    start = {"grpc": servers.GrpcServer, "rest": servers.RestServer}[request.param]
    with start(servers.Models(unet)) as server:
        address = ServerAddress.parse(server.address("unet", request.param))
        with ServedModel(address) as model:
            yield model


@pytest.fixture
def unet_here(local_model, unet):
    return local_model("unet", unet)


@pytest.mark.slow
def test_the_mask_of_a_phantom(served, unet_here, tmp_path):
    image, _ = make_phantom(0, PhantomSpec((20, 160, 160), (5.0, 2.2, 2.2)))
    write_volume(tmp_path / "ct.nii.gz", image)
    for name, predictor in (("here", unet_here), ("there", served)):
        output = Output(tmp_path / name)
        assert predict_cases({"ct": tmp_path / "ct.nii.gz"}, predictor, output).failures == {}
    here, there = (read_volume(tmp_path / name / "ct.nii.gz") for name in ("here", "there"))
    np.testing.assert_array_equal(here.array, there.array)
    assert set(np.unique(here.array)) == {0, 1, 2}


@pytest.mark.slow
def test_the_mask_of_a_real_ct(served, unet_here, shared_data):
    path = shared_data / "Task03_Liver" / "imagesTr" / "liver_0.nii.gz"
    here, there = segment(path, unet_here), segment(path, served)
    np.testing.assert_array_equal(here.array, there.array)
    assert here.array.any()
