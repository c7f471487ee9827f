"""The report of an evaluation: one page, and on demand a viewer page for each case."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.report.overlay import ABDOMEN, CaseVolumes, overlay_case
from liverseg_tf.evaluate.report.page import ReportPictures, report_body
from liverseg_tf.evaluate.viewer.html import Page, asset, write_page
from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, write_viewer

REPORT, VIEWERS = "report.html", "viewer"


@dataclass(frozen=True)
class ReportSpec:
    """What a report shows besides the scores.

    Args:
        window: of the pictures' grey values; None takes the 1st to the 99th percentile (MR).
        pictures: number of cases of which a picture is embedded, the worst ones.
        viewers: whether each case gets a viewer page.
        limit_mb: largest size of the volumes in a viewer page.
        channel: of 4D images, the volume that is shown.
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
    """Write report.html and, where wanted, viewer/CASE.html.

    Pictures and viewers need the images of the cases (`Pair.image`); the tables and plots
    don't.

    Args:
        evaluation: with the files of its cases.
        out: folder.
        spec: what is shown.
        on_case: called with (case, number of cases done, number of cases) after each case that
            is drawn.

    Returns:
        Cases that could not be drawn.

    Raises:
        LiverSegError: when a file can't be written.
    """
    spec, out = spec or ReportSpec(), Path(out)
    with_image = {pair.case: pair for pair in evaluation.pairs if pair.image is not None}
    worst = [case for case in worst_first(evaluation) if case in with_image]
    pictured = worst[: spec.pictures]
    pictures, viewers, failures = {}, {}, []
    todo = worst if spec.viewers else pictured
    for done, case in enumerate(todo, start=1):
        try:
            volumes = _read(with_image[case], spec.channel)
            if case in pictured:
                pictures[case] = overlay_case(volumes, evaluation.regions, spec.window)
            if spec.viewers:
                viewers[case] = f"{VIEWERS}/{case}.html"
                _write_viewer(out / viewers[case], volumes, evaluation, spec)
        except LiverSegError as error:
            viewers.pop(case, None)
            failures.append(Failure(case, str(error.about(case))))
        if on_case is not None:
            on_case(case, done, len(todo))
    drawn = ReportPictures(pictures, viewers, tuple(failures))
    body = report_body(evaluation, drawn)
    write_page(out / REPORT, Page("Segmentation report", asset("report.css"), body))
    return failures


def worst_first(evaluation: Evaluation) -> list[str]:
    """The scored cases by their mean Dice over regions, the lowest first."""
    dice: dict[str, float] = {}
    for row in evaluation.rows:
        dice[row.case] = dice.get(row.case, 0) + row.scores["dice"]
    return sorted(dice, key=dice.get)


def _read(pair: Pair, channel: int | None) -> CaseVolumes:
    truth, prediction = read_labels(pair.truth), read_labels(pair.prediction)
    return CaseVolumes(pair.case, read_image(pair.image, channel), truth, prediction)


def _write_viewer(
    path: Path, volumes: CaseVolumes, evaluation: Evaluation, spec: ReportSpec
) -> None:
    masks = {"truth": volumes.truth, "prediction": volumes.prediction}
    viewer = ViewerSpec(
        volumes.case, evaluation.regions, is_ct=spec.window is not None, limit_mb=spec.limit_mb
    )
    write_viewer(path, volumes.image, masks, viewer)
