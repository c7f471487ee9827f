"""A pipeline of three steps, of which the first and the last run in a background thread."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait


def prefetch_map(
    items: Sequence, prepare: Callable, process: Callable, finish: Callable
) -> Iterator[object]:
    """Compute `finish(process(prepare(item)))` for each item.

    `process` runs in the calling thread. Meanwhile one background thread finishes the previous
    item and then prepares the next one, so that the values of at most two items are in memory.
    If `process` is interrupted, the previous item is still finished.

    Args:
        items: Arguments of `prepare`.
        prepare: Function of an item.
        process: Function of the value that `prepare` returned.
        finish: Function of the value that `process` returned.

    Yields:
        The values that `finish` returned, in the order of the items.

    Example:
        >>> list(prefetch_map(["1", "2"], int, lambda n: n * 10, str))
        ['10', '20']
    """
    background, last = ThreadPoolExecutor(1), None
    try:
        prepared = background.submit(prepare, items[0]) if items else None
        for number in range(1, len(items) + 1):
            value = prepared.result()
            # queued behind `finish` of the previous item, which uses the same thread
            prepared = background.submit(prepare, items[number]) if number < len(items) else None
            value = process(value)
            if last is not None:
                yield last.result()
            last = background.submit(finish, value)
            del value
        if last is not None:
            yield last.result()
    finally:
        if last is not None:
            wait([last])  # its processing is done: wait even if finishing has not started yet
        background.shutdown(wait=True, cancel_futures=True)
