import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate.cases import evaluate_folder
from liverseg_tf.evaluate.evaluation import Evaluation, Failure, Row
from liverseg_tf.evaluate.page import draw_evaluation, worst_first, write_overlay_page
from liverseg_tf.evaluate.scores import Overlap, score_overlap

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])


def row(case, both):
    overlap = Overlap(10, 10, both)
    return Row(case, "liver", overlap, score_overlap(overlap, 1.0))


class Tags(HTMLParser):
    """Open tags, to check that each is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def dataset(tmp_path):
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


def draw(folder):
    out = folder / "out"
    evaluation = evaluate_folder(folder / "data", folder / "predictions", out)
    failures = draw_evaluation(evaluation, out)
    return failures, (out / "overlays.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_self_contained(dataset):
    failures, page = draw(dataset)
    assert failures == []
    tags = Tags(page)
    assert tags.open == []
    assert tags.seen.count("img") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http:" not in page
    assert "https:" not in page
    embedded = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    files = [dataset / "out/overlays" / f"{case}.png" for case in ("far", "near")]
    assert embedded == [path.read_bytes() for path in files]  # the worst case comes first


def test_an_image_that_cannot_be_read_costs_its_picture_only(dataset):
    (dataset / "data/images/far.nii.gz").write_bytes(b"")
    failures, page = draw(dataset)
    assert [failure.case for failure in failures] == ["far"]
    assert Tags(page).seen.count("img") == 1


def test_masks_without_images_give_a_page_without_pictures(dataset):
    evaluation = evaluate_folder(dataset / "data/masks", dataset / "predictions", dataset / "out")
    assert draw_evaluation(evaluation, dataset / "out") == []
    page = (dataset / "out/overlays.html").read_text(encoding="utf-8")
    assert Tags(page).seen.count("img") == 0
    assert "need a data set with images" in page


def test_text_is_escaped(tmp_path):
    nasty = "<script>alert(1)</script>"
    evaluation = Evaluation(
        LIVER_REGIONS, (row(nasty, 5),), failures=(Failure("x", nasty),), notes=(nasty,)
    )
    write_overlay_page(evaluation, {nasty: b"png"}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert Tags(page).open == []


def test_worst_first():
    evaluation = Evaluation(LIVER_REGIONS, (row("a", 5), row("b", 1), row("c", 9)))
    assert worst_first(evaluation) == ["b", "a", "c"]
