"""Exports on a server make the same masks as the run in this process, voxel for voxel."""

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import read_volume, write_volume
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.api import segment
from liverseg_tf.predict.batch.predict_cases import predict_cases
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.serve.client.address import ServerAddress
from liverseg_tf.serve.client.served_model import ServedModel


@pytest.fixture(params=["grpc", "rest"])
def remote(request, servers, served):
    """The export on a server."""
    start = {"grpc": servers.GrpcServer, "rest": servers.RestServer}[request.param]
    models = servers.Models(served.folder.parents[1], loaded={str(served.folder): served.loaded})
    with start(models) as server:
        address = ServerAddress.parse(server.address(served.folder.parent.name, request.param))
        with ServedModel(address) as model:
            yield model


def test_a_server_describes_the_run(remote, served):
    assert remote.network == served.local.network
    assert remote.postprocessing == served.local.postprocessing
    assert remote.fingerprint.startswith(
        f"{served.local.fingerprint}-"
    )  # and the options of the export


@pytest.mark.slow
def test_the_mask_of_a_phantom_is_the_same(remote, served, tmp_path):
    image, _ = make_phantom(0, PhantomSpec((6, 64, 64), (5.0, 3.6, 3.6)))  # two requests
    write_volume(tmp_path / "ct.nii.gz", image)
    for name, predictor in (("here", served.local), ("there", remote)):
        job = PredictionJob(tmp_path / name)
        assert predict_cases({"ct": tmp_path / "ct.nii.gz"}, predictor, job).failures == {}
    here, there = (read_volume(tmp_path / name / "ct.nii.gz") for name in ("here", "there"))
    np.testing.assert_array_equal(here.array, there.array)
    assert here.array.any()


@pytest.fixture(scope="module")
def real_ct_and_mask(served_liver, shared_data, tmp_path_factory):
    """6 slices of a real CT as a file, and the mask that the run predicts in this process."""
    image = nib.load(shared_data / "Task03_Liver" / "imagesTr" / "liver_0.nii.gz")
    path = tmp_path_factory.mktemp("real") / "liver_0.nii.gz"
    nib.save(image.slicer[:, :, 40:46], path)
    return path, segment(path, served_liver.local)


@pytest.mark.slow
def test_the_mask_of_a_real_ct_is_the_same(remote, served_liver, served, real_ct_and_mask):
    if served.folder != served_liver.folder:
        pytest.skip("one network is enough for slices of 512 x 512")
    path, here = real_ct_and_mask
    there = segment(path, remote)
    np.testing.assert_array_equal(here.array, there.array)
    assert here.array.any()
