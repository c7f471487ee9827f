"""Results of an earlier evaluation are never mistaken for new ones."""

import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.evaluation import Evaluation
from liverseg_tf.evaluate.metrics.overlap import Overlap, score_overlap
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.report.tables import write_tables
from liverseg_tf.evaluate.report.write_report import ReportSpec, write_report
from liverseg_tf.evaluate.score_case import RegionResult
from liverseg_tf.html_page import Page, write_page

OVERLAP = Overlap(10, 10, 8)
RESULTS = tuple(
    RegionResult("a", name, OVERLAP, score_overlap(OVERLAP, 1.0)) for name in LIVER_REGIONS.names
)


def _evaluation(protocol="default"):
    return Evaluation(LIVER_REGIONS, RESULTS, scoring=Scoring(protocol))


def _names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_results_that_are_not_written_again_are_removed(tmp_path):
    assert [path.name for path in write_tables(_evaluation("lits"), tmp_path)] == [
        *("scores.csv", "scores.json", "lits.csv"),
    ]
    write_report(_evaluation(), tmp_path, ReportSpec(pictures=0))
    write_page(tmp_path / "viewer" / "old.html", Page("old", "", []))
    (tmp_path / "viewer" / "own.html").write_text("<p>a page of the user")
    (tmp_path / "notes.txt").write_text("of the user")
    write_tables(_evaluation(), tmp_path / "versus")
    (tmp_path / ".partial-not-ours").write_text("of another program")
    written = write_tables(_evaluation(), tmp_path)
    assert [path.name for path in written] == ["scores.csv", "scores.json"]
    assert _names(tmp_path) == [
        *(".partial-not-ours", "notes.txt", "scores.csv", "scores.json", "viewer/own.html")
    ]


@pytest.mark.parametrize("name", ["report.html", "summary.json", "lits.csv", "scores.json"])
def test_files_of_another_origin_are_neither_removed_nor_left_beside_the_scores(tmp_path, name):
    (tmp_path / name).write_text('{"mean": 1}')
    with pytest.raises(LiverSegError, match=f"Received {name} of another origin"):
        write_tables(_evaluation(), tmp_path)
    assert _names(tmp_path) == [name]
