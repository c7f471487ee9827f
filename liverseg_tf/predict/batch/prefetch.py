"""A pipeline of three steps, of which the first and the last run in a background thread."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Processed = TypeVar("Processed")
Finished = TypeVar("Finished")


def prefetch_map(
    items: Sequence[Item],
    prepare: Callable[[Item], Prepared],
    process: Callable[[Prepared], Processed],
    finish: Callable[[Processed], Finished],
) -> Iterator[Finished]:
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
    futures = (background.submit(prepare, item) for item in items)
    try:
        following = next(futures, None)
        while following is not None:
            prepared = following.result()
            # queued behind `finish` of the previous item, which uses the same thread
            following = next(futures, None)
            processed = process(prepared)
            del prepared
            if last is not None:
                yield last.result()
            last = background.submit(finish, processed)
            del processed
        if last is not None:
            yield last.result()
    finally:
        if last is not None:
            wait([last])  # its processing is done: wait even if finishing has not started yet
        background.shutdown(wait=True, cancel_futures=True)
