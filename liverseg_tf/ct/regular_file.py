"""Opening of regular files only: reading from a pipe or a device may never end."""

import os
import stat
from pathlib import Path

from liverseg_tf.errors import LiverSegError, reason_of


def regular_file_size(path: Path) -> int:
    """Return the size of a file in bytes.

    Args:
        path: Any path. Links are followed.

    Raises:
        LiverSegError: If there is no such file, its name is not possible, or it is a folder, a
            pipe, a socket or a device.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = (reason_of(error)).lower()
        if isinstance(error, FileNotFoundError):
            reason = "no such file"
        raise LiverSegError(f"Expected a file at {path}. Received: {reason}.") from error
    if stat.S_ISDIR(status.st_mode):
        raise LiverSegError(f"Expected a file at {path}. Received a folder.")
    if not stat.S_ISREG(status.st_mode):
        raise LiverSegError(f"Expected a regular file at {path}. Received a pipe or a device.")
    return status.st_size


def neighbouring_file(header: Path, name: str) -> Path:
    """Return the path of a file of voxels that a header names.

    Args:
        header: Path of the header.
        name: Name in the header, with either kind of slash.

    Raises:
        LiverSegError: If the name is empty, holds a control character or a `%`, or leads out of
            the header's folder.
    """
    relative = os.path.normpath(name.replace("\\", "/"))
    if not name or not name.isprintable() or "%" in name:
        raise LiverSegError(
            f"Expected the name of a file with voxels in {header}. Received {name!a}: patterns of "
            "names are not read; list the files instead."
        )
    drive = len(relative) > 1 and relative[1] == ":"
    if os.path.isabs(relative) or drive or relative.split("/")[0] == "..":
        raise LiverSegError(
            f"Expected a file with voxels in the folder of {header}. Received {name}, which is "
            "outside: move it there and correct the header."
        )
    return header.parent / relative
