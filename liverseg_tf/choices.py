"""The names of every choice that a user has, each defined once.

The commands, the settings and the code that implements a choice all import these names. This
module imports nothing, so that `liverseg --help` stays fast.
"""

# presets
ORGAN_PRESETS = ("liver", "spleen", "pancreas", "prostate")
TRAINING_PRESETS = ("tiny", "fast", "accurate")

# data sets and stores
LAYOUTS = ("msd", "nnunet", "lits", "folder", "dicom")
PHANTOM_LAYOUTS = ("msd", "nnunet")
MODALITIES = ("ct", "mr")
DEVICES = ("cpu", "gpu")  # for which `liverseg plan` plans
# rules of the check of which --accept turns errors into warnings
ACCEPTABLE_RULES = (
    *("clipped", "contrast", "duplicate", "geometry", "labels", "modality", "spacing", "values"),
)
STORAGES = ("hdf5", "hdf5-gzip", "png")
SIDES = ("train", "val", "test")  # of the split
UNSEEN_SIDES = SIDES[1:]

# networks and training
NORMALISATIONS = ("batch", "instance", "none")
LOSSES = ("dice-ce", "dice-topk", "focal-tversky")
OPTIMIZERS = ("adamw", "sgd")
DECAYS = ("cosine", "polynomial")
BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "bfloat16", "float16")
PATCH_SIZES = (1, 2, 4)
# transforms of the data augmentation, apart from mirroring
DEFAULT_TRANSFORMS = (
    *("affine", "elastic", "blur", "low-resolution", "contrast", "brightness", "gamma", "noise"),
)
TRANSFORMS = (
    *DEFAULT_TRANSFORMS,
    "clipping",
    "bias-field",
    "correlated-noise",
    "thick-slices",
    "table-and-arms",
    "region-shift",
    "region-curves",
    "region-convolution",
    "region-blobs",
)
# synthetic lesions: kinds, phases of the contrast agent, and places in the organ
LESION_KINDS = ("hypodense", "rim", "hyperdense", "necrotic", "capsule", "calcified")
LESION_PHASES = ("portal", "arterial")
LESION_PLACES = ("any", "inside", "surface")
# structures that look like lesions but are not
LOOKALIKES = ("cyst", "fat", "fissure", "vessel", "dome")
LOOKALIKE_NAMES = (*LOOKALIKES, "all")
HOSTS = ("tf-config", "slurm")
# networks of keras.applications that take 0..255 and rescale it themselves
KERAS_ENCODERS = (
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2S",
    "MobileNetV3Small",
    "MobileNetV3Large",
)
ENCODERS = ("efficientnet-lite0", *KERAS_ENCODERS)

# output formats of prediction; the files of a case are written from the last format to the first
FORMATS = ("nifti", "seg", "rtstruct", "sc", "stl", "obj", "seg.nrrd", "itk-snap")
CONVERTED_FORMATS = tuple(name for name in FORMATS if name != "sc")  # of `liverseg convert`
DICOM_FORMATS = ("seg", "rtstruct", "sc")

# how the segments of a mask were made, as DICOM results state it
ALGORITHMS = ("manual", "semiautomatic", "automatic")

# what the DICOM node returns
NODE_RESULTS = ("seg", "sc", "rtstruct")

# evaluation
PROTOCOLS = ("default", "lits", "msd", "nnunet")

# what `liverseg models` does
MODEL_ACTIONS = ("list", "show", "test")

# exports
WEIGHT_TYPES = ("none", "float16", "int8")
LITERT_TYPES = ("float16", "int8")
