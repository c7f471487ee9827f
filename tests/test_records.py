"""Records are read into typed values, or refused in one line with path and entry."""

import json
import random
from dataclasses import asdict, dataclass
from typing import Annotated

import pytest
from msgspec import Meta

from liverseg_tf.errors import LiverSegError
from liverseg_tf.records import MAX_BYTES, convert_record, decode_record, read_record


@dataclass(frozen=True)
class Inner:
    depth: Annotated[int, Meta(ge=1, le=8)]
    rate: float = 0.5
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner
    split: dict[str, list[str]]


GOOD = Outer(Inner(3, 0.25, ("liver",)), {"val": ["ä"]})


def encode(**changes) -> bytes:
    value = asdict(GOOD)
    value["inner"] |= changes
    return json.dumps(value).encode()


def test_a_record_comes_back(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + encode(added_later={"x": 1}))
    assert read_record(path, Outer) == GOOD
    assert convert_record(asdict(GOOD), Outer, "memory") == GOOD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encode(depth=9), r"record in .*a\.json\. Received .* \$\.inner\.depth: expected int <= 8"),
        (encode(depth=True), r"\$\.inner\.depth: expected int, got bool"),
        (encode(depth=10**30), r"\$\.inner\.depth: "),
        (encode(rate="1"), r"\$\.inner\.rate: .*expected float, got str"),
        (encode(names=["a", 1]), r"\$\.inner\.names\[1\]: expected str, got int"),
        (encode(rate=float("nan")), "malformed"),
        (encode(rate=float("inf")), "malformed"),
        (encode().replace(b"0.25", b"1e999"), r"\$\.inner\.rate: .*out of range"),
        (encode().replace(b"3", b"9" * 5000), r"\$\.inner\.depth: "),
        (b'{"inner": {}}', r"\$\.inner: .*missing required field depth"),
        (b'{"split": ' + b"[" * 100_000, "nested too deeply|expected object"),
        (b'{"inner": {"depth": 1}, "split": {}, "x": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"inner": {"depth": 1, "depth": 2}, "split": {}}', "'depth' twice"),
        (b'{"inner": {"depth": 1}, "split": {"a": ["\xff"]}}', "utf-8"),
        (b'{"inner": {"depth": 1}, "split": {"a": ["\\ud800"]}}', "truncated|surrogate|malformed"),
        (encode().decode().encode("utf-16"), "malformed"),
        (b"", "Received: "),
        (b"[1]", "expected object, got array"),
    ],
)
def test_a_wrong_record_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(LiverSegError, match=reason) as caught:
        read_record(path, Outer)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_huge_one_are_told(tmp_path):
    with pytest.raises(LiverSegError, match=r"a\.json\. Received: No such file"):
        read_record(tmp_path / "a.json", Outer)
    with pytest.raises(LiverSegError, match="Received: "):
        read_record(tmp_path / "a\0.json", Outer)
    with pytest.raises(LiverSegError, match="not a regular file"):
        read_record(tmp_path, Outer)
    with open(tmp_path / "b.json", "wb") as file:
        file.truncate(MAX_BYTES + 1)  # a sparse file
    with pytest.raises(LiverSegError, match="at most 256 MiB"):
        read_record(tmp_path / "b.json", Outer)


def test_no_mutation_of_a_record_raises_another_error():
    draw = random.Random(1)
    pieces = [b"NaN", b"-Infinity", b"1e999", b"[" * 5000, b"{", b'"', b"null", b"\xff", b"\\u0000"]
    for _ in range(2000):
        content = bytearray(encode())
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(content))
            piece = draw.choice([*pieces, bytes([draw.randrange(256)])])
            content[place : place + draw.randint(0, 3)] = piece
        message = _refusal(bytes(content))
        assert message is None or "\n" not in message


def _refusal(content: bytes) -> str | None:
    """Return the message with which a record is refused, or None if it is read."""
    try:
        assert isinstance(decode_record(content, Outer, "a message"), Outer)
    except LiverSegError as error:
        return str(error)
    return None
