import base64
import math
import os
import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes, urljoin, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.evaluate_folder import evaluate_folder
from liverseg_tf.evaluate.evaluation import Evaluation, Failure
from liverseg_tf.evaluate.metrics.overlap import Overlap, score_overlap
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.report.html_tables import link_file
from liverseg_tf.evaluate.report.write_report import ReportSpec, sort_by_dice, write_report
from liverseg_tf.evaluate.score_case import RegionResult

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])
MARKUP = "</script><script>alert(1)</script>\"'&$x$"


def make_result(case, both, region="liver"):
    overlap = Overlap(10, 10, both)
    return RegionResult(case, region, overlap, score_overlap(overlap, 1.0))


class Tags(HTMLParser):
    """Parser that checks that tags are closed, and collects tags, links and identifiers."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes["href"]] if "href" in attributes else []
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def dataset(tmp_path):
    """A data set of two cases with images, and predictions."""
    array = np.zeros((4, 20, 20), np.uint8)
    array[1:3, 5:12, 4:10] = 1
    for case, shift in (("near", 1), ("far", 6)):
        write_volume(
            tmp_path / f"data/images/{case}.nii.gz", Volume(array.astype(np.int16) * 80, AFFINE)
        )
        write_labels(tmp_path / f"data/masks/{case}.nii.gz", Volume(array, AFFINE))
        write_labels(
            tmp_path / f"predictions/{case}.nii.gz", Volume(np.roll(array, shift, 2), AFFINE)
        )
    return tmp_path


def report(folder, spec=None):
    out = folder / "out"
    evaluation = evaluate_folder(folder / "data", folder / "predictions")
    calls = []
    failures = write_report(evaluation, out, spec, on_case=lambda *progress: calls.append(progress))
    return failures, (out / "report.html").read_text(encoding="utf-8"), calls


def pictures(page):
    return [base64.b64decode(data) for data in re.findall(r"image/png;base64,([^\"]+)", page)]


def test_page_is_complete_and_self_contained(dataset):
    failures, page, calls = report(dataset)
    assert failures == []
    assert calls == [("far", 1, 2), ("near", 2, 2)]
    tags = Tags(page)
    assert tags.open == []
    assert len(pictures(page)) == 2
    assert all(png.startswith(b"\x89PNG") for png in pictures(page))
    assert tags.tags.count("img") == 2  # no plots of so few cases
    assert "a plot needs at least 5 cases" in page
    assert not re.search(r'src="(?!data:)', page)
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert tags.links == ["#case-0", "#case-1"]
    assert set(tags.links) == {f"#{name}" for name in tags.ids}
    assert page.index('id="case-0"><figcaption>far') < page.index('id="case-1"><figcaption>near')
    assert not (dataset / "out/viewer").exists()


@pytest.mark.slow
def test_equal_scores_give_equal_reports(dataset):
    assert report(dataset)[1] == report(dataset)[1]


def test_viewers_are_linked(dataset):
    failures, page, _ = report(dataset, ReportSpec(viewers=True, pictures=1))
    assert failures == []
    assert len(pictures(page)) == 1
    links = {link for link in Tags(page).links if not link.startswith("#")}
    assert links == {"viewer/far.html", "viewer/near.html"}
    for link in links:
        assert (dataset / "out" / link).is_file()
    assert "Shown: 1 of 2 cases, those with the lowest Dice" in page


@pytest.mark.parametrize(
    "case",
    [
        *("a#b", "a?b", "a%20b", "a'b\"c", "a&amp;b", "a b", "a:b", "Fälle-肝臓", "[x](y)", "\\a"),
        b"caf\xe9".decode(errors="surrogateescape"),
    ],
)
def test_links_lead_to_the_pages_of_cases_with_any_name(case):
    """As a browser resolves them: the fragment and the query are cut off, then %XX is decoded."""
    (address,) = Tags(link_file(f"viewer/{case}.html", "viewer")).links
    parts = urlsplit(urljoin("file:///out/report.html", address))
    assert os.fsdecode(unquote_to_bytes(parts.path)) == f"/out/viewer/{case}.html"
    assert (parts.query, parts.fragment) == ("", "")


def test_unreadable_image_affects_only_its_own_picture(dataset):
    (dataset / "data/images/far.nii.gz").write_bytes(b"")
    failures, page, _ = report(dataset, ReportSpec(viewers=True))
    assert [failure.case for failure in failures] == ["far"]
    assert len(pictures(page)) == 1
    assert "Images that could not be shown" in page
    assert "viewer/far.html" not in page


def test_masks_without_images_give_a_report_without_pictures(dataset):
    evaluation = evaluate_folder(dataset / "data/masks", dataset / "predictions")
    assert write_report(evaluation, dataset / "out", ReportSpec(viewers=True)) == []
    page = (dataset / "out/report.html").read_text(encoding="utf-8")
    assert pictures(page) == []
    assert "There are no images." in page


def test_text_is_escaped(tmp_path):
    regions = Regions({MARKUP: (1,)})
    evaluation = Evaluation(
        regions,
        (make_result(MARKUP, 5, MARKUP),),
        failures=(Failure("x", MARKUP),),
        notes=(MARKUP,),
    )
    write_report(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert Tags(page).open == []


@pytest.mark.parametrize("overlap", [Overlap(0, 0, 0), Overlap(0, 5, 0), Overlap(5, 0, 0)])
def test_empty_masks(tmp_path, overlap):
    results = tuple(
        RegionResult("a", region, overlap, score_overlap(overlap, 1.0))
        for region in LIVER_REGIONS.names
    )
    assert write_report(Evaluation(LIVER_REGIONS, results), tmp_path) == []
    assert "nan" not in re.sub(r"base64,[^\"]+", "", (tmp_path / "report.html").read_text())


def test_no_case(tmp_path):
    evaluation = Evaluation(LIVER_REGIONS, (), failures=(Failure("a", "missing"),))
    write_report(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 cases scored, 1 failure." in page
    assert Tags(page).open == []


def test_undefined_scores_are_dashes(tmp_path):
    scores = {**make_result("a", 5).scores, "assd": math.nan, "nsd": 0.25}
    results = (RegionResult("a", "liver", Overlap(10, 10, 5), scores),)
    write_report(Evaluation(Regions({"liver": (1,)}), results), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "ASSD mm" in page
    assert "0.250" in page


def test_scores_of_the_lits_challenge(dataset):
    evaluation = evaluate_folder(dataset / "data", dataset / "predictions", Scoring("lits"))
    write_report(evaluation, dataset / "out")
    page = (dataset / "out/report.html").read_text(encoding="utf-8")
    assert "Scores of the LiTS challenge" in page
    assert "<td>liver_dice_global</td>" in page


def test_sort_by_dice():
    results = (make_result("a", 5), make_result("b", 1), make_result("c", 9))
    assert sort_by_dice(Evaluation(LIVER_REGIONS, results)) == ["b", "a", "c"]


@pytest.mark.parametrize("name", ["$x^{$", "\\$x$", "_{2}"])
@pytest.mark.filterwarnings("error")
def test_region_names_are_not_formulas(name, tmp_path):
    results = tuple(make_result(case, 5, name) for case in "abcde")
    evaluation = Evaluation(Regions({name: (1,)}), results)
    write_report(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    plots = re.findall(r"svg\+xml;base64,([^\"]+)", page)
    assert plots
    for plot in plots:
        ElementTree.fromstring(base64.b64decode(plot))
