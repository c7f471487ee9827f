"""The rules by which TensorFlow Serving merges requests when it runs with --enable_batching.

They are those of its batching session: requests of one signature are merged within a time-out,
whatever their shapes; if the shapes differ, all of them fail; larger requests than the limit are
refused.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np


class BatchingRefusal(Exception):
    """A status other than OK, with its name and a message."""


@dataclass
class _Batch:
    tasks: list[dict] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    outputs: list[dict] | None = None
    error: BatchingRefusal | None = None
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class BatchingSession:
    """Merges requests as the batching session of a server does.

    Args:
        parameters: Contents of the file for --batching_parameters_file.
    """

    def __init__(self, parameters: str):
        values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", parameters, re.MULTILINE))
        self.limit = self.execution = int(values["max_batch_size"])
        if values.get("enable_large_batch_splitting") == "true":
            self.execution = int(values.get("max_execution_batch_size", self.limit))
        self._timeout_s = int(values["batch_timeout_micros"]) / 1e6
        self._threads = threading.Semaphore(int(values["num_batch_threads"]))
        self._lock = threading.Lock()
        self._open: dict[object, _Batch] = {}
        self.merged = 0  # requests that were merged with others
        self.refused = 0  # requests that failed for the shapes of others

    def run(
        self, signature: object, inputs: dict[str, np.ndarray], compute: Callable[[dict], dict]
    ) -> dict[str, np.ndarray]:
        """Compute the outputs of a request, together with those of other requests."""
        (size,) = {len(value) for value in inputs.values()}
        if size > self.limit:
            raise BatchingRefusal(
                "INVALID_ARGUMENT",
                f"Task size {size} is larger than maximum input batch size {self.limit}",
            )
        parts = [
            {name: value[start : start + self.execution] for name, value in inputs.items()}
            for start in range(0, size, self.execution)
        ]
        outputs = [self._run_part(signature, part, compute) for part in parts]
        return {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}

    def _run_part(self, signature, inputs, compute) -> dict[str, np.ndarray]:
        size = len(next(iter(inputs.values())))
        with self._lock:
            batch = self._open.get(signature)
            if batch is not None and sum(batch.sizes) + size > self.execution:
                batch.full.set()
                batch = None
            first = batch is None
            if batch is None:
                batch = self._open[signature] = _Batch()
            position = len(batch.tasks)
            batch.tasks.append(inputs)
            batch.sizes.append(size)
            if sum(batch.sizes) == self.execution:
                batch.full.set()
        if first:
            batch.full.wait(self._timeout_s)
            with self._threads:  # while no thread is free, further requests join the batch
                with self._lock:
                    if self._open.get(signature) is batch:
                        del self._open[signature]
                self._process(batch, compute)
        batch.done.wait()
        if batch.error is not None:
            raise batch.error
        assert batch.outputs is not None
        return batch.outputs[position]

    def _process(self, batch: _Batch, compute) -> None:
        try:
            if len(batch.tasks) > 1:
                self.merged += len(batch.tasks)
            for name in batch.tasks[0]:
                if len({task[name].shape[1:] for task in batch.tasks}) > 1:
                    self.refused += len(batch.tasks)
                    raise BatchingRefusal(
                        "FAILED_PRECONDITION",
                        f"Tensors with name '{name}' from different tasks have different shapes "
                        "and padding is turned off. Set pad_variable_length_inputs to true, or "
                        "ensure that all tensors with the same name have equal dimensions "
                        "starting with the first dim.",
                    )
            merged = {
                name: np.concatenate([task[name] for task in batch.tasks])
                for name in batch.tasks[0]
            }
            ends = np.cumsum(batch.sizes)[:-1]
            split = {name: np.split(value, ends) for name, value in compute(merged).items()}
            batch.outputs = [
                {name: values[index] for name, values in split.items()}
                for index in range(len(batch.tasks))
            ]
        except BatchingRefusal as error:
            batch.error = error
        except BaseException as error:
            batch.error = BatchingRefusal("INTERNAL", str(error))
            raise
        finally:
            batch.done.set()
