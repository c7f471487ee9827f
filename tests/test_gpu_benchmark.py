"""The order, the resumption and the table of benchmarks/gpu.sh, which is run by hand on a GPU."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore


@pytest.fixture
def modules(monkeypatch):
    """The modules of benchmarks/gpu; other tests do not see their names."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks" / "gpu")
    names = ("pack", "plan", "results", "run", "table")
    before = set(sys.modules)
    import plan
    import results
    import run
    import table

    yield plan, results, run, table
    for name in set(names) & set(sys.modules) - before:
        del sys.modules[name]


def _step(row, call, rate=None, **entries):
    if rate is None:
        return {"row": row, "call": call, **entries}
    values = {"side": 256, "batch": 64, "rate": rate, "start_seconds": 30.0}
    values |= {"what": "PyTorch", "flops_per_image": 1e9}
    return {"row": row, "call": call, "values": values}


def test_all_rows_take_at_most_six_minutes(modules):
    plan, _, _, _ = modules
    assert plan.SECONDS <= 360
    rows = {row for group in plan.GROUPS for row in group.rows}
    assert plan.missing_rows([]) == rows
    assert set(plan.PEER_OF) | set(plan.PEER_OF.values()) <= rows


def test_a_second_call_measures_what_is_missing_together_with_its_peer(modules):
    plan, _, _, _ = modules
    ours, peer = "step_jax_256_64", "step_peer_256_64"
    stopped = {"error": "Stopped at the time limit.", "stopped": True}
    failed = {"error": "RuntimeError: no compiler"}
    assert not {ours, "matrix_jax"} & plan.missing_rows(
        [_step(ours, "1", 2.0), _step(peer, "1", 1.0), _step("matrix_jax", "1", 1.0)]
    )
    # the peer of another call may have run on another card
    apart = [_step(ours, "1", 2.0), _step(peer, "2", 1.0)]
    assert {ours, peer} <= plan.missing_rows(apart)
    assert {ours, peer} <= plan.missing_rows([_step(ours, "1", 2.0), _step(peer, "1", **stopped)])
    failure = [_step(ours, "1", 2.0), _step(peer, "1", **failed)]
    assert ours not in plan.missing_rows(failure)
    assert {ours, peer} <= plan.missing_rows(failure, retry=True)


def test_table_compares_within_a_call_and_names_what_is_missing(modules):
    _, _, _, table = modules
    text = table.make_table(
        [
            _step("matrix_jax", "1", 4e12),
            _step("step_jax_256_64", "1", 2000.0),
            _step("step_peer_256_64", "1", 1600.0),
            _step("step_jax_256_64", "2", 4000.0),
            _step("step_jax_512_64", "2", error="RuntimeError: out of memory"),
        ]
    )
    lines = text.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    (line,) = [line for line in lines if "JAX, bfloat16, 256², batch 64" in line]
    assert "2,000 images/s, 50 % of the matrix rate" in line
    assert "| 1.25 |" in line
    assert "not measured: RuntimeError: out of memory" in text
    assert "| training of 90 s, its start included, JAX | not measured |" in text


def test_a_row_that_takes_too_long_is_stopped_and_the_others_keep_their_results(modules, tmp_path):
    plan, results, run, _ = modules
    group = plan.Group("memory", "", ("memory_tiny", "memory_fast"), 1)
    results.write_result(tmp_path, "memory_tiny", "1", {"values": {}})
    command = [sys.executable, "-c", "import time; time.sleep(60)", "--rows", *group.rows, "--call"]
    started = time.monotonic()
    run.measure(group, command, dict(os.environ), (tmp_path, "1", started + 0.1))
    assert time.monotonic() - started < 10
    found = results.read_results(tmp_path)
    assert [result["row"] for result in found] == ["memory_fast", "memory_tiny"]
    assert found[0]["error"] == "Stopped at the time limit."
    assert "memory_fast" in plan.missing_rows(found)
    run.measure(
        group,
        [sys.executable, "-c", "raise SystemExit('No module named x')", *command[3:]],
        dict(os.environ),
        (tmp_path, "2", time.monotonic() + 60),
    )
    assert results.read_results(tmp_path)[-1]["error"] == "No module named x"


def test_a_packed_store_keeps_tiles_records_and_split(modules, tmp_path, make_volumes):
    import pack

    spec = TileSpec(spacing_mm=None, tile_shape=(16, 16))
    store = TileStore(tmp_path / "store", spec)
    tiles = {f"case{n}": cut_tiles(*make_volumes(n), spec) for n in range(4)}
    for name, case in tiles.items():
        store.write(name, case)
        store.cases[name] = case.record
    store.split.update(train=["case0", "case3"], val=["case1"], test=["case2"])
    file = tmp_path / "pack"
    split = pack.pack(store, file, 1e6)
    assert split == {"train": ["case0", "case3"], "val": ["case1"], "test": []}
    pack.unpack(file, tmp_path / "unpacked")
    unpacked = TileStore.open(tmp_path / "unpacked")
    assert unpacked.split == split
    for name in unpacked.cases:
        found = unpacked.read(name)  # its checksum is compared
        np.testing.assert_array_equal(found.image, tiles[name].image)
        np.testing.assert_array_equal(found.mask, tiles[name].mask)
    with pytest.raises(SystemExit, match="larger --megabytes"):
        pack.pack(store, file, 1e3)
