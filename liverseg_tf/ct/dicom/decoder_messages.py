"""What decoders of compressed images write to standard error instead of raising an error."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNS_OF_DAMAGE = ("corrupt", "premature", "marker", "too short", "truncated", "fail", "error")
_STDERR = 2
_lock = threading.Lock()


@contextmanager
def collect_messages() -> Iterator[list[str]]:
    """Collect the lines that C libraries write to standard error.

    libjpeg and OpenJPEG decode damaged images and only print that they are damaged. Lines without a
    sign of damage, such as those of other threads, are written to standard error at the end.

    Yields:
        A list, which contains the lines with a sign of damage when the block has ended.
    """
    found: list[str] = []
    with _lock:
        try:
            original = os.dup(_STDERR)
        except OSError:  # a process without standard error
            yield found
            return
        with tempfile.TemporaryFile() as file:
            try:
                os.dup2(file.fileno(), _STDERR)
                yield found
            finally:
                os.dup2(original, _STDERR)
                file.seek(0)
                for line in file.read().splitlines(keepends=True):
                    text = line.decode(errors="replace").strip()
                    if any(sign in text.lower() for sign in _SIGNS_OF_DAMAGE):
                        found.append(text)
                    else:
                        os.write(original, line)
                os.close(original)
