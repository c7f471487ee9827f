"""Wrong options of `liverseg node`, which end before a model is loaded."""

import pytest
from commands import run_liverseg

RUN = ("node", "--model", "RUN", "--folder", "FOLDER")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "either --send AET@HOST:PORT or --dry-run"),
        (("--dry-run", "--send", "A@h:1"), "either --send AET@HOST:PORT or --dry-run"),
        (("--send", "ORTHANC"), "Expected a DICOM node as AET@HOST:PORT"),
        (("--send", "A@h:0"), "Expected a DICOM node as AET@HOST:PORT"),
        (("--dry-run", "--aet", "MORE_THAN_SIXTEEN"), "1 to 16 characters"),
        (("--dry-run", "--host", "0.0.0.0"), "Expected --allow AET"),
        (("--dry-run", "--tls-key", "key.pem"), "Expected --tls-cert FILE"),
    ],
)
def test_wrong_options_are_one_line(options, expected):
    done = run_liverseg(*RUN, *options)
    assert done.exit_code == 2
    assert expected in done.output
    assert len(done.output.splitlines()) == 1


def test_an_unreadable_certificate_is_one_line(tmp_path):
    (tmp_path / "cert.pem").write_text("none")
    done = run_liverseg(*RUN, "--dry-run", "--tls-cert", tmp_path / "cert.pem")
    assert done.exit_code == 1
    assert "Expected certificates" in done.output
