"""Pack a part of a tile store into one compressed file for benchmarks/gpu.sh.

    liverseg preprocess DATA STORE --window 75 400 --region liver=1 --region spleen=3
    python benchmarks/gpu/pack.py STORE FILE --megabytes 40

The split by patient stays: a quarter of the file is for validation cases, and the rest for training
cases. The file is a ZIP archive of compressed NumPy arrays, and of the cases' records as JSON.
"""

import argparse
import bz2
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from liverseg_tf.tiles.case_tiles import CaseTiles
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore

ARRAYS = ("image", "mask")
VALIDATION_SHARE = 0.25
PHANTOM_TILE, PHANTOMS = 64, 4
_STORE_FILE = "store.json"
_RESERVE_BYTES = 64 * 1024  # for the records and the list of files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="Store that `liverseg preprocess` wrote.")
    parser.add_argument("file", type=Path, help="File to write.")
    parser.add_argument("--megabytes", type=float, default=40, help="Largest size in MiB.")
    options = parser.parse_args()
    split = pack(TileStore.open(options.store), options.file, options.megabytes * 1024**2)
    size = options.file.stat().st_size / 1024**2
    counts = ", ".join(f"{len(names)} {side}" for side, names in split.items())
    print(f"{options.file}: {counts} cases, {size:.1f} MiB")


def pack(store: TileStore, path: Path, limit_bytes: float) -> dict[str, list[str]]:
    """Write as many cases as fit into the file, in the order of the store's split.

    Returns:
        Names of the packed cases in 'train', 'val' and 'test', of which the last has none.
    """
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    limits = {"val": VALIDATION_SHARE * limit_bytes, "train": limit_bytes - _RESERVE_BYTES}
    records, written = {}, 0
    with zipfile.ZipFile(path, "w") as archive:
        for side, limit in limits.items():
            for name in store.split[side]:
                tiles = store.read(name)
                members = {array: _compress(getattr(tiles, array)) for array in ARRAYS}
                size = sum(map(len, members.values()))
                if written + size > limit:
                    break
                for array, content in members.items():
                    archive.writestr(f"{name}/{array}.npy.bz2", content)
                written += size
                split[side].append(name)
                records[name] = store.cases[name]
        content = {"spec": store.spec.to_json(), "split": split, "cases": records}
        archive.writestr(_STORE_FILE, json.dumps(content), zipfile.ZIP_DEFLATED)
    if not split["train"]:
        raise SystemExit(f"Expected a larger --megabytes. Received {limit_bytes / 1024**2:g}.")
    return split


def _compress(array) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array), allow_pickle=False)
    return bz2.compress(file.getvalue())  # a fifth smaller than deflate for tiles of CTs


def unpack(path: Path, folder: Path) -> None:
    """Write the store that a file holds; cases are compared with their checksums when read."""
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(_STORE_FILE))
    store = TileStore(
        folder, TileSpec.from_json(content["spec"]), cases=content["cases"], split=content["split"]
    )

    def write(name: str) -> None:
        with zipfile.ZipFile(path) as archive:  # one for each thread
            image, mask = (
                np.load(
                    io.BytesIO(bz2.decompress(archive.read(f"{name}/{array}.npy.bz2"))),
                    allow_pickle=False,
                )
                for array in ARRAYS
            )
        store.write(name, CaseTiles(image, mask, store.cases[name]))

    with ThreadPoolExecutor() as executor:
        list(executor.map(write, store.cases))
    store.save()


def make_phantom_store(folder: Path) -> None:
    """Write a store of small phantoms, for a dry run."""
    from liverseg_tf.phantom.phantoms import make_phantom
    from liverseg_tf.phantom.spec import PhantomSpec
    from liverseg_tf.tiles.case_tiles import cut_tiles

    spec = TileSpec(spacing_mm=6, tile_shape=(PHANTOM_TILE, PHANTOM_TILE))
    names, records = [f"phantom_{seed}" for seed in range(PHANTOMS)], {}
    for seed, name in enumerate(names):
        volumes = make_phantom(seed, PhantomSpec((24, 96, 96), (8, 4, 4), organs=True))
        tiles = cut_tiles(*volumes, spec)
        TileStore(folder, spec).write(name, tiles)
        records[name] = tiles.record
    split = {"train": names[1:], "val": names[:1], "test": []}
    TileStore(folder, spec, cases=records, split=split).save()


if __name__ == "__main__":
    main()
