"""What benchmarks/gpu.sh measures, in which order, within which time, and what is still missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHAPES = ((256, 64), (512, 64), (256, 16), (512, 16))  # side of the tiles, tiles in a batch
PRESETS = {"tiny": 2, "fast": 4, "accurate": 8}  # GB that each of them promises to need at most
TRAINING_MINUTES = 1.5


@dataclass(frozen=True)
class Group:
    """Rows that one process measures, one after another.

    Args:
        name: Name of the group.
        script: Script in this folder.
        rows: Names of the rows.
        seconds: Time limit of the process, its start included.
        backend: Keras backend; None for a peer, which does not use Keras.
    """

    name: str
    script: str
    rows: tuple[str, ...]
    seconds: float
    backend: str | None = None


def _step_rows(who: str) -> tuple[str, ...]:
    return tuple(f"step_{who}_{side}_{batch}" for side, batch in SHAPES)


# in order of importance; the limits add up to six minutes
GROUPS = (
    Group("steps_jax", "measure_steps.py", ("matrix_jax", *_step_rows("jax")), 80, "jax"),
    Group("steps_peer", "measure_steps_peer.py", _step_rows("peer"), 35),
    Group("steps_torch", "measure_steps.py", ("matrix_torch", *_step_rows("torch")), 40, "torch"),
    Group("input", "measure_input.py", ("input_cache", "input_host"), 40, "jax"),
    Group("input_peer", "measure_input_peer.py", ("input_peer",), 25),
    Group("memory", "measure_memory.py", tuple(f"memory_{name}" for name in PRESETS), 20, "jax"),
    Group("prediction", "measure_prediction.py", ("prediction",), 20, "jax"),
    Group("training", "measure_training.py", ("training",), 100, "jax"),
)
SECONDS = sum(group.seconds for group in GROUPS)

# a row and its peer count only if one call measured both: another call may get another card
PEER_OF = {
    f"step_{who}_{side}_{batch}": f"step_peer_{side}_{batch}"
    for who in ("jax", "torch")
    for side, batch in SHAPES
} | {"input_cache": "input_peer", "input_host": "input_peer"}


def missing_rows(results: Iterable[Mapping], retry: bool = False) -> set[str]:
    """Return the names of the rows that are still to be measured.

    Args:
        results: Results of earlier calls: `row`, `call`, and `values`, or `error` with the reason.
            A row that was stopped by a time limit also has `stopped`.
        retry: Whether rows that failed are measured again. Rows that were stopped always are.
    """
    calls: dict[str, set[str]] = {}
    for result in results:
        if not result.get("stopped") and not (retry and "error" in result):
            calls.setdefault(result["row"], set()).add(result["call"])
    missing = set()
    for row in (row for group in GROUPS for row in group.rows):
        peer = PEER_OF.get(row)
        found = calls.get(row, set())
        if not (found if peer is None else found & calls.get(peer, set())):
            missing |= {row} if peer is None else {row, peer}
    return missing


def find_result(results: Iterable[Mapping], row: str) -> tuple[Mapping | None, Mapping | None]:
    """Return the result of a row to show, and that of its peer in the same call.

    The latest call with figures of both comes first, then one with figures of the row alone, then
    one that failed. None stands for a result that does not exist.
    """
    of_row = [result for result in results if result["row"] == row]
    of_peer = {r["call"]: r for r in results if r["row"] == PEER_OF.get(row)}

    def rank(result: Mapping) -> tuple[bool, bool, str]:
        peer = of_peer.get(result["call"], {})
        return "values" in result, "values" in peer, result["call"]

    best = max(of_row, key=rank, default=None)
    return best, None if best is None else of_peer.get(best["call"])
