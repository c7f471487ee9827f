import json

import numpy as np
import pytest

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.tiles.spec import TileSpec

NETWORKS = {
    "one slice": NetworkSpec(TileSpec(), LIVER_REGIONS, 1, 16),
    "three slices": NetworkSpec(TileSpec(spacing_mm=3.1), LIVER_REGIONS, 3, 8),
    "five slices, 8 mm apart": NetworkSpec(
        TileSpec((Window(25, 450), Window(60, 150)), spacing_mm=2.0), LIVER_REGIONS, 5, 4, 8.0
    ),
    "native": NetworkSpec(TileSpec(spacing_mm=None, tile_shape=None), Regions({"a": (3,)}), 3, 4),
    "percentiles": NetworkSpec(
        TileSpec(percentiles=PercentileRange(), spacing_mm=5, tile_shape=(32, 32)), stride=4
    ),
}
ORDERS = {
    "LPS": np.diag([-4.0, -4.4, 7.0, 1.0]),
    "RPI": np.diag([4.0, -4.4, -7.0, 1.0]),
    "SLP, oblique": np.array(
        [[0.1, -4.0, 0.2, 5], [0.3, -0.1, -4.4, 0], [6.99, 0.2, 0.2, 9], [0, 0, 0, 1]]
    ),
}
CODE = """
const { findRegions } = await load("predict/segment_volume");
const { orientationOf, toCanonical, fromCanonicalArray } = await load("ct/orientation");
const { applyPostprocessing } = await load("model/postprocessing");
const { channelsOf } = await load("model/spec");
const { spacingOf } = await load("ct/volume");
const results = [];
for (const { image, network } of input.cases) {
  const channels = channelsOf(network), regions = network.regions.length;
  // probabilities that both languages compute exactly: a channel of the tile, divided by 256
  const predict = async (tiles) => {
    const out = new Float32Array((tiles.length / channels) * regions);
    for (let i = 0; i < out.length / regions; i++) {
      for (let region = 0; region < regions; region++) {
        out[i * regions + region] = tiles[i * channels + ((region * 2) % channels)] / 256;
      }
    }
    return out;
  };
  const canonical = toCanonical(image);
  const masks = await findRegions(canonical, { network, postprocessing: input.steps }, predict);
  applyPostprocessing(input.steps, masks, spacingOf(canonical));
  results.push(fromCanonicalArray(orientationOf(image.affine), masks.labels(), image.shape));
}
return results;
"""


class _Model:
    """Probabilities that both languages compute exactly."""

    def __init__(self, network):
        self.network = network

    def probabilities(self, tiles):
        channels = [region * 2 % tiles.shape[-1] for region in range(len(self.network.regions))]
        return tiles[..., channels].astype(np.float32) / 256


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_are_equal_voxel_for_voxel(node, name):
    network = NETWORKS[name]
    spec = PhantomSpec((12, 56, 60), (15.0, 6.5, 6.0), axes="LPS", oblique=0)
    ct = make_phantom(2, spec)[0].array
    outer = network.regions.names[0]
    steps = PostProcessing(threshold=((outer, 0.55),), min_mean_probability=((outer, 0.5),))
    volumes = []
    for index, affine in enumerate(ORDERS.values()):
        array = ct if index < 2 else np.ascontiguousarray(ct.transpose(1, 2, 0)[::-1])
        array[0, 0] = -3024
        volumes.append(Volume(array, _orthonormal(affine)))
    record = network.to_json() | {"regions": list(network.regions.items)}
    found = node(
        CODE,
        steps=steps.to_json(),
        cases=_cases(volumes, record),
    )
    for volume, labels in zip(volumes, found, strict=True):
        probabilities = np.zeros((len(network.regions), *volume.array.shape), np.uint8)
        inference = Inference(thresholds=steps.thresholds(network.regions))
        masks = find_regions(volume, _Model(network), inference, probabilities=probabilities)
        expected = steps.apply(masks).labels().array
        assert expected.any()
        np.testing.assert_array_equal(labels, expected.ravel())


def _cases(volumes, record):
    record = json.loads(json.dumps(record))
    return [
        {
            "image": {"array": v.array, "shape": v.array.shape, "affine": v.affine.tolist()},
            "network": record,
        }
        for v in volumes
    ]


def _orthonormal(affine):
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    first, _, second = np.linalg.svd(affine[:3, :3] / spacing)
    return np.vstack([np.column_stack([first @ second * spacing, affine[:3, 3]]), [0, 0, 0, 1]])
