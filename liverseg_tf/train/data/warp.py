"""Spatial augmentation: affine transforms, mirroring and elastic deformation of image and mask."""

from keras import ops

from liverseg_tf.train.data.smoothing import spline_matrix


def warp_tiles(image, mask, matrix, control_points):
    """Move every tile by an affine transform and an elastic deformation.

    Image and mask move together, and each pixel of the image is interpolated only once.

    Args:
        image: (tiles, h, w, channels) uint8 or float32, interpolated linearly.
        mask: (tiles, h, w, 1) uint8 labels, of which the nearest is taken.
        matrix: (tiles, 2, 3) float32, from output pixel (x, y, 1) to input pixel (x, y).
        control_points: (tiles, 2, CONTROL_POINTS, CONTROL_POINTS) float32 displacements along x
            and y in pixels.

    Returns:
        Image float32 and mask uint8 of the same shapes; both are 0 outside the original tile.
    """
    count, height, width, channels = ops.shape(image)
    x, y = _input_positions(ops.convert_to_tensor(matrix), control_points, height, width)
    # a border of zeros answers for every point outside the tile
    x, y = ops.clip(x + 1, 0, width + 1), ops.clip(y + 1, 0, height + 1)
    column, row = ops.cast(x, "int32"), ops.cast(y, "int32")
    right = ops.expand_dims(x - ops.cast(column, "float32"), -1)
    lower = ops.expand_dims(y - ops.cast(row, "float32"), -1)
    # image and mask in one array, so that each pixel is looked up once
    both = ops.concatenate([ops.cast(image, "float32"), ops.cast(mask, "float32")], -1)
    stride = width + 3
    pixels = ops.reshape(ops.pad(both, ((0, 0), (1, 2), (1, 2), (0, 0))), (-1, channels + 1))
    first = ops.reshape(ops.arange(count, dtype="int32") * ((height + 3) * stride), (-1, 1, 1))
    corner = first + row * stride + column

    def pixels_at(offset):
        values = ops.take(pixels, corner + offset, axis=0)
        return values[..., :channels], values[..., channels:]

    top_left, mask_top_left = pixels_at(0)
    top_right, mask_top_right = pixels_at(1)
    low_left, mask_low_left = pixels_at(stride)
    low_right, mask_low_right = pixels_at(stride + 1)
    top = top_left + (top_right - top_left) * right
    low = low_left + (low_right - low_left) * right
    nearest = ops.where(
        lower < 0.5,
        ops.where(right < 0.5, mask_top_left, mask_top_right),
        ops.where(right < 0.5, mask_low_left, mask_low_right),
    )
    return top + (low - top) * lower, ops.cast(nearest, "uint8")


def _input_positions(matrix, control_points, height: int, width: int):
    """Return x and y, (tiles, h, w) each, of the input pixel for every output pixel."""
    rows = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1))
    columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1))
    along_rows = ops.convert_to_tensor(spline_matrix(height))
    along_columns = ops.convert_to_tensor(spline_matrix(width).T)
    displacements = ops.matmul(ops.matmul(along_rows, control_points), along_columns)

    def position(axis):
        a, b, shift = (matrix[:, axis, n, None, None] for n in range(3))
        return a * columns + (b * rows + shift) + displacements[:, axis]

    return position(0), position(1)
