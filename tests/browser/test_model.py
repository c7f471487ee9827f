import json

import numpy as np
import pytest

from liverseg_tf.ct.intensity import PercentileRange
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.check.intensities import measure_intensities
from liverseg_tf.dataset.check.orientation_check import measure_anatomy
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.input_image import check_image, judge_image
from liverseg_tf.predict.outputs.measurements import measure
from liverseg_tf.tiles.spec import TileSpec

FOUR = Regions({"body": (1, 2, 3), "liver": (1, 2), "tumour": (2,), "spleen": (4,)})
STEPS = [
    (LIVER_REGIONS, PostProcessing()),
    (LIVER_REGIONS, PostProcessing(largest=("liver",), fill_3d=("liver",))),
    (LIVER_REGIONS, PostProcessing(smooth_z=("liver", "tumour"), fill_2d=("tumour",))),
    (LIVER_REGIONS, PostProcessing(min_volume_ml=(("tumour", 0.02), ("liver", 0.1)))),
    (LIVER_REGIONS, PostProcessing(inside=(("tumour", "liver", 0.0),))),
    (LIVER_REGIONS, PostProcessing(inside=(("tumour", "liver", 4.3),), largest=("tumour",))),
    (LIVER_REGIONS, PostProcessing(min_mean_probability=(("liver", 0.5), ("tumour", 0.49)))),
    (LIVER_REGIONS, PostProcessing(min_peak_probability=(("liver", 0.9), ("tumour", 0.97)))),
    (FOUR, PostProcessing(largest=("body", "spleen"), fill_2d=("liver",), smooth_z=("body",))),
    (
        FOUR,
        PostProcessing(
            inside=(("spleen", "body", 2.0),),
            smooth_z=("spleen",),
            min_mean_probability=(("body", 0.4),),
            min_volume_ml=(("tumour", 0.01),),
            largest=("body",),
            fill_2d=("tumour",),
            fill_3d=("body", "liver"),
        ),
    ),
]


def _record(network, postprocessing=PostProcessing()):
    value = network.to_json() | {"regions": list(network.regions.items)}
    return json.loads(json.dumps({"network": value, "postprocessing": postprocessing.to_json()}))


def test_every_step_of_the_postprocessing(node):
    rng = np.random.default_rng(0)
    shape, affine = (9, 17, 15), np.diag([-0.8, -0.9, 3.0, 1.0])
    cases = []
    for regions, steps in STEPS:
        density = rng.random((len(regions), *shape))
        probabilities = (255 * density).astype(np.uint8)
        bits = np.zeros(shape, np.uint8)
        for region, mask in enumerate(density > 0.55):
            bits |= (mask << region).astype(np.uint8)
        masks = RegionMasks(bits, regions, Volume(bits, affine), probabilities)
        cases.append((masks, steps))
    found = node(
        """
        const { applyPostprocessing } = await load("model/postprocessing");
        const { RegionMasks } = await load("model/region_masks");
        return input.cases.map(({ regions, steps, bits, probabilities }) => {
          const masks = new RegionMasks(input.shape, regions, false);
          masks.bits.set(bits);
          masks.probabilities = probabilities;
          applyPostprocessing(steps, masks, input.spacing);
          return { bits: masks.bits, labels: masks.labels() };
        });
        """,
        shape=shape,
        spacing=(3.0, 0.9, 0.8),
        cases=[
            {
                "regions": list(masks.regions.items),
                "steps": steps.to_json(),
                "bits": masks.bits,
                "probabilities": list(masks.probabilities),
            }
            for masks, steps in cases
        ],
    )
    for (masks, steps), result in zip(cases, found, strict=True):
        expected = steps.apply(masks)
        np.testing.assert_array_equal(result["bits"], expected.bits.ravel(), str(steps))
        np.testing.assert_array_equal(result["labels"], expected.labels().array.ravel())


CHECK = """
const { checkImage, judgeImage } = await load("predict/input_image");
const { measureIntensities } = await load("dataset/check/intensities");
const { measureAnatomy } = await load("dataset/check/orientation_check");
return input.images.map((image) => {
  image = { modality: "", warnings: [], ...image };
  image.fileAffine = image.affine;
  const spacing = input.spacing;
  try {
    checkImage(image);
    return { warnings: judgeImage(image, input.network), values: measureIntensities(image),
      anatomy: measureAnatomy(image, spacing) };
  } catch (error) {
    return { error: error.message };
  }
});
"""


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(3, PhantomSpec((20, 64, 64), (9.0, 6.0, 6.0), axes="LPS", oblique=0))[0]


def _judge(image, tiles):
    check_image(image)
    return judge_image(image, tiles.check_settings())


def _variants(ct):
    hu = ct.astype(np.float64)
    return {
        "plain": ct,
        "floats": ct.astype(np.float32),
        "clipped": np.clip(ct, -100, 300),
        "clipped wider": np.clip(ct, -250, 500),
        "8 bits": np.clip((hu + 200) / 2, 0, 255).astype(np.uint8),
        "0 to 1": np.clip((hu + 200) / 450, 0, 1).astype(np.float32),
        "no intercept": (ct + 1024).astype(np.int16),
        "wrong intercept": (ct + 300).astype(np.int16),
        "halved": (hu / 2).astype(np.int16),
        "inverted": -ct,
        "unsigned": np.where(ct < 0, 65536 + ct.astype(np.int32), ct),
        "one value": np.full_like(ct, 7),
        "mask": (ct > 100).astype(np.uint8),
        "mask of organs": (np.clip(hu, 0, 80) // 4).astype(np.uint8),
        "NaN": np.where(ct > 300, np.nan, hu).astype(np.float32),
        "upside down": ct[::-1],
        "front to back": ct[:, ::-1],
    }


@pytest.mark.parametrize(
    "tiles", [TileSpec(), TileSpec(percentiles=PercentileRange())], ids=["CT", "MR"]
)
def test_the_rules_of_check(node, phantom, tiles):
    affine = np.diag([-6.0, -6.0, 9.0, 1.0])
    affine[:3, 3] = 10
    network = NetworkSpec(tiles)
    images = {
        name: Volume(np.ascontiguousarray(array), affine)
        for name, array in _variants(phantom.array).items()
    }
    images["unit"] = Volume(phantom.array, np.diag([-1.0, -1.0, 1.0, 1.0]))
    images["micron"] = Volume(phantom.array, np.diag([-0.05, -0.05, 1.0, 1.0]))
    images["MR"] = Volume(phantom.array, affine, modality="MR")
    found = node(
        CHECK,
        network=_record(network)["network"],
        spacing=(9.0, 6.0, 6.0),
        images=[
            {
                "array": image.array,
                "shape": image.array.shape,
                "affine": image.affine.tolist(),
                "modality": image.modality,
            }
            for image in images.values()
        ],
    )
    for (name, image), result in zip(images.items(), found, strict=True):
        if "error" in result:
            with pytest.raises(LiverSegError):
                _judge(image, tiles)
            continue
        issues = _judge(image, tiles)
        assert len(result["warnings"]) == len(issues), (name, result["warnings"], issues)
        values = measure_intensities(image.array)
        for js, python in {"tissue": "tissue", "spread": "spread", "step": "step"}.items():
            assert result["values"][js] == pytest.approx(getattr(values, python)), (name, js)
        assert result["values"]["clippedBelow"] == values.clipped_below, name
        assert result["values"]["fractionAir"] == values.fraction_air, name
        anatomy = measure_anatomy(image, None)
        for js, python in {
            "lungLower": "lung_lower",
            "lungUpper": "lung_upper",
            "abdomenUpper": "abdomen_upper",
            "spineFront": "spine_front",
            "spineBack": "spine_back",
        }.items():
            assert result["anatomy"][js] == pytest.approx(getattr(anatomy, python)), (name, js)


def test_measurements(node, phantom):
    rng = np.random.default_rng(1)
    affine = np.diag([-6.0, -6.0, 9.0, 1.0])
    array = phantom.array.copy()
    array[3, 20:30, 20:30] = -3024
    labels = np.zeros(array.shape, np.uint8)
    labels[2:9, 15:40, 22:64] = 1
    labels[5, 16:20, 30:60] = rng.integers(0, 3, (4, 30))
    found = node(
        """
        const { measure } = await load("predict/outputs/measurements");
        return measure(input.image, input.labels, input.regions);
        """,
        image={"array": array, "shape": array.shape, "affine": affine.tolist()},
        labels=labels,
        regions=[*LIVER_REGIONS.items, ("spleen", (3,))],
    )
    regions = Regions([*LIVER_REGIONS.items, ("spleen", (3,))])
    expected = measure(Volume(array, affine), Volume(labels, affine), regions)["regions"]
    for result in found:
        region = expected[result["name"]]
        assert result["voxels"] == region["voxels"]
        assert result["volumeMl"] == pytest.approx(region["volume_ml"])
        assert result["components"] == region["components"]
        assert result["largestMl"] == pytest.approx(region["largest_components_ml"])
        assert result["cutBy"] == region["cut_by"]
        for js, python in (("mean", "intensity_mean"), ("sd", "intensity_sd")):
            assert result[js] == pytest.approx(region[python])
