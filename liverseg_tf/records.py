"""Records: JSON files and messages that are read into typed dataclasses, or refused in one line.

A record may be damaged, edited by hand or untrusted. Reading it either returns a value of the
expected type or raises a `LiverSegError`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from liverseg_tf.errors import LiverSegError, reason_of

MAX_BYTES = 256 * 1024**2  # more than the record of 100,000 cases
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors on Windows write it

Record = TypeVar("Record")


def read_record(path: Path, record_type: type[Record]) -> Record:
    """Read a JSON file into a typed value; see `decode_record`.

    Args:
        path: Path of the file.
        record_type: Type of the record.

    Raises:
        LiverSegError: If the file is missing, cannot be read, or holds no such record.
    """
    try:
        path = Path(path)
        if path.exists() and not path.is_file():  # a pipe would block
            raise LiverSegError(f"Expected a JSON file at {path}. Received: not a regular file.")
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError) as error:  # ValueError: the path contains a null character
        reason = reason_of(error)
        raise LiverSegError(f"Expected a JSON file at {path}. Received: {reason}.") from error
    if content is None:
        raise _too_large(str(path))
    return decode_record(content, record_type, str(path))


def decode_record(content: bytes, record_type: type[Record], source: str) -> Record:
    """Decode JSON into a typed value.

    Args:
        content: JSON in UTF-8.
        record_type: A dataclass whose fields have the types of the record, with ranges as in
            `Annotated[int, msgspec.Meta(ge=1, le=512)]`; or another type that msgspec decodes.
            Fields without a default are required; further entries of the record are ignored.
        source: Where the record comes from, for error messages, such as its path.

    Raises:
        LiverSegError: If the content is no valid JSON (NaN and infinity are not), is too large or
            nested too deeply, has a key twice, or does not have this type.
    """
    if len(content) > MAX_BYTES:
        raise _too_large(source)
    content = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        record = msgspec.json.decode(content, type=record_type)
        json.loads(content, object_pairs_hook=_check_keys)
    except msgspec.ValidationError as error:
        raise _wrong_entry(error, source) from error
    except RecursionError as error:
        raise LiverSegError(
            f"Expected a JSON record in {source}. Received lists or objects that are nested too "
            "deeply."
        ) from error
    except ValueError as error:  # no JSON, no UTF-8, or a key twice
        raise LiverSegError(
            f"Expected a JSON record in {source}. Received: {str(error).rstrip('.')}."
        ) from error
    return record


def convert_record(value: object, record_type: type[Record], source: str) -> Record:
    """Convert decoded JSON values into a typed value.

    Args:
        value: Dictionaries, lists, text, numbers, booleans and None.
        record_type: Type of the record; see `decode_record`.
        source: Where the record comes from, for error messages.

    Raises:
        LiverSegError: If the value does not have this type.
    """
    try:
        return msgspec.convert(value, record_type)
    except msgspec.ValidationError as error:
        raise _wrong_entry(error, source) from error
    except (ValueError, RecursionError, OverflowError) as error:
        raise LiverSegError(f"Expected a record in {source}. Received: {error}.") from error


def digest_json(value: object) -> str:
    """Return an identifier of a plain JSON value that changes whenever the value does."""
    content = json.dumps(value, sort_keys=True).encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _too_large(source: str) -> LiverSegError:
    return LiverSegError(
        f"Expected a JSON record of at most {MAX_BYTES // 1024**2} MiB in {source}. "
        "Received a larger one."
    )


def _wrong_entry(error: msgspec.ValidationError, source: str) -> LiverSegError:
    """Make one line of an error, with the wrong entry as in "$.network.depth: expected int"."""
    message = str(error).replace("`", "")
    reason, _, entry = message.rpartition(" - at ")
    reason, entry = (reason, entry) if reason else (message, "$")
    return LiverSegError(
        f"Expected a complete record in {source}. "
        f"Received a wrong entry {entry}: {reason[:1].lower()}{reason[1:]}."
    )


def _check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON as a dictionary, unless one of its keys occurs twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {repeated[:40]!r} twice in one object")
    return value
