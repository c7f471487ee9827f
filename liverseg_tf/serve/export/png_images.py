"""Decoding and encoding of PNG images as TensorFlow ops."""

import tensorflow as tf

from liverseg_tf.tiles.transform import MAX_SLICE_SIDE

OFFSET_HU = 32768  # stored value minus HU in 16-bit PNG
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREYSCALE = 0  # colour type


def decode(content: tf.Tensor, windows: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode a slice. The header is checked before memory is allocated for the pixels.

    Args:
        content: () string, a greyscale PNG with 16 or 8 bits.
        windows: Number of the network's intensity windows. An 8-bit PNG is only allowed for one.

    Returns:
        (1, rows, cols, 1) float32, HU for 16 bits or 0..255 for 8 bits; and () bool, whether the
        window has already been applied (8 bits).
    """
    has_header = tf.strings.length(content) > 32
    # content that is too short has no byte 24 and would fail below: it is replaced by zeros
    header = tf.where(has_header, content, tf.constant(b"\0" * 33))
    is_png = tf.equal(tf.strings.substr(header, 0, len(_SIGNATURE)), _SIGNATURE)
    sides = tf.io.decode_raw(tf.strings.substr(header, 16, 8), tf.int32, little_endian=False)
    depth, colours = tf.unstack(
        tf.io.decode_raw(tf.strings.substr(header, 24, 2), tf.uint8, fixed_length=None)[:2], 2
    )
    depth, colours = tf.cast(depth, tf.int32), tf.cast(colours, tf.int32)
    allowed = (depth == 16) | ((depth == 8) & (windows == 1))
    expected = "of 8 bits (after the window) or 16 bits (HU + 32768)"
    expected = expected if windows == 1 else "of 16 bits (HU + 32768)"
    checks = [
        tf.debugging.Assert(is_png, ["Expected a PNG image. Received another format."]),
        tf.debugging.Assert(
            allowed & (colours == _GREYSCALE),
            [
                f"Expected a greyscale PNG image {expected}. Received bits and colour type:",
                depth,
                colours,
            ],
        ),
        tf.debugging.Assert(
            tf.reduce_all((sides > 0) & (sides <= MAX_SLICE_SIDE)),
            [
                f"Expected a PNG image of at most {MAX_SLICE_SIDE} pixels per side. "
                "Received width and height:",
                sides,
            ],
        ),
    ]
    with tf.control_dependencies(checks):
        content = tf.identity(content)
    stored = tf.cast(tf.io.decode_png(content, channels=1, dtype=tf.uint16), tf.float32)
    is_windowed = depth == 8
    # 8-bit values are decoded to 16 bits by repeating the byte: 255 becomes 65535
    values = tf.where(is_windowed, tf.floor(stored / 257), stored - OFFSET_HU)
    return values[None], is_windowed


def encode(mask: tf.Tensor) -> tf.Tensor:
    """Encode a label map (rows, cols) uint8 as an 8-bit PNG, () string."""
    return tf.io.encode_png(mask[..., None])
