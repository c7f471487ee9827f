"""The routes answer in the form that MONAI Label's clients parse, and refuse everything else."""

import email
import io
import json
import re
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.itk.write_nrrd import write_nrrd
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.predict.api import segment
from liverseg_tf.serve.server.limits import Refusal, ServerLimits
from liverseg_tf.serve.server.service import AccessRules

SLICER = {"result_extension": ".nrrd", "result_dtype": "uint8"}


def _parts(answer):
    """The parts of a form by name, as the clients parse them: (file name, content)."""
    assert answer.headers["content-length"] == str(len(answer.content))
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + answer.content)
    assert form.is_multipart()
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in form.get_payload()
    }


def _mask_of(answer, folder):
    name, content = _parts(answer)["image"]
    path = folder / name
    path.write_bytes(content)
    return read_image(path)


@pytest.fixture
def ct_file(tmp_path, make_ct):
    path = tmp_path / "studies" / "pat 1.nii.gz"
    write_volume(path, make_ct())
    return path


@pytest.fixture
def client(ct_file, make_client):
    return make_client({"pat 1": ct_file})[0]


def _upload(path, name=None):
    return {"file": (name or path.name, path.read_bytes())}


def test_info_has_the_entries_that_the_viewers_read(client):
    info = client.get("/info/").json()
    assert info["labels"] == ["liver", "tumour"]
    assert info["models"]["bright"]["type"] == "segmentation"
    assert info["models"]["bright"]["labels"] == {"liver": 1, "tumour": 2}
    assert info["models"]["bright"]["config"] == {}
    assert list(info["strategies"]) == ["random", "first"]  # one pass: nothing can disagree
    assert info["trainers"] == info["train_stats"] == {}
    assert info["datastore"] == {"total": 1, "completed": 0, "label_tags": {}}
    assert "config" not in info  # Slicer takes it for an old server


def test_masks_equal_those_of_predict(client, ct_file, bright, tmp_path):
    expected = segment(ct_file, bright)
    by_name = client.post("/infer/bright?image=pat+1", data={"params": json.dumps(SLICER)})
    files = {"files": (ct_file.name, ct_file.read_bytes())}
    session = client.put("/session/", files=files).json()["session_id"]
    by_session = client.post(f"/infer/bright?image=x&session_id={session}")
    by_file = client.post("/infer/bright", files=_upload(ct_file))
    for answer in (by_name, by_session, by_file):
        mask = _mask_of(answer, tmp_path)
        np.testing.assert_array_equal(mask.array, expected.array)
        np.testing.assert_allclose(mask.affine, expected.affine, atol=1e-6)
        params = json.loads(_parts(answer)["params"][1])
        assert params["label_names"] == {"liver": 1, "tumour": 2}
        assert params["volumes_ml"]["liver"] > params["volumes_ml"]["tumour"] > 0
    assert _parts(by_name)["image"][0].endswith(".nrrd")
    header = nib.Nifti1Image.from_bytes(nib.load(ct_file).to_bytes()).header
    assert (
        nib.load(tmp_path / _parts(by_file)["image"][0]).header["qform_code"]
        == header["qform_code"]
    )


def test_a_region_that_is_not_there_is_not_named(client, tmp_path, make_ct):
    """Slicer gives the names to the values that it finds, in their order."""
    ct = make_ct()
    ct.array[ct.array > 150] = 80
    write_volume(tmp_path / "ct.nii", ct)
    answer = client.post("/infer/bright?output=json", files=_upload(tmp_path / "ct.nii"))
    assert answer.json()["label_names"] == {"liver": 1}


@pytest.mark.parametrize(
    ("params", "dtype"),
    [
        ({"result_extension": ".nii", "result_dtype": "uint16"}, np.uint16),
        ({"result_extension": ".nrrd", "result_compress": False}, np.uint8),
    ],
)
def test_the_form_of_the_mask_can_be_chosen(client, tmp_path, params, dtype):
    answer = client.post(
        "/infer/bright?image=pat 1&output=image", data={"params": json.dumps(params)}
    )
    path = tmp_path / f"mask{params['result_extension']}"
    path.write_bytes(answer.content)
    if path.suffix == ".nii":
        assert nib.load(path).get_data_dtype() == dtype
    else:
        assert b"encoding: raw" in answer.content
    assert set(np.unique(read_image(path).array)) == {0, 1, 2}


def test_a_series_is_known_by_its_uid_and_gives_dicom_seg(
    make_client, make_ct, write_series, tmp_path, bright
):
    pytest.importorskip("highdicom")
    folder = write_series(tmp_path / "series", make_ct())
    from liverseg_tf.ct.dicom.series import find_series

    (series,) = find_series(folder)
    client, _ = make_client({"ct": series})
    expected = segment(folder, bright)
    for image in ("ct", series.uid):
        mask = _mask_of(client.post(f"/infer/bright?image={image}"), tmp_path)
        np.testing.assert_array_equal(mask.array, expected.array)
    (tmp_path / "seg.dcm").write_bytes(
        client.post("/infer/bright?image=ct&output=dicom_seg").content
    )
    assert dcmread(tmp_path / "seg.dcm").Modality == "SEG"
    sample = client.post("/activelearning/first", json={"client_id": "x"}).json()
    # Slicer would take a file of this name that it has kept
    assert re.fullmatch(r"ct-[0-9a-f]{8}\.nii\.gz", sample["name"])
    assert (sample["id"], sample["SeriesInstanceUID"]) == ("ct", series.uid)
    assert sample["StudyInstanceUID"] == "1.2.3.4"
    assert "p1" not in json.dumps(sample)  # neither the ID nor the name of the patient
    image = client.get("/datastore/image?image=ct")
    (tmp_path / "ct.nii.gz").write_bytes(image.content)
    np.testing.assert_array_equal(read_image(tmp_path / "ct.nii.gz").array, make_ct().array)
    assert 'filename="ct.nii.gz"' in image.headers["content-disposition"]


def test_slices_of_a_left_handed_series_come_in_the_order_of_ohif(
    make_client, make_ct, write_series, tmp_path
):
    """OHIF ignores the geometry of the mask, and sorts slices along rows x columns."""
    ct = make_ct()
    mirrored = ct.affine.copy()
    mirrored[:3, 1] *= -1  # rows run to anterior
    from liverseg_tf.ct.dicom.series import find_series
    from liverseg_tf.ct.volume import Volume

    folder = write_series(tmp_path / "series", Volume(ct.array, mirrored))
    (series,) = find_series(folder)
    client, _ = make_client({"ct": series})
    mask = _mask_of(client.post("/infer/bright?image=ct"), tmp_path)
    assert np.linalg.det(mask.affine[:3, :3]) > 0
    expected = segment(folder, client.app.state.service.model("bright").predictor)
    np.testing.assert_array_equal(mask.array, expected.array[::-1])
    last = np.array([0, 0, len(mask.array) - 1, 1])
    np.testing.assert_allclose(mask.affine @ last, expected.affine[:, 3], atol=1e-6)


def test_a_series_is_uploaded_as_zip_or_as_files(client, make_ct, write_series, tmp_path):
    folder = write_series(tmp_path / "series", make_ct())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"study/{file.name}")
    as_zip = client.post("/infer/bright", files={"file": ("ct.zip", packed.getvalue())})
    many = [("files", (file.name, file.read_bytes())) for file in folder.iterdir()]
    session = client.put("/session/", files=many).json()["session_id"]
    as_files = client.post(f"/infer/bright?session_id={session}")
    masks = [_mask_of(answer, tmp_path).array for answer in (as_zip, as_files)]
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)


def test_sessions_end(client, ct_file):
    files = {"files": (ct_file.name, ct_file.read_bytes())}
    answer = client.put("/session/?expiry=100", files=files).json()
    name = answer["session_id"]
    assert answer["session_info"]["expiry"] == 100
    private = client.app.state.service.files.folder
    assert len(list(private.iterdir())) == 1
    assert client.get(f"/session/{name}").json()["name"] == name
    assert client.delete(f"/session/{name}").status_code == 200
    assert client.get(f"/session/{name}").status_code == 404
    assert client.post(f"/infer/bright?session_id={name}").status_code == 404
    assert not list(private.iterdir())


def test_labels_are_saved_with_their_versions(client, ct_file, make_ct, tmp_path):
    ct = make_ct()
    mask = ct.with_array((ct.array > 50).astype(np.uint8))
    write_nrrd(tmp_path / "label.nrrd", mask)
    # the segment of the background has been removed; Slicer numbers those that are left from 1
    info = {"label_info": [{"name": "liver", "idx": 2}], "client_id": "annotator"}
    request = {"files": {"label": ("label.nrrd", (tmp_path / "label.nrrd").read_bytes())}}
    saved = client.put(
        "/datastore/label?image=pat+1&tag=final", data={"params": json.dumps(info)}, **request
    ).json()
    assert (saved["label"], saved["version"], saved["labels"]) == ("pat 1", 1, {"liver": 1})
    assert saved["warnings"] == []
    again = client.put("/datastore/label?image=pat+1", **request).json()
    assert (again["version"], again["labels"]) == (2, {"liver": 1, "tumour": 2})
    answer = client.get("/datastore/label?label=pat+1&tag=final")
    (tmp_path / "back.nii.gz").write_bytes(answer.content)
    back, image = read_image(tmp_path / "back.nii.gz"), read_image(ct_file)
    np.testing.assert_array_equal(back.array, mask.array)
    np.testing.assert_array_equal(back.affine, image.affine)
    kept = tmp_path / "out" / "labels" / "final" / "versions"
    assert sorted(path.name for path in kept.iterdir()) == [
        f"pat 1.000{version}.{suffix}" for version in (1, 2) for suffix in ("json", "nii.gz")
    ]
    put = client.put(
        "/datastore/label/info?label=pat+1&tag=final", data={"info": '{"review": "approved"}'}
    )
    got = client.get("/datastore/label/info?label=pat+1&tag=final").json()
    assert got == put.json()
    assert (got["review"], got["version"]) == ("approved", 2)
    objects = client.get("/datastore/?output=all").json()["objects"]
    assert objects["pat 1"]["image"]["ext"] == ".nii.gz"
    assert objects["pat 1"]["labels"]["final"]["info"]["version"] == 2
    assert client.get("/datastore/").json() == {
        "total": 1,
        "completed": 1,
        "label_tags": {"final": 1},
    }
    assert client.get("/datastore/?output=train").json()[0]["image"] == "pat 1"
    assert client.post("/activelearning/random").json() == {}  # every image has a label


def test_a_reviewer_describes_and_removes_labels(client, make_ct, tmp_path):
    """Slicer's module MONAI Label Reviewer has requests of its own."""
    ct = make_ct()
    write_nrrd(tmp_path / "label.nrrd", ct.with_array((ct.array > 50).astype(np.uint8)))
    files = {"label": ("pat 1.nrrd", (tmp_path / "label.nrrd").read_bytes())}
    for tag in ("final", "version_1"):
        path = f"/datastore/label?image=pat 1&tag={tag}"
        assert client.head(path).status_code == 404
        assert client.put(path, files=files).status_code == 200
        assert client.head(path).status_code == 200
    assert client.head("/datastore/image?image=pat 1").status_code == 200
    assert client.head("/datastore/image?image=pat 2").status_code == 404
    meta = {"segmentationMeta": {"status": "approved", "level": "easy", "comment": ""}}
    url = "/datastore/updatelabelinfo?label=pat 1&tag=version_1"
    assert client.put(url, data={"params": json.dumps(meta)}).status_code == 200
    large = json.dumps({"x": "x" * 99_000})
    assert client.put(url, data={"params": large}).status_code == 200
    assert client.put(url, data={"params": large.replace('"x":', '"y":')}).status_code == 422
    labels = client.get("/datastore/?output=all").json()["objects"]["pat 1"]["labels"]
    assert labels["version_1"]["info"]["segmentationMeta"] == meta["segmentationMeta"]
    assert client.delete("/datastore/label?id=pat 1&tag=version_1").status_code == 200
    assert client.delete("/datastore/label?id=pat 1&tag=version_1").status_code == 404
    assert client.get("/datastore/").json()["label_tags"] == {"final": 1}
    kept = tmp_path / "out" / "labels" / "version_1"
    assert [path.name for path in kept.iterdir()] == ["versions"]
    again = client.put("/datastore/label?image=pat 1&tag=version_1", files=files).json()
    assert again["version"] == 2


def test_labels_that_would_be_wrong_are_refused(client, make_ct, tmp_path):
    ct = make_ct()
    mask = (ct.array > 50).astype(np.uint8)

    def save(array, affine, params="{}", name="label.nii", image="pat 1", tag="final"):
        path = tmp_path / "label.nii"
        write_volume(path, type(ct)(array, affine))
        return client.put(
            f"/datastore/label?image={image}&tag={tag}",
            data={"params": params},
            files={"label": (name, path.read_bytes())},
        )

    moved = ct.affine.copy()
    moved[0, 3] += 3
    named = json.dumps({"label_info": [{"name": "liver"}]})
    for answer, words in (
        (save(mask, moved), "on one grid"),
        (save(mask[1:], ct.affine), "on one grid"),
        (save(mask * 3, ct.affine), "1 (liver), 2 (tumour). Received 3"),
        (save(mask * 2, ct.affine, named), "1 (liver). Received 2"),
        (save(mask, ct.affine, '{"label_info": 3}'), "label_info as a list"),
        (save(mask, ct.affine, "[1]"), "as a JSON object"),
        (save(mask, ct.affine, name="label.bin"), "an image ending in"),
        (save(mask, ct.affine, tag="../x"), "a tag of at most 32"),
        (save(mask, ct.affine, image="../pat 1"), "name of an image"),
    ):
        assert answer.status_code in (404, 422), answer.text
        assert words in answer.json()["detail"]
    assert client.get("/datastore/").json()["completed"] == 0
    # flipped axes hold the same mask
    flip = np.diag([1, 1, -1, 1.0])
    flip[2, 3] = len(mask) - 1
    assert save(mask[::-1], ct.affine @ flip).status_code == 200
    content = client.get("/datastore/label?label=pat 1&tag=final").content
    (tmp_path / "back.nii.gz").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "back.nii.gz").array, mask)


def test_images_are_uploaded_and_removed(client, make_ct, tmp_path):
    write_volume(tmp_path / "a.nii.gz", make_ct(1))
    write_volume(tmp_path / "b.nii.gz", make_ct(2))
    put = lambda name, path: client.put(f"/datastore/?image={name}", files=_upload(path))  # noqa: E731
    assert put("3: CT [1]", tmp_path / "a.nii.gz").json() == {"image": "3: CT [1]"}
    assert put("3: CT [1]", tmp_path / "a.nii.gz").status_code == 200  # the same image again
    assert put("3: CT [1]", tmp_path / "b.nii.gz").status_code == 409
    assert put("pat 1", tmp_path / "b.nii.gz").status_code == 409
    for name in ("../x", ".x", "a/b", "x" * 300, "a%07b"):
        assert put(name, tmp_path / "b.nii.gz").status_code == 422
    (tmp_path / "c.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:-50])
    assert put("c", tmp_path / "c.nii.gz").status_code == 422
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == ["3%3A CT [1].nii.gz"]
    assert (
        client.get("/datastore/image?image=3: CT [1]").content
        == (tmp_path / "a.nii.gz").read_bytes()
    )
    assert client.delete("/datastore/image?id=pat 1").status_code == 403
    assert client.delete("/datastore/image?id=3: CT [1]").status_code == 200
    assert client.get("/datastore/image?image=3: CT [1]").status_code == 404
    assert not list((tmp_path / "out" / "images").iterdir())


def test_the_labels_of_a_removed_image_do_not_pass_to_another_one(client, make_ct, tmp_path):
    ct, other = make_ct(1), make_ct(2)
    label = ct.with_array((ct.array > 50).astype(np.uint8))
    other = ct.with_array(other.array)  # another phase of the same patient
    for name, volume in (("a", ct), ("b", other), ("label", label)):
        write_volume(tmp_path / f"{name}.nii", volume)
    client.put("/datastore/?image=x", files=_upload(tmp_path / "a.nii"))
    files = {"label": ("label.nii", (tmp_path / "label.nii").read_bytes())}
    assert client.put("/datastore/label?image=x", files=files).status_code == 200
    assert client.delete("/datastore/image?id=x").status_code == 200
    client.put("/datastore/?image=x", files=_upload(tmp_path / "b.nii"))
    assert client.get("/datastore/label?label=x&tag=final").status_code == 404
    assert client.get("/datastore/").json()["completed"] == 0
    assert (tmp_path / "out" / "labels" / "final" / "versions" / "x.0001.nii.gz").is_file()


def test_of_two_images_uploaded_under_one_name_one_is_refused(client, make_ct, tmp_path):
    for number in (1, 2):
        write_volume(tmp_path / f"{number}.nii", make_ct(number))
    together = threading.Barrier(2)
    studies = client.app.state.service.studies

    def add(number):
        together.wait()
        try:
            return studies.add("x", tmp_path / f"{number}.nii")
        except Refusal as refusal:
            return refusal.status

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(add, (1, 2)))
    assert 409 in answers
    (number,) = (1 + i for i, answer in enumerate(answers) if answer != 409)
    kept = read_image(tmp_path / "out" / "images" / "x.nii").array
    np.testing.assert_array_equal(kept, make_ct(number).array)


@pytest.mark.parametrize("value", ["NaN", "[Infinity]", '"\\ud800"', f'"{"x" * 100_000}"'])
def test_parameters_that_no_answer_can_repeat_are_refused(client, make_ct, tmp_path, value):
    ct = make_ct()
    write_volume(tmp_path / "label.nii", ct.with_array((ct.array > 50).astype(np.uint8)))
    files = {"label": ("label.nii", (tmp_path / "label.nii").read_bytes())}
    data = {"params": f'{{"x": {value}}}'}
    answer = client.put("/datastore/label?image=pat 1", data=data, files=files)
    assert answer.status_code == 422
    assert client.get("/datastore/?output=all").status_code == 200
    body = {"content": data["params"], "headers": {"content-type": "application/json"}}
    for path in ("/batch/infer/bright", "/train/bright", "/train/"):
        assert client.post(path, **body).status_code == 422
    assert client.get("/batch/infer").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("post", "/infer/other?image=pat 1", {}, 404),
        ("post", "/infer/bright?image=../../etc/passwd", {}, 404),
        ("post", "/infer/bright?image=", {}, 404),
        ("post", "/infer/bright?image=pat 1&output=x", {}, 422),
        ("post", "/infer/bright?image=pat 1", {"data": {"params": "{" * 100}}, 422),
        ("post", "/infer/bright?image=pat 1", {"data": {"params": '{"result_dtype": "O"}'}}, 422),
        (
            "post",
            "/infer/bright?image=pat 1",
            {"data": {"params": '{"result_extension": "/../x"}'}},
            422,
        ),
        ("post", "/infer/bright?image=pat 1", {"data": {"params": '{"mirror": true}'}}, 422),
        ("post", "/infer/bright", {"files": {"file": ("x.nii.gz", b"no image")}}, 422),
        ("post", "/infer/bright", {"files": {"file": ("x.zip", b"PK no archive")}}, 422),
        ("post", "/infer/bright", {"files": {"file": ("x.exe", b"MZ")}}, 422),
        ("post", "/infer/bright?image=pat 1", {"files": {"label": ("x.nii", b"")}}, 422),
        ("put", "/session/", {}, 422),
        ("post", "/activelearning/uncertain", {}, 422),
        ("post", "/activelearning/other", {}, 404),
        ("post", "/activelearning/first", {"content": b"[", "headers": {}}, 422),
        ("post", "/train/bright", {}, 422),
        ("post", "/train/", {}, 422),
        ("get", "/train/", {}, 404),
        ("get", "/train/?check_if_running=true", {}, 404),
        ("get", "/datastore/label?label=pat 1&tag=final", {}, 404),
        ("get", "/nowhere", {}, 404),
    ],
)
def test_bad_requests_are_refused_in_one_line(client, method, path, options, status):
    answer = getattr(client, method)(path, **options)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert "\n" not in detail
    assert "out/private" not in detail
    assert "the upload Received" not in detail  # without the full stop
    assert "expected" in detail.lower() or status == 404
    assert not list(client.app.state.service.files.folder.iterdir())


def test_stopping_nothing_is_no_error(client):
    assert client.delete("/train/").json() is None


def test_the_log_contains_no_names(client):
    client.get("/datastore/image?image=pat+1")
    client.post("/infer/bright?image=pat+1")
    log = client.get("/logs/").text
    assert "POST /infer/{model} 200" in log
    assert "pat" not in log
    assert 'liverseg_predictions_total{model="bright"} 1' in client.get("/metrics").text
    assert client.get("/health").json() == {"status": "ok"}
    page = client.get("/").text
    assert "/infer/{model}" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_token_is_needed_for_everything_but_the_login(ct_file, make_client):
    client, _ = make_client({"pat 1": ct_file}, access=AccessRules("s3cret-s3cret-s3cret"))
    assert client.get("/auth/").json()["enabled"] is True
    for path in client.get("/openapi.json").json()["paths"]:
        if path not in ("/auth/", "/auth/token", "/health"):
            assert client.get(path).status_code == 401, path
    wrong = client.post("/auth/token", data={"username": "a", "password": "wrong"})
    assert wrong.status_code == 401
    token = client.post(
        "/auth/token", data={"username": "a", "password": "s3cret-s3cret-s3cret"}
    ).json()
    headers = {"Authorization": f"{token['token_type']} {token['access_token']}"}
    assert client.get("/auth/token/valid", headers=headers).status_code == 200
    assert client.get("/info/", headers=headers).status_code == 200
    assert client.get("/info/", headers={"Authorization": "bearer s3cret"}).status_code == 401


def test_pages_of_other_sites_are_kept_out(ct_file, make_client):
    access = AccessRules(None, ("http://ohif.example",), ("testserver",))
    client, _ = make_client({"pat 1": ct_file}, access=access)
    url = "/infer/bright?image=pat 1&output=json"
    allowed = client.post(url, headers={"origin": "http://ohif.example"})
    assert allowed.headers["access-control-allow-origin"] == "http://ohif.example"
    other = client.post(url, headers={"origin": "http://evil.example"})
    assert (other.status_code, "allow-origin" in other.text) == (403, True)
    assert client.get("/info/", headers={"host": "evil.example"}).status_code == 403


def test_requests_are_limited(ct_file, make_client):
    client, _ = make_client({"pat 1": ct_file}, limits=ServerLimits(request_bytes=1000))
    large = {"file": ("x.nii", b"0" * 2000)}
    assert client.post("/infer/bright", files=large).status_code == 413
    chunked = client.post(
        "/infer/bright",
        content=iter([b"0" * 600] * 3),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert chunked.status_code == 413
    assert "at most 0 MB" in chunked.json()["detail"]


def test_half_a_form_is_refused_although_it_names_an_image(client, ct_file):
    """Otherwise the mask would be that of the named image, and not of the one that was sent."""
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.nii.gz"\r\n\r\n'
    content = form + ct_file.read_bytes() + b"\r\n--x--\r\n"
    headers = {"content-type": 'multipart/form-data; boundary="x"'}
    url = "/infer/bright?image=pat 1&output=json"
    assert client.post(url, content=content, headers=headers).status_code == 200
    half = client.post(url, content=content[:-20], headers=headers)
    assert (half.status_code, "whole form" in half.json()["detail"]) == (400, True)


def test_too_many_sessions_are_refused(ct_file, make_client):
    client, _ = make_client({}, limits=ServerLimits(sessions=1))
    files = {"files": (ct_file.name, ct_file.read_bytes())}
    assert client.put("/session/", files=files).status_code == 200
    refused = client.put("/session/", files=files)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert len(list(client.app.state.service.files.folder.iterdir())) == 1
