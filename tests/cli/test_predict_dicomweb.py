"""`liverseg predict dicomweb://...`: from an archive, and back to it."""

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from dicomweb_server import Archive, serving

from liverseg_tf.cli.main import liverseg

hd = pytest.importorskip("highdicom")
pytest.importorskip("dicomweb_client")


def _predict(*arguments):
    return CliRunner().invoke(liverseg, ["predict", *map(str, arguments)])


@pytest.mark.slow
def test_a_study_is_fetched_predicted_and_its_results_are_stored_once(
    make_volumes, write_series, untrained_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("LIVERSEG_DICOMWEB_USER", "anna")
    monkeypatch.setenv("LIVERSEG_DICOMWEB_PASSWORD", "secret-word")
    archive, out = Archive(), tmp_path / "out"
    study = archive.add_folder(write_series(tmp_path / "ct", make_volumes()[0]))
    with serving(archive) as host:
        address = f"dicomweb://{host}/dicom-web/studies/{study}"
        arguments = [address, "--model", untrained_run, "--out", out, "--send", "--format", "nifti"]
        arguments += ["--format", "sc", "--format", "seg", "--series-number", 50]
        done = _predict(*arguments)
        assert done.exit_code == 0, done.output
        assert "1 mask written, 0 failed" in done.output
        stored = len(archive.stored)
        assert f"{stored} instances stored in http://{host}/dicom-web" in done.output
        # made again, the results have the same UIDs
        done = _predict(*arguments, "--force")
        assert done.exit_code == 0, done.output
        assert f"0 instances stored in http://{host}/dicom-web, {stored} were th" in done.output
    headers = [archive.headers()[key] for key in archive.stored]
    assert {one.SeriesNumber for one in headers} == {50, 52}
    (seg,) = [one for one in headers if one.Modality == "SEG"]
    assert seg.ManufacturerModelName == "run"
    (mask,) = out.glob("*.nii.gz")
    labels = np.asanyarray(nib.load(mask).dataobj)
    found = hd.seg.segread(next(out.glob("*.seg.dcm")))
    if labels.any():
        assert (
            found.get_volume(allow_missing_positions=True).array[..., 0].sum() == (labels > 0).sum()
        )
    assert [path.name for path in out.iterdir() if "dicomweb" in path.name] == []
    written = b"".join(path.read_bytes() for path in (out / ".predictions").iterdir())
    assert b"secret-word" not in written + done.output.encode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ct", "--send"], "2 --send stores results in the archive"),
        (["dicomweb://h/studies/x"], "2 Expected a study as dicomweb://HOST"),
        (["dicomweb://127.0.0.1:9/studies/1.2"], "1 Expected an answer of http://127.0.0.1:9"),
        (["ct", "--series-number", "0"], "2 Expected a series number"),
    ],
)
def test_wrong_inputs_are_refused(arguments, says, untrained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("liverseg_tf.retry.RetryPolicy.backoff_s", lambda *_: 0)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), "ct.nii.gz")
    arguments = ["ct.nii.gz" if word == "ct" else word for word in arguments]
    done = _predict(*arguments, "--model", untrained_run, "--out", tmp_path / "out")
    code, message = says.split(" ", 1)
    assert done.exit_code == int(code), done.output
    assert message in done.output
