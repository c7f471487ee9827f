from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.settings import TrainSettings


def test_with_synthetic_lesions_the_lesion_is_conditional_on_its_organ():
    regions = Regions({"spleen": (3,), "tumour": (2,), "liver": (1, 2)})
    network = NetworkSpec(TileSpec(), regions)
    with_lesions = TrainSettings(regions=regions, synthetic_lesions=0.5)
    assert make_unet_spec(network, with_lesions).inside == ((), (2,), ())
    assert make_unet_spec(network, TrainSettings(regions=regions)).inside == ()
