"""Make the store of benchmarks/gpu.sh: from a file of `pack.py`, or of phantoms."""

import argparse
from pathlib import Path

from pack import make_phantom_store, unpack

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("store", type=Path)
parser.add_argument("--pack", type=Path)
options = parser.parse_args()
if options.pack is None:
    make_phantom_store(options.store)
else:
    unpack(options.pack, options.store)
