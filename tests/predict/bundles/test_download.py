"""Bundles from https addresses with a checksum."""

import hashlib

import pytest
from bundles import make_folder, zip_folder

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.bundles import download
from liverseg_tf.predict.bundles.download import parse_address
from liverseg_tf.predict.bundles.locate import locate_model

HEX = "0" * 64


@pytest.fixture
def packed(tmp_path):
    return zip_folder(make_folder(tmp_path / "bundle"), tmp_path / "model.zip").read_bytes()


def _pin(content):
    return f"#sha256={hashlib.sha256(content).hexdigest()}"


def test_a_bundle_is_downloaded_once_and_works_offline(secure_server, packed, cache):
    secure_server.answers["/m.zip?token=s3cret"] = (200, {}, packed)
    address = f"{secure_server.url}/m.zip?token=s3cret{_pin(packed)}"
    located = locate_model(address)
    assert located.path.name == located.bundle.name == "tiny"
    secure_server.stop()
    assert locate_model(address).path == located.path
    assert secure_server.requests == ["GET /m.zip?token=s3cret"]
    assert [one.name for one in cache.iterdir()] == [located.path.parent.name]


def test_answers_that_are_not_the_bundle_are_refused(
    secure_server, server, packed, cache, monkeypatch
):
    monkeypatch.setattr(download, "MAX_BYTES", 100_000)
    server.answers["/m.zip"] = (200, {}, packed)
    secure_server.answers |= {
        "/other.zip": (200, {}, packed + b" "),
        "/http.zip": (302, {"Location": f"{server.url}/m.zip"}, b""),
        "/file.zip": (302, {"Location": "file:///etc/passwd"}, b""),
        "/loop.zip": (302, {"Location": "/loop.zip"}, b""),
        "/large.zip": (200, {"Content-Length": 1 << 40}, b"PK"),
        "/page.zip": (200, {"Content-Type": "text/html"}, b"<html>"),
    }
    expected = {
        "/other.zip": "another file, and it was removed",
        "/http.zip": "never from https to http",
        "/file.zip": "never from https to http",
        "/loop.zip": "at most 5 redirects",
        "/large.zip": "at most 100000 bytes",
        "/page.zip": "Received a web page",
        "/none.zip": "status 404",
    }
    for path, reason in expected.items():
        with pytest.raises(LiverSegError, match=reason) as error:
            locate_model(secure_server.url + path + _pin(packed))
        assert "\n" not in str(error.value)
    assert server.requests == []
    assert not [one for one in cache.rglob("*") if one.is_file()]


def test_a_foreign_file_with_the_right_checksum_is_refused(secure_server):
    secure_server.answers["/m.zip"] = (200, {}, b"PK\x03\x04 and no bundle")
    pin = _pin(b"PK\x03\x04 and no bundle")
    with pytest.raises(LiverSegError, match=r"complete archive at .*\(model https://127"):
        locate_model(f"{secure_server.url}/m.zip{pin}")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"http://host/m.zip#sha256={HEX}", "https://HOST/PATH#sha256=HEX"),
        ("https://host/m.zip", "the checksum of the bundle behind its address"),
        ("https://host/m.zip#sha256=12", "64 hexadecimal digits"),
        ("https://host/m.zip#md5=12", "64 hexadecimal digits"),
        (f"https://[host/m.zip#sha256={HEX}", "Received an address that cannot be read"),
    ],
)
def test_addresses_without_encryption_or_checksum_are_refused(address, reason):
    with pytest.raises(SettingsError, match=reason):
        parse_address(address)
