"""The names of every choice that a user has, each defined once.

The commands, the settings and the code that implements a choice all import these names. This
module imports nothing, so that `liverseg --help` stays fast.
"""

# data sets and stores
LAYOUTS = ("msd", "lits", "folder", "dicom")
STORAGES = ("hdf5", "hdf5-gzip", "png")
MODALITIES = ("ct", "mr")

# networks and training
NORMALISATIONS = ("batch", "instance", "none")
LOSSES = ("dice-ce", "dice-topk", "focal-tversky")
OPTIMIZERS = ("adamw", "sgd")
DECAYS = ("cosine", "polynomial")
PRECISIONS = ("float32", "bfloat16", "float16")
PATCH_SIZES = (1, 2, 4)
HOSTS = ("tf-config", "slurm")

# outputs of prediction, in the reverse of the order in which they are written
FORMATS = ("nifti", "seg", "rtstruct", "stl", "obj")

# evaluation
PROTOCOLS = ("default", "lits", "msd", "nnunet")

# exports
WEIGHT_TYPES = ("none", "float16", "int8")
LITERT_TYPES = ("float16", "int8")
