"""PNG in and out, as TensorFlow ops."""

import tensorflow as tf

from liverseg_tf.tiles.transform import LARGEST_SIDE

OFFSET_HU = 32768  # stored value minus HU, of 16-bit PNG
_HEADER = b"\x89PNG\r\n\x1a\n"
_GREY = 0


def decode(content: tf.Tensor, windows: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A slice of a PNG; its header is judged before anything is allocated.

    Args:
        content: () string, a greyscale PNG of 16 or 8 bits.
        windows: of the network; 8 bits hold one.

    Returns:
        (1, rows, cols, 1) float32, HU of 16 bits or 0..255 of 8; and () bool, whether the
        values have been through the window already.
    """
    begins = tf.strings.length(content) > 32
    # a text too short has no byte 24: its place is taken by one that is long enough
    header = tf.where(begins, content, tf.constant(b"\0" * 33))
    known = tf.equal(tf.strings.substr(header, 0, len(_HEADER)), _HEADER)
    sides = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    depth, colours = tf.unstack(
        tf.io.decode_raw(tf.strings.substr(header, 24, 2), tf.uint8, fixed_length=None)[:2], 2
    )
    depth, colours = tf.cast(depth, tf.int32), tf.cast(colours, tf.int32)
    allowed = (depth == 16) | ((depth == 8) & (windows == 1))
    expected = "of 8 (after the window) or 16 bits (HU + 32768)"
    expected = expected if windows == 1 else "of 16 bits (HU + 32768)"
    checks = [
        tf.debugging.Assert(known, ["Expected a PNG. Received another format."]),
        tf.debugging.Assert(
            allowed & (colours == _GREY),
            [f"Expected a greyscale PNG {expected}. Received bits, colour type:", depth, colours],
        ),
        tf.debugging.Assert(
            tf.reduce_all((sides > 0) & (sides <= LARGEST_SIDE)),
            [f"Expected a PNG of at most {LARGEST_SIDE} pixels a side. Received:", sides],
        ),
    ]
    with tf.control_dependencies(checks):
        content = tf.identity(content)
    stored = tf.cast(tf.io.decode_png(content, channels=1, dtype=tf.uint16), tf.float32)
    is_windowed = depth == 8
    # 8 bits are read as 16 by repeating them: 255 becomes 65535
    values = tf.where(is_windowed, tf.floor(stored / 257), stored - OFFSET_HU)
    return values[None], is_windowed


def encode(mask: tf.Tensor) -> tf.Tensor:
    """(rows, cols) uint8 to a PNG of 8 bits, () string."""
    return tf.io.encode_png(mask[..., None])
