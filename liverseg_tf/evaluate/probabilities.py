"""The probabilities that `liverseg predict --probabilities` wrote together with a mask."""

import numpy as np

from liverseg_tf.ct.images import image_stem
from liverseg_tf.ct.nifti import read_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.segments.read_segments import segment_stem
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.origin import read_mask_record
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.printable import file_safe_name, printable


class SavedProbabilities:
    """Reads the probabilities of a prediction, one region at a time.

    Args:
        pair: Files of the case.
        grid: Volume in canonical order, on whose grid the probabilities must be.
    """

    def __init__(self, pair: Pair, grid: Volume) -> None:
        self._pair, self._grid = pair, grid
        self._record = read_mask_record(pair)
        self.notes: tuple[str, ...] = ()

    def read(self, region: str) -> np.ndarray | None:
        """Read the probabilities of a region.

        Args:
            region: Name of the region.

        Returns:
            (z, row, col) float32 in canonical order; None if they were not saved with this mask,
            or cannot be used, which `notes` then says.
        """
        if self._record is None or self._pair.prediction is None:
            return None
        folder = f"probabilities/{file_safe_name(region)}/"
        names = [name for name in self._record.files if name.startswith(printable(folder))]
        file = self._pair.prediction
        name = segment_stem(file) or image_stem(file) or file.name
        path = file.parent / folder / f"{name}.nii.gz"
        if len(names) != 1 or not path.is_file():
            return None
        if path.stat().st_size != self._record.files[names[0]]:
            self.notes += (f"{path} is not used: it was changed after the prediction.",)
            return None
        try:
            volume = to_canonical(read_volume(path, form=self._pair.form))
            check_same_grid(self._grid, volume, "truth and probabilities")
        except LiverSegError as error:
            self.notes += (f"The probabilities are not used: {error}",)
            return None
        return volume.array
