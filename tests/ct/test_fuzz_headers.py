"""A few files of the campaign in benchmarks/fuzz_headers.py, which is run by hand."""

import sys
from pathlib import Path

import nibabel as nib
import pytest


def test_damaged_and_odd_files_are_read_right_or_refused(monkeypatch, capsys):
    pytest.importorskip("nrrd")
    pytest.importorskip("SimpleITK")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.setattr(nib.imageglobals.logger, "disabled", True)  # restored afterwards
    monkeypatch.setattr(sys, "argv", ["fuzz_headers.py", "--nifti", "60", "--itk", "40"])
    import fuzz_headers

    fuzz_headers.main()
    lines = capsys.readouterr().out.splitlines()
    (nifti,), (itk,) = (
        [line for line in lines if line.startswith(kind)] for kind in ("nif", "itk")
    )
    assert "fault" not in nifti + itk, lines
    assert "equal" in nifti, "some files are read"
    assert "equal" in itk, "some files are read"
