"""Many images one after another: one is read and one is written while the network works."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from liverseg_tf.atomic import clear_partials
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.grid_correction import lacks_geometry
from liverseg_tf.ct.nifti_stream import write_slabs
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.predict.batch.memmap import check_folder, memmap_zeros
from liverseg_tf.predict.batch.prefetch import Job, attempt, prefetch_map
from liverseg_tf.predict.batch.provenance import ProvenanceRecords, source_of
from liverseg_tf.predict.input_image import check_not_replaced, read_input
from liverseg_tf.predict.models.predictor import Predictor
from liverseg_tf.predict.outputs.case_outputs import Outputs, SegmentedCase, escaped, write_outputs
from liverseg_tf.predict.segment_volume import Inference, find_regions

VERSION = 1  # of the way from an image to its mask: other masks, another number
_SLAB = 16


@dataclass(frozen=True)
class Output:
    """What is written.

    Args:
        folder: of the masks, `NAME.nii.gz`.
        postprocessing: of the masks; None takes what the model's validation chose.
        steps: of the post-processing, in place of those of these names.
        probabilities: whether `probabilities/REGION/NAME.nii.gz` are written too.
        inference: how slices go through the network.
        force: whether masks are made again that are there already.
        outputs: formats, and whether the masks are measured.
    """

    folder: Path
    postprocessing: PostProcessing | None = None
    steps: PostProcessing = PostProcessing()  # noqa: RUF009 (frozen)
    probabilities: bool = False
    inference: Inference = Inference()  # noqa: RUF009 (frozen)
    force: bool = False
    outputs: Outputs = Outputs()  # noqa: RUF009 (frozen)


@dataclass
class PredictResult:
    """What a run of stage 3 did.

    Args:
        written: names of the cases whose masks were made.
        kept: names of those that were there, from the same image, model and settings.
        failures: one line for each case that has no mask.
        guessed: names of images whose headers tell neither spacing nor orientation.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)


def predict_cases(
    images: dict[str, Path],
    predictor: Predictor,
    output: Output,
    on_case: Callable[[str, str | None], None] = lambda name, failure: None,
) -> PredictResult:
    """Write the mask of every image, each whole or not at all.

    While the network works on one image, a thread writes the mask before and reads the next
    image: two volumes are in memory at most. A case that fails is reported and the others go
    on. An interrupt leaves the masks that are done, and the one that was being written.

    Args:
        images: by case name.
        predictor: of the slices.
        output: where and what.
        on_case: called with a case's name, and its failure or None, as each one ends.

    Raises:
        LiverSegError: when nothing can be written into the folder, or an image is there that a
            mask would replace.
        SettingsError: when the post-processing names no region.
    """
    if "nifti" in output.outputs.formats:
        check_not_replaced(images, output.folder)
    check_folder(output.folder)
    maker = _CasePipeline.of(predictor, output)
    result, jobs = PredictResult(), []
    for name, image in images.items():
        if maker.is_done(name, image):
            result.kept.append(name)
            on_case(name, None)
        else:
            jobs.append(Job(name, image))
    steps = (functools.partial(attempt, step) for step in (maker.read, maker.find, maker.write))
    for job in prefetch_map(jobs, *steps):
        if job.failure is None:
            result.written.append(job.name)
        else:
            result.failures[job.name] = job.failure
        on_case(job.name, job.failure)
    result.guessed = maker.guessed
    return result


@dataclass(frozen=True, eq=False)
class _Case:
    """An image on its way to a mask.

    Args:
        source: of the image.
        made: what its record will say.
        image: as it was read; None once it is no longer needed.
        found: its masks, once they are there.
    """

    source: Path | DicomSeries
    made: dict
    image: Volume | None
    found: RegionMasks | None = None


@dataclass(frozen=True)
class _CasePipeline:
    """The steps from an image to its files.

    Args:
        predictor: of the slices.
        output: where and what.
        postprocessing: of the masks.
        records: of what is there.
        guessed: names of images whose headers tell no geometry; filled.
    """

    predictor: Predictor
    output: Output
    postprocessing: PostProcessing
    records: ProvenanceRecords
    guessed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, predictor: Predictor, output: Output) -> "_CasePipeline":
        chosen = output.postprocessing
        chosen = (predictor.postprocessing if chosen is None else chosen).updated(output.steps)
        chosen.check(predictor.network.regions)
        thresholds = chosen.thresholds(predictor.network.regions)
        output = replace(output, inference=replace(output.inference, thresholds=thresholds))
        return cls(predictor, output, chosen, ProvenanceRecords(output.folder))

    def is_done(self, name: str, image: Path) -> bool:
        if self.output.force or not all(path.is_file() for path in self._files(name)):
            return False
        try:
            return self._names(name) <= self.records.files(name, self._made_from(image))
        except LiverSegError:
            return False  # reading it will say what is wrong

    def read(self, job: Job) -> _Case:
        self.output.outputs.check_source(job.value)
        made = self._made_from(job.value)
        image = read_input(job.value, self.predictor.network.tiles.channel)
        if lacks_geometry(image):
            self.guessed.append(job.name)
        return _Case(job.value, made, image)

    def find(self, job: Job) -> _Case:
        case = job.value
        image = case.image
        regions = self.predictor.network.regions
        probabilities = None
        if self.output.probabilities or self.postprocessing.needs_probabilities:
            shape = (len(regions), *image.array.shape)
            probabilities = memmap_zeros(self.output.folder, shape)
        found = find_regions(
            image, self.predictor, self.output.inference, probabilities=probabilities
        )
        # the voxels go as soon as nobody needs them
        return replace(case, image=image if self.output.outputs.measure else None, found=found)

    def write(self, job: Job) -> None:
        case, found = job.value, job.value.found
        maps = self._maps(job.name)
        masks = self.postprocessing.apply(found)
        known = self.records.files(job.name, case.made)
        self.records.forget(job.name)
        for path in self._files(job.name):  # of a run that was killed
            clear_partials(path.parent, {path.name})
        # the step of likely components needs probabilities that nobody wants as files
        for path, values in zip(maps, found.probabilities if maps else (), strict=True):
            slabs = (values[start : start + _SLAB] for start in range(0, len(values), _SLAB))
            write_slabs(path, found.grid, slabs, 1 / 255)
        extra = self.output.outputs.besides_nifti
        if extra.formats or extra.measure:
            image = found.grid if case.image is None else case.image
            segmented = SegmentedCase(
                case.source, image, masks.labels(), found.regions, found.agreement
            )
            write_outputs(self.output.folder, job.name, segmented, extra)
        if extra != self.output.outputs:
            path = self.output.folder / f"{job.name}.nii.gz"
            write_slabs(path, found.grid, masks.label_slabs())
        self.records.write(job.name, case.made, known | self._names(job.name))

    def _files(self, name: str) -> list[Path]:
        """Everything that a case has when it is done."""
        regions = self.predictor.network.regions
        return [
            *self.output.outputs.paths(self.output.folder, name, regions),
            *self._maps(name),
        ]

    def _names(self, name: str) -> set[str]:
        return {path.relative_to(self.output.folder).as_posix() for path in self._files(name)}

    def _maps(self, name: str) -> list[Path]:
        """The probabilities, where they are wanted."""
        regions = self.predictor.network.regions.names if self.output.probabilities else ()
        folder = self.output.folder / "probabilities"
        return [folder / escaped(region) / f"{name}.nii.gz" for region in regions]

    def _made_from(self, image: Path) -> dict:
        return {
            "source": source_of(image),
            "model": self.predictor.fingerprint,
            "postprocessing": json.loads(json.dumps(self.postprocessing.to_json())),
            "crop": self.output.inference.crop,
            "version": VERSION,
        }
