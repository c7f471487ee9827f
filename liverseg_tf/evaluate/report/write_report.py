"""Report of an evaluation: one page and, on request, a viewer page for each case."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import check_same_grid
from liverseg_tf.errors import LiverSegError, first_line
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.masks import read_prediction, read_truth
from liverseg_tf.evaluate.origin import describe_flags, read_mask_record
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.report.earlier_results import VIEWERS
from liverseg_tf.evaluate.report.overlay import ABDOMEN, CaseVolumes, overlay_case
from liverseg_tf.evaluate.report.page import TITLE, ReportPictures, report_body
from liverseg_tf.evaluate.unknown_voxels import clear_ignored
from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, write_viewer
from liverseg_tf.html_page import Page, read_asset, write_page

REPORT = "report.html"


@dataclass(frozen=True)
class ReportSpec:
    """Contents of a report besides the scores.

    Args:
        window: Window of the grey values; None uses the 1st to the 99th percentile (MR).
        pictures: Number of cases with a picture: those with the lowest Dice.
        viewers: Whether a viewer page is written for each case.
        limit_mb: Maximum size of the volumes in a viewer page, in MB.
        channel: Index of the volume that is shown of 4D images.
    """

    window: Window | None = ABDOMEN
    pictures: int = 20
    viewers: bool = False
    limit_mb: float = 40.0
    channel: int | None = None


def write_report(
    evaluation: Evaluation,
    out: Path,
    spec: ReportSpec | None = None,
    on_case: Callable[[str, int, int], None] | None = None,
) -> list[Failure]:
    """Write report.html and, on request, viewer/CASE.html.

    Pictures and viewer pages require the images of the cases (`Pair.image`); tables and plots do
    not.

    Args:
        evaluation: Evaluation with the files of its cases.
        out: Folder, created if it is missing.
        spec: Contents of the report.
        on_case: Function called with (case, number of cases done, number of cases) after each case
            with a picture or a viewer page.

    Returns:
        Cases whose picture or viewer page could not be made.

    Raises:
        LiverSegError: If a file cannot be written.
    """
    spec, out = spec or ReportSpec(), Path(out)
    with_image = {pair.case: pair for pair in evaluation.pairs if pair.image is not None}
    cases = [case for case in sort_by_dice(evaluation) if case in with_image]
    with_picture = cases[: spec.pictures]
    if not spec.viewers:
        cases = with_picture
    pictures, viewers, failures = {}, {}, []
    for done, case in enumerate(cases, start=1):
        try:
            volumes = _read_volumes(with_image[case], evaluation.regions, spec.channel)
            regions = with_image[case].labelled_regions(evaluation.regions) or evaluation.regions
            if case in with_picture:
                pictures[case] = overlay_case(volumes, regions, spec.window)
            if spec.viewers:
                name = case.replace("\\", "%5C")  # which separates folders on Windows
                viewers[case] = f"{VIEWERS}/{name}.html"
                alerts = describe_flags(read_mask_record(with_image[case]))
                _write_viewer(out / viewers[case], volumes, regions, spec, alerts)
        except Exception as error:  # a damaged image or a bug must not stop the other cases
            viewers.pop(case, None)
            failures.append(Failure(case, _describe(error, case)))
        if on_case is not None:
            on_case(case, done, len(cases))
    body = report_body(evaluation, ReportPictures(pictures, viewers, tuple(failures)))
    write_page(out / REPORT, Page(TITLE, read_asset("report.css"), body))
    return failures


def _describe(error: Exception, case: str) -> str:
    if isinstance(error, MemoryError):
        error = LiverSegError("Not enough memory to show the image: close other programs.")
    elif not isinstance(error, LiverSegError):
        error = LiverSegError(f"Unexpected {type(error).__name__}: {first_line(error)}")
    return str(error.about(case))


def sort_by_dice(evaluation: Evaluation) -> list[str]:
    """Return the names of the scored cases by their Dice, mean over regions; lowest first."""
    dice: dict[str, list[float]] = {}
    for result in evaluation.results:
        dice.setdefault(result.case, []).append(result.scores["dice"])
    return sorted(dice, key=lambda case: sum(dice[case]) / len(dice[case]))


def _read_volumes(pair: Pair, regions: Regions, channel: int | None) -> CaseVolumes:
    assert pair.truth is not None, "scored pairs are complete"
    assert pair.prediction is not None, "scored pairs are complete"
    assert pair.image is not None, "only cases with an image are drawn"
    truth = read_truth(pair, regions)
    prediction = read_prediction(pair, truth, regions)
    image = read_image(pair.image, channel, pair.form)
    if pair.annotation.ignored is not None:
        truth, prediction = to_canonical(truth), to_canonical(prediction)
        check_same_grid(truth, prediction, "truth and prediction")
        truth, prediction = clear_ignored(truth, prediction, pair.annotation.ignored)
    return CaseVolumes(pair.case, image, truth, prediction)


def _write_viewer(
    path: Path,
    volumes: CaseVolumes,
    regions: Regions,
    spec: ReportSpec,
    alerts: tuple[str, ...],
) -> None:
    masks = {"ground truth": volumes.truth, "prediction": volumes.prediction}
    viewer = ViewerSpec(volumes.case, regions, spec.window is not None, spec.limit_mb, alerts)
    write_viewer(path, volumes.image, masks, viewer)
