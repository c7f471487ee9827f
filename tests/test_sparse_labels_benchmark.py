"""Lists of slices and the table of benchmarks/sparse_labels.py, without a training."""

import pytest

from liverseg_tf.dataset.labelled_slices import find_labelled_slices, read_labelled_slices


@pytest.fixture
def benchmark(benchmarks):
    import sparse_labels

    return sparse_labels


def test_slices_are_evenly_spaced(benchmark, tmp_path):
    benchmark.list_slices(tmp_path, 100)
    assert find_labelled_slices([tmp_path]) is None
    benchmark.list_slices(tmp_path, 20)
    listed = read_labelled_slices(tmp_path / "labelled_slices.csv").of("x")
    assert listed.mask(12).nonzero()[0].tolist() == [2, 7]


def test_rows_are_shares_and_differences_are_those_of_each_patient(benchmark):
    def row(share, *dice):
        cases = [{"case": str(case), "region": "liver", "dice": d} for case, d in enumerate(dice)]
        return {"share": share, "labelled_slices": share, "cases": cases}

    table = benchmark.make_table([row(10, 0.5, 0.8), row(100, 0.9, 0.8), row(100, 0.7, 0.8)])
    assert table.splitlines()[2:] == [
        "| 100 % | 100 | 0.8000 | 0.8000 |  |",
        "| 10 % | 10 | 0.6500 | 0.5000 | -0.1500 (-0.3000 to +0.0000) |",
    ]
