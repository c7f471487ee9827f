"""From a DICOM series to the DICOM objects of its masks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom

from liverseg_tf import __version__
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.volume import Volume
from liverseg_tf.predict.input_image import judge_image, read_input
from liverseg_tf.predict.models.predictor import (
    Predictor,
    digest_knowledge,
    identify,
    warnings_of,
)
from liverseg_tf.predict.outputs.dicom_header import DicomHeader
from liverseg_tf.predict.outputs.dicom_seg import check_highdicom, write_seg
from liverseg_tf.predict.outputs.rtstruct import write_rtstruct
from liverseg_tf.predict.outputs.secondary_capture import write_sc
from liverseg_tf.predict.segment_volume import Inference, find_regions
from liverseg_tf.predict.trust.judge import judge_masks
from liverseg_tf.serve.node.queue.deliveries import Result


class SeriesSegmenter:
    """Makes results of series with one model.

    Args:
        predictor: Model that predicts the probabilities of tiles.
        kinds: Names among `choices.NODE_RESULTS`.
        accepted: Rules of `liverseg check` whose errors become warnings.

    Attributes:
        made_by: Everything that determines the results beside the images.

    Raises:
        LiverSegError: If highdicom, which a kind needs, is not installed.
    """

    def __init__(
        self,
        predictor: Predictor,
        kinds: tuple[str, ...],
        accepted: tuple[str, ...] = (),
    ):
        if "seg" in kinds:
            check_highdicom()
        self._predictor, self._identity = predictor, identify(predictor)
        self._kinds, self._accepted = kinds, accepted
        made_by = {
            "model": predictor.fingerprint,
            "postprocessing": predictor.postprocessing.to_json(),
            "kinds": sorted(kinds),
            "version": __version__,
        }
        if known := digest_knowledge(predictor):
            made_by["trust"] = known
        self.made_by = json.dumps(made_by, sort_keys=True)

    def make(
        self,
        series: DicomSeries,
        folder: Path,
        seed: str,
        revision: int = 1,
        on_slices: Callable[[int], None] = lambda count: None,
    ) -> list[Result]:
        """Segment a series and write the results.

        Args:
            series: Series of the image.
            folder: Folder for the results.
            seed: Text from which all UIDs of the results follow.
            revision: Number of the results among those of the series. All but the first say so.
            on_slices: Function that is called with the number of slices in each predicted slab.

        Returns:
            The results, with paths relative to the parent of `folder`.

        Raises:
            LiverSegError: If the series cannot be read exactly, breaks a rule of `liverseg check`
                that is not accepted, or the results cannot be written.
        """
        network = self._predictor.network
        image = read_input(series, network.tiles.channel)
        issues = judge_image(image, network.tiles.check_settings(self._accepted))
        notes = (*warnings_of(self._predictor), *(issue.line for issue in issues))
        if revision > 1:
            notes = (f"Update {revision}: replaces earlier results of this series.", *notes)
        labels, flags = self._segment(image, on_slices)
        notes = (*notes, *flags)
        results = []
        for kind in self._kinds:
            header = DicomHeader(self._identity, uid_seed=seed)
            if revision > 1:
                mark = f" (update {revision})"
                described = header.description(kind)[: 64 - len(mark)] + mark
                header = replace(header, series_description=described)
            for path in self._write(kind, folder, series, (image, labels), notes, header):
                found = pydicom.dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
                file = path.relative_to(folder.parent).as_posix()
                results.append(Result(kind, found.SOPClassUID, found.SOPInstanceUID, file))
        return results

    def _segment(
        self, image: Volume, on_slices: Callable[[int], None]
    ) -> tuple[Volume, tuple[str, ...]]:
        """Return the label map, and the masks that must be checked, one line each."""
        network, steps = self._predictor.network, self._predictor.postprocessing
        probabilities = None
        if steps.needs_probabilities:
            probabilities = np.zeros((len(network.regions), *image.array.shape), np.uint8)
        inference = Inference(thresholds=steps.thresholds(network.regions))
        masks = find_regions(image, self._predictor, inference, on_slices, probabilities)
        masks = steps.apply(masks)
        flags = judge_masks(masks, self._predictor, inference.thresholds).warnings
        return masks.labels(), flags

    def _write(
        self,
        kind: str,
        folder: Path,
        series: DicomSeries,
        volumes: tuple[Volume, Volume],
        notes: tuple[str, ...],
        header: DicomHeader,
    ) -> list[Path]:
        regions = self._predictor.network.regions
        image, labels = volumes
        if kind == "sc":
            return write_sc(folder / "sc", series, image, labels, regions, notes, header)
        path = folder / f"{kind}.dcm"
        write = {"seg": write_seg, "rtstruct": write_rtstruct}[kind]
        write(path, series, labels, regions, notes, header)
        return [path]
