"""The three steps that take a case from its image to its output files: read, segment, write."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.nifti_stream import write_slabs
from liverseg_tf.ct.regions import Regions
from liverseg_tf.dataset.provenance import MaskRecord, MaskRecords, digest_content
from liverseg_tf.errors import LiverSegError, first_line, reason_of
from liverseg_tf.locks import lock_if_supported
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.region_masks import RegionMasks
from liverseg_tf.predict.batch.case_state import CaseState
from liverseg_tf.predict.batch.memmap import memmap_zeros
from liverseg_tf.predict.batch.memory import estimate_memory
from liverseg_tf.predict.batch.origin import describe_origin, make_uid_seed
from liverseg_tf.predict.batch.prediction_job import PredictionJob
from liverseg_tf.predict.batch.probability_files import (
    create_calibrated,
    find_temperatures,
    probability_paths,
    write_probabilities,
)
from liverseg_tf.predict.input_image import judge_image, read_input
from liverseg_tf.predict.models.predictor import Predictor, digest_knowledge, identify, warnings_of
from liverseg_tf.predict.outputs.case_outputs import SegmentedCase, write_outputs
from liverseg_tf.predict.segment_volume import find_regions
from liverseg_tf.predict.trust.judge import judge_masks


@dataclass(frozen=True)
class CasePipeline:
    """The steps from an image to its output files, for one model and one prediction job.

    Args:
        predictor: Model that predicts the probabilities of tiles.
        job: Settings of the run.
        postprocessing: Post-processing of the masks, with the overrides of the job.
        records: Records of the output folder.
    """

    predictor: Predictor
    job: PredictionJob
    postprocessing: PostProcessing
    records: MaskRecords

    @classmethod
    def create(cls, predictor: Predictor, job: PredictionJob) -> "CasePipeline":
        """Create the pipeline of a job.

        Raises:
            SettingsError: If the post-processing names a region that the model does not have, or
                no temperature is known for calibrated probabilities.
        """
        if job.calibrated:
            find_temperatures(predictor)
        postprocessing = job.postprocessing or predictor.postprocessing
        postprocessing = postprocessing.updated(job.overrides)
        postprocessing.check(predictor.network.regions)
        thresholds = postprocessing.thresholds(predictor.network.regions)
        header = replace(job.outputs.header, model=identify(predictor))
        job = replace(
            job,
            inference=replace(job.inference, thresholds=thresholds),
            outputs=replace(job.outputs, header=header),
        )
        return cls(predictor, job, postprocessing, MaskRecords(Path(job.folder)))

    def output_paths(self, name: str) -> list[Path]:
        """Return the paths of all output files of a case."""
        return [
            *self.job.outputs.paths(self.job.folder, name, self._written_regions),
            *self._probability_paths(name),
        ]

    def is_up_to_date(self, case: CaseState) -> bool:
        """Return whether all output files exist, made from this image, model and settings."""
        if case.record is None or self.job.force:
            return False
        earlier = self.records.read(case.name)
        if earlier is None or not set(earlier.accepted) <= set(self.job.accepted):
            return False
        complete = self.records.complete_files(case.name, case.record.provenance)
        # the record also names what has no name of its own here: further secondary captures
        return self._output_names(case.name) <= complete and len(complete) == len(earlier.files)

    def attempt(self, step: Callable[[CaseState], CaseState], case: CaseState) -> CaseState:
        """Run a step. If it fails, store the failure, so that the run continues with other cases.

        Args:
            step: `plan`, `read`, `segment` or `write`.
            case: State of the case; if an earlier step failed, it is returned unchanged.
        """
        if case.failure is not None:
            return case
        try:
            return step(case)
        except LiverSegError as error:
            failure = str(error.about(case.name))
        except OSError as error:
            place = case.source if error.filename is None else error.filename
            reason = f"Expected access to {place}. Received: {reason_of(error)}."
            failure = str(LiverSegError(reason).about(case.name))
        except MemoryError:
            failure = self._out_of_memory(case)
        except Exception as error:  # a bug or a device error must not stop the other cases
            reason = f"Unexpected {type(error).__name__}: {first_line(error)}"
            failure = str(LiverSegError(reason).about(case.name))
        return replace(case, image=None, masks=None, calibrated=None, failure=failure)

    def plan(self, case: CaseState) -> CaseState:
        """Describe what the masks will be made from, before anything is read."""
        self.job.outputs.check_source(case.source)
        regions = self._written_regions.to_json()
        return replace(case, record=MaskRecord(self._provenance(case.source), regions=regions))

    def read(self, case: CaseState) -> CaseState:
        """Read and check the image."""
        record = case.record
        assert record is not None, "`plan` comes first"
        image = read_input(case.source, self.predictor.network.tiles.channel, self.job.form)
        content = digest_content(case.source)
        if self._provenance(case.source) != record.provenance:
            raise LiverSegError(
                f"Expected {case.source} to stay as it is while it is read. Received a file that "
                "has just changed: run the command again when it is complete."
            )
        accepted = self.job.accepted
        issues = judge_image(image, self.predictor.network.tiles.check_settings(accepted))
        record = replace(
            record,
            image=str(case.source),
            content=content,
            warnings=(*warnings_of(self.predictor), *(issue.line for issue in issues)),
            accepted=tuple(sorted({issue.kind for issue in issues} & set(accepted))),
            model=str(identify(self.predictor)),
            side=self.job.sides.get(case.name, ""),
        )
        return replace(case, record=record, image=image)

    def segment(self, case: CaseState) -> CaseState:
        """Predict the masks."""
        image = case.image
        assert image is not None, "`read` comes first"
        inference = self.job.inference
        shape = (len(self.predictor.network.regions), *image.array.shape)
        probabilities = calibrated = None
        if self.job.calibrated:
            array = memmap_zeros(self.job.folder, shape)
            calibrated = create_calibrated(self.predictor, inference.thresholds, image, array)
        stored = self.job.probabilities and calibrated is None
        if stored or self.postprocessing.needs_probabilities:
            probabilities = memmap_zeros(self.job.folder, shape)
        masks = find_regions(
            image, self.predictor, inference, probabilities=probabilities, calibrated=calibrated
        )
        # some outputs still need the voxels of the image: otherwise free their memory
        image = image if self.job.outputs.need_image else None
        return replace(case, image=image, masks=masks, calibrated=calibrated)

    def write(self, case: CaseState) -> CaseState:
        """Post-process and judge the masks, and write all output files, the record last."""
        masks, record = case.masks, case.record
        assert record is not None, "`plan` comes first"
        assert masks is not None, "`segment` comes first"
        processed = self.postprocessing.apply(masks)
        thresholds = self.job.inference.thresholds
        judged = judge_masks(processed, self.predictor, thresholds, self.job.only)
        about = () if case.calibrated is None else (case.calibrated.description,)
        warnings = (*record.warnings, *about, *judged.warnings)
        record = replace(record, warnings=warnings, checks=judged.checks, unlike=judged.unlike)
        if self.job.only:
            processed = processed.only(self.job.only)
        lock = self.records.path(case.name).with_suffix(".lock")
        # one run at a time, so that the record describes the masks beside it
        with lock_if_supported(lock, f"the masks of {case.name}", wait=True):
            complete = self.records.complete_files(case.name, record.provenance)
            self.records.remove(case.name)
            written = self._write_files(case, masks, processed, record)
            names = {path.relative_to(self.job.folder).as_posix() for path in written}
            names |= complete | self._output_names(case.name)
            self.records.write(case.name, record, names)
        return replace(case, record=record, image=None, masks=None, calibrated=None)

    def _write_files(
        self, case: CaseState, masks: RegionMasks, processed: RegionMasks, record: MaskRecord
    ) -> list[Path]:
        """Write the outputs; of those that consist of several files, return the paths."""
        written: list[Path] = []
        # probabilities may be there only for the post-processing, not as an output
        if self.job.probabilities:
            values = masks.probabilities if case.calibrated is None else case.calibrated.array
            assert values is not None, "`segment` stores them"
            chosen = map(masks.regions.names.index, self._written_regions.names)
            paths = self._probability_paths(case.name)
            write_probabilities(paths, masks.grid, [values[region] for region in chosen])
        other_outputs = self.job.outputs.without_nifti
        if other_outputs.formats or other_outputs.measure:
            image = masks.grid if case.image is None else case.image
            segmented = SegmentedCase(
                case.source,
                image,
                processed.labels(),
                processed.regions,
                processed.agreement,
                record.warnings,
                confidence=processed.confidence,
                checks=record.checks,
            )
            header = other_outputs.header
            header = replace(header, uid_seed=make_uid_seed(record, header.model))
            other_outputs = replace(other_outputs, header=header)
            written = write_outputs(self.job.folder, case.name, segmented, other_outputs)
        if "nifti" in self.job.outputs.formats:
            path = self.job.folder / f"{case.name}.nii.gz"
            write_slabs(path, masks.grid, processed.label_slabs())
        return written

    @property
    def _written_regions(self) -> Regions:
        regions = self.predictor.network.regions
        return regions.only(self.job.only) if self.job.only else regions

    def _output_names(self, name: str) -> set[str]:
        return {path.relative_to(self.job.folder).as_posix() for path in self.output_paths(name)}

    def _probability_paths(self, name: str) -> list[Path]:
        """Return the paths of the probabilities; an empty list if they are not an output."""
        regions = self._written_regions.names if self.job.probabilities else ()
        return probability_paths(self.job.folder, name, regions)

    def _provenance(self, source: Path | DicomSeries) -> dict:
        model, known = self.predictor.fingerprint, digest_knowledge(self.predictor)
        return describe_origin(source, model, self.postprocessing, self.job, known)

    def gigabytes(self, case: CaseState) -> float:
        """Estimate the memory that a case needs, in GB; 0 if its header cannot be read."""
        batch_size = self.job.inference.batch_size
        estimate = estimate_memory([case.source], self.predictor.network, batch_size)
        return 0.0 if estimate is None else estimate.gigabytes

    def _out_of_memory(self, case: CaseState) -> str:
        gigabytes = self.gigabytes(case)
        needs = f" (needs about {gigabytes:.1f} GB)" if gigabytes else ""
        return (
            f"Not enough memory to segment case {case.name}{needs}. Close other programs, use "
            "fewer worker processes or a smaller batch size."
        )
