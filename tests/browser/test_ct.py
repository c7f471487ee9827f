import itertools

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.ct import morphology
from liverseg_tf.ct.components import Components, filter_components, label_components
from liverseg_tf.ct.intensity import PercentileRange, Window, to_uint8, without_padding
from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.resample import PlaneResampler
from liverseg_tf.ct.rescale import rescale

AFFINES = [
    nib.affines.from_matvec(np.eye(3)[list(axes)] * signs * [0.7, 0.8, 3], [-10, 20, 30])
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
ROTATION = np.array([[0.936, -0.275, 0.218], [0.289, 0.957, -0.036], [-0.199, 0.097, 0.975]])


def test_resampling_and_windows(node):
    rng = np.random.default_rng(0)
    cases = []
    for index in range(10):
        shape = tuple(map(int, rng.integers(4, 60, 2)))
        spacing = tuple(map(float, rng.uniform(0.5, 4, 2)))
        target = 1.5 if index % 2 else float(rng.uniform(0.3, 9))
        plane = rng.integers(-3024, 3000, shape)
        dtype = (np.int16, np.float32, np.int32)[index % 3]
        cases.append({"shape": shape, "spacing": spacing, "target": target, "plane": plane})
        cases[-1]["plane"] = (plane * (1.25 if dtype == np.float32 else 1)).astype(dtype)
    window = {"level_hu": 40.3, "width_hu": 397.0}
    found = node(
        """
        const { PlaneResampler } = await load("ct/resample");
        const { withoutPadding, toUint8 } = await load("ct/intensity");
        return input.cases.map(({ shape, spacing, target, plane }) => {
          const resampler = PlaneResampler.toSpacing(shape, spacing, [target, target]);
          const tile = resampler.apply(withoutPadding(plane, -1024));
          return { shape: resampler.targetShape, tile, back: resampler.inverse.apply(tile),
            window: toUint8(tile, input.window) };
        });
        """,
        cases=cases,
        window=window,
    )
    for case, result in zip(cases, found, strict=True):
        resampler = PlaneResampler.to_spacing(
            case["shape"], case["spacing"], (case["target"], case["target"])
        )
        tile = resampler.apply(without_padding(case["plane"][None]))
        assert tuple(result["shape"]) == resampler.target_shape
        np.testing.assert_array_equal(result["tile"], tile.ravel())
        np.testing.assert_array_equal(result["back"], resampler.inverse.apply(tile).ravel())
        expected = to_uint8(tile, Window(**window))
        np.testing.assert_array_equal(result["window"], expected.ravel())


def test_percentiles(node):
    rng = np.random.default_rng(1)
    arrays = [
        rng.integers(0, 900, 5000).astype(np.int16),
        rng.normal(200, 80, 4001).astype(np.float32),
        rng.integers(0, 200, 999).astype(np.uint8),
        rng.normal(0, 3, 2**21 * 2 + 17).astype(np.float32),
    ]
    found = node(
        """
        const { windowOf } = await load("ct/intensity");
        return input.arrays.map((array) => windowOf({ lower: 0.5, upper: 99.5 }, array));
        """,
        arrays=arrays,
    )
    for array, window in zip(arrays, found, strict=True):
        expected = PercentileRange().window_of(array[None, None])
        assert window == {"level_hu": expected.level_hu, "width_hu": expected.width_hu}


def test_orientation_in_all_48_orders_and_oblique(node):
    oblique = nib.affines.from_matvec(ROTATION * [0.7, 0.8, 3], [1, 2, 3])
    affines = [*AFFINES, oblique, oblique[:, [1, 2, 0, 3]], oblique * [[-1], [1], [1], [1]]]
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    found = node(
        """
        const m = await load("ct/orientation");
        return input.affines.map((affine) => {
          const orientation = m.orientationOf(affine), shape = [2, 3, 4];
          const canonical = m.toCanonicalArray(orientation, input.array, shape);
          const back = m.fromCanonicalArray(orientation, canonical, shape);
          return { ...orientation, canonical, back,
            affine: m.canonicalAffine(orientation, affine, shape) };
        });
        """,
        affines=[affine.tolist() for affine in affines],
        array=array,
    )
    for affine, result in zip(affines, found, strict=True):
        expected = Orientation.of(affine)
        assert (tuple(result["axes"]), tuple(result["flips"])) == (expected.axes, expected.flips)
        canonical = expected.to_canonical(array)
        np.testing.assert_array_equal(result["canonical"], canonical.ravel())
        np.testing.assert_array_equal(result["back"], array.ravel())
        np.testing.assert_array_equal(
            result["affine"], expected.canonical_affine(affine, array.shape)
        )


def test_components_and_morphology(node):
    rng = np.random.default_rng(2)
    masks = [rng.random((7, 12, 11)) < density for density in (0.1, 0.3, 0.6)]
    masks += [ndimage.binary_dilation(masks[0], iterations=2), np.zeros((3, 4, 5), bool)]
    spacing = (3.0, 0.7, 0.9)
    found = node(
        """
        const c = await load("ct/components"), m = await load("ct/morphology");
        return input.masks.map(({ mask, outer, shape }) => ({
          six: c.labelComponents(mask, shape, 6), many: c.labelComponents(mask, shape),
          largest: c.filterComponents(mask, shape, c.largest),
          smooth: m.smoothZ(mask, shape), flat: m.fillHoles2d(mask, shape),
          solid: m.fillHoles3d(mask, shape),
          near: [0, 1.8, 3, 7.25].map((mm) =>
            m.withinDistance(mask, outer, shape, input.spacing, mm)),
        }));
        """,
        masks=[
            {
                "mask": m.astype(np.uint8),
                "outer": np.roll(m, 5, 1).astype(np.uint8) & 1,
                "shape": m.shape,
            }
            for m in masks
        ],
        spacing=spacing,
    )
    for mask, result in zip(masks, found, strict=True):
        for name, connectivity in (("six", 6), ("many", 26)):
            expected = label_components(mask, connectivity)
            np.testing.assert_array_equal(result[name]["labels"], expected.labels.ravel())
            np.testing.assert_array_equal(result[name]["sizes"], expected.sizes)
        steps = {
            "largest": filter_components(mask, Components.largest),
            "smooth": morphology.smooth_z(mask),
            "flat": morphology.fill_holes_2d(mask),
            "solid": morphology.fill_holes_3d(mask),
        }
        for name, expected in steps.items():
            np.testing.assert_array_equal(result[name], expected.ravel(), name)
        for mm, near in zip((0, 1.8, 3, 7.25), result["near"], strict=True):
            expected = morphology.within_distance(mask, np.roll(mask, 5, 1), spacing, mm)
            np.testing.assert_array_equal(near, expected.ravel())


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1, 0), (2, -1024), (1, -40000), (0.5, 3.25), (3e6, 0)]
)
def test_rescaling(node, slope, intercept):
    rng = np.random.default_rng(3)
    arrays = [
        rng.integers(-2000, 3000, 50).astype(np.int16),
        rng.integers(0, 255, 50).astype(np.uint8),
        rng.integers(0, 60000, 50).astype(np.uint16),
        rng.normal(0, 1000, 50).astype(np.float32),
        rng.normal(0, 1000, 50),
    ]
    found = node(
        """
        const { rescale } = await load("ct/rescale");
        return input.arrays.map((array) => rescale(array, input.slope, input.intercept));
        """,
        arrays=arrays,
        slope=slope,
        intercept=intercept,
    )
    for array, result in zip(arrays, found, strict=True):
        expected = rescale(array, slope, intercept)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)
