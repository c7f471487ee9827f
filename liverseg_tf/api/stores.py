"""Cutting a data set into tiles, and opening the result."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.case_annotations import CaseAnnotations
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.check.rules import CheckSettings, choose_check_settings, require_usable
from liverseg_tf.dataset.check.slice_rules import check_listed_cases
from liverseg_tf.dataset.description import read_description
from liverseg_tf.dataset.labelled_slices import find_labelled_slices, read_labelled_slices
from liverseg_tf.dataset.split import SplitRule
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.preprocess import PreprocessJob, preprocess
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.workers import Workers

RegionsLike = Regions | Mapping[str, Iterable[int]]


class _ThisProcess:
    """Cuts one case after another here: a script needs no guard against being imported again."""

    count = 1

    def open(self) -> Executor:
        return ThreadPoolExecutor(1)


def cut_tiles(
    dataset: Path | str,
    store: Path | str,
    spec: TileSpec = TileSpec(),
    split_rule: SplitRule = SplitRule(),
    regions: RegionsLike | None = None,
    accepted: Sequence[str] = (),
    workers: Workers | None = None,
) -> TileStore:
    """Cut the volumes of a data set into 2D tiles, as `liverseg preprocess` does.

    Cases that are in the store already and have not changed are kept. A case that cannot be cut
    becomes a warning, and the others are cut.

    Args:
        dataset: Folder of the data set, in any of the layouts that `liverseg check` knows. Its
            `labelled_slices.csv`, if there is one, lists the labelled slices of each mask.
        store: Folder of the store.
        spec: Window, spacing and shape of the tiles.
        split_rule: Fractions of the patients for validation and test, and the seed.
        regions: Named labels that are expected in the masks. None takes those of dataset.json, or
            else liver and tumour. All labels are stored.
        accepted: Rules of `liverseg check` whose errors become warnings.
        workers: Workers that cut the cases, such as `liverseg_tf.workers.Processes(4)`; None cuts
            one case after another in this process.

    Returns:
        The store.

    Raises:
        SettingsError: If the folder holds a store with other settings.
        LiverSegError: If there is no data set, its description shows that it cannot be used, or
            no case could be cut.

    Example:
        >>> import liverseg_tf as ls
        >>> spec = ls.TileSpec(spacing_mm=6, tile_shape=(64, 64))
        >>> store = ls.cut_tiles("data", "tiles", spec, ls.SplitRule(validation=0.25, test=0))
        >>> {side: len(names) for side, names in store.split.items()}
        {'train': 3, 'val': 1, 'test': 0}
    """
    cases = find_cases(Path(dataset), allow_ambiguous=True)
    has_hu = spec.percentiles is None
    description = read_description(Path(dataset))
    check, issues = choose_check_settings(
        description,
        None if regions is None else as_regions(regions),
        CheckSettings(
            has_hu=has_hu,
            channel=spec.channel,
            windows=spec.windows if has_hu else (),
            accepted=tuple(accepted),
        ),
    )
    path = find_labelled_slices([Path(dataset)])
    slices = None if path is None else read_labelled_slices(path)
    annotations = CaseAnnotations.parse((), check.regions, description.ignored, slices)
    annotations.check_slices(case.name for case in cases)
    issues += check_listed_cases(cases, slices)
    check = replace(check, annotations=annotations)
    issues += description.find_issues(cases)
    require_usable(issues)
    job = PreprocessJob(cases, split_rule, check=check)
    target = TileStore(Path(store), spec, regions=description.learnt_regions)
    result = preprocess(job, target, workers or _ThisProcess())
    lines = [*(issue.line for issue in issues), *result.failures.values()]
    if not result.store.cases:
        raise LiverSegError(f"Expected cases that can be cut in {dataset}. Received: {lines[-1]}")
    for case in result.store.cases.values():
        lines += case.get("warnings", ())
    for line in lines:
        warnings.warn(line, stacklevel=2)
    return result.store


def open_store(folder: Path | str) -> TileStore:
    """Open a store that `cut_tiles` or `liverseg preprocess` wrote.

    Args:
        folder: Folder of the store.

    Raises:
        LiverSegError: If there is no store, it is damaged, or it contains no case.

    Example:
        >>> import liverseg_tf as ls
        >>> store = ls.open_store("store")
        >>> store.spec
        TileSpec(windows: -200 to 250 HU; spacing_mm: 6; tile_shape: 64 x 64; channel: none)
        >>> store.read(store.split["val"][0]).image.shape  # (z, h, w, windows)
        (8, 64, 64, 1)
    """
    return TileStore.open(Path(folder))


def as_store(store: TileStore | Path | str) -> TileStore:
    """Return a store that is given as an object or as its folder."""
    return store if isinstance(store, TileStore) else open_store(store)


def as_regions(regions: RegionsLike) -> Regions:
    """Return regions that are given as an object or as a mapping from names to labels."""
    return regions if isinstance(regions, Regions) else Regions(regions)
