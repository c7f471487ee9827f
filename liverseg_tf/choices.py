"""The names of every choice that a user has, each defined once.

The commands, the settings and the code that implements a choice all import these names. This
module imports nothing, so that `liverseg --help` stays fast.
"""

# presets
ORGAN_PRESETS = ("liver", "spleen", "pancreas", "prostate")
TRAINING_PRESETS = ("tiny", "fast", "accurate")

# data sets and stores
LAYOUTS = ("msd", "lits", "folder", "dicom")
MODALITIES = ("ct", "mr")
# rules of the check of which --accept turns errors into warnings
ACCEPTABLE_RULES = (
    *("clipped", "contrast", "duplicate", "geometry", "labels", "modality", "spacing", "values"),
)
STORAGES = ("hdf5", "hdf5-gzip", "png")
SIDES = ("train", "val", "test")  # of the split

# networks and training
NORMALISATIONS = ("batch", "instance", "none")
LOSSES = ("dice-ce", "dice-topk", "focal-tversky")
OPTIMIZERS = ("adamw", "sgd")
DECAYS = ("cosine", "polynomial")
BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "bfloat16", "float16")
PATCH_SIZES = (1, 2, 4)
HOSTS = ("tf-config", "slurm")
# networks of keras.applications that take 0..255 and rescale it themselves
ENCODERS = (
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2S",
    "MobileNetV3Small",
    "MobileNetV3Large",
)

# output formats of prediction; the files of a case are written from the last format to the first
FORMATS = ("nifti", "seg", "rtstruct", "sc", "stl", "obj")
DICOM_FORMATS = ("seg", "rtstruct", "sc")

# what the DICOM node returns
NODE_RESULTS = ("seg", "sc", "rtstruct")

# evaluation
PROTOCOLS = ("default", "lits", "msd", "nnunet")

# exports
WEIGHT_TYPES = ("none", "float16", "int8")
LITERT_TYPES = ("float16", "int8")
