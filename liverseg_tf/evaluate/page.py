"""One page with the scores and the pictures, readable anywhere."""

import base64
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.atomic import replacing
from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.overlay import ABDOMEN, CaseVolumes, overlay_case
from liverseg_tf.evaluate.tables import COLUMNS, mean_rows, table_rows

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em;
  color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .9em; text-align: right; border-bottom: 1px solid #ddd; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tfoot { display: table-row-group; }  /* printed once, not on every sheet */
tfoot td { font-weight: bold; }
figure { margin: 1.5em 0; break-inside: avoid; }
figure img { width: 100%; height: auto; border: 1px solid #ddd; }
figcaption { font-weight: bold; overflow-wrap: anywhere; }
li { overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } tr { break-inside: avoid; } }
"""


def draw_evaluation(
    evaluation: Evaluation,
    out: Path,
    window: Window | None = ABDOMEN,
    on_case: Callable[[str, int, int], None] | None = None,
) -> list[Failure]:
    """Draw each scored case whose image is known and write them as overlays.html.

    Args:
        evaluation: with the files of its cases.
        out: folder of overlays.html and of overlays/CASE.png.
        window: of grey values; None takes the 1st to the 99th percentile (MR).
        on_case: called with (case, number of cases done, number of cases) after each case.

    Returns:
        Cases that could not be drawn.

    Raises:
        LiverSegError: when a file can't be written.
    """
    pictures, failures = {}, []
    for done, pair in enumerate(evaluation.pairs, start=1):
        if pair.image is not None:
            try:
                volumes = CaseVolumes(
                    pair.case,
                    read_volume(pair.image),
                    read_labels(pair.truth),
                    read_labels(pair.prediction),
                )
                pictures[pair.case] = overlay_case(volumes, evaluation.regions, window)
            except LiverSegError as error:
                failures.append(Failure(pair.case, str(error.about(pair.case))))
            else:
                with replacing(Path(out) / "overlays" / f"{pair.case}.png") as partial:
                    partial.write_bytes(pictures[pair.case])
        if on_case is not None:
            on_case(pair.case, done, len(evaluation.pairs))
    write_overlay_page(evaluation, pictures, Path(out) / "overlays.html")
    return failures


def write_overlay_page(evaluation: Evaluation, pictures: Mapping[str, bytes], path: Path) -> None:
    """Write one self-contained page: the score table, then the pictures, worst case first.

    Args:
        evaluation: whose scores are shown.
        pictures: PNG files by case.
        path: .html file, written whole or not at all.
    """
    with replacing(path) as partial, open(partial, "w", encoding="utf-8") as stream:
        stream.writelines(_page(evaluation, pictures))


def worst_first(evaluation: Evaluation) -> list[str]:
    """The scored cases by their mean Dice over regions, the lowest first."""
    dice: dict[str, float] = {}
    for row in evaluation.rows:
        dice[row.case] = dice.get(row.case, 0) + row.scores["dice"]
    return sorted(dice, key=dice.get)


def _page(evaluation: Evaluation, pictures: Mapping[str, bytes]) -> Iterable[str]:
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Segmentation scores</title><style>{_STYLE}</style></head><body>\n"
        "<h1>Segmentation scores</h1>\n"
        f"<p>{_count(len(evaluation.pairs), 'case')} scored, "
        f"{len(evaluation.failures)} failed. Made with liverseg_tf {__version__}.</p>\n"
    )
    yield _list("Failures", [failure.message for failure in evaluation.failures])
    yield _list("Notes", evaluation.notes)
    yield _table(evaluation)
    yield "<h2>Pictures</h2>\n"
    if not pictures:
        yield "<p>None: they need a data set with images as the truth.</p>\n"
    else:
        yield (
            "<p>Worst case first. Each slice is the one in which truth and "
            "prediction differ most. The patient's right is on the left. Truth is green, "
            "prediction magenta.</p>\n"
        )
    for case in worst_first(evaluation):
        if case in pictures:
            data = base64.b64encode(pictures[case]).decode("ascii")
            yield (
                f"<figure><figcaption>{escape(case)}</figcaption>"
                f'<img alt="Axial, coronal and sagittal slice of {escape(case)} with contours of '
                f'truth and prediction" src="data:image/png;base64,{data}"></figure>\n'
            )
    yield "</body></html>\n"


def _table(evaluation: Evaluation) -> str:
    headings = ["Case", "Region", *(heading for heading, _ in COLUMNS.values())]
    return (
        f"<table><thead>{_cells([headings], 'th')}</thead>\n"
        f"<tbody>{_cells(table_rows(evaluation))}</tbody>\n"
        f"<tfoot>{_cells(mean_rows(evaluation))}</tfoot></table>\n"
    )


def _cells(rows: list[list[str]], tag: str = "td") -> str:
    return "\n".join(
        "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in row) + "</tr>" for row in rows
    )


def _list(heading: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>{heading}</h2>\n<ul>{items}</ul>\n" if items else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
