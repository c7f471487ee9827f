import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.predict.dicomweb.address import Credentials, StudyAddress, is_uid

pytest.importorskip("requests")


@pytest.mark.parametrize(
    ("text", "service", "study", "series"),
    [
        ("dicomweb://host/studies/1.2", "http://host", "1.2", None),
        ("dicomweb://[::1]:8042/studies/1.2/", "http://[::1]:8042", "1.2", None),
        ("dicomweb+https://a:1/p/dicom-web/studies/1.2", "https://a:1/p/dicom-web", "1.2", None),
        ("https://a.b/studies/1.2/series/1.3", "https://a.b", "1.2", "1.3"),
    ],
)
def test_addresses(text, service, study, series):
    address = StudyAddress.parse(text)
    assert address.service == service
    assert (address.study, address.series) == (study, series)
    assert StudyAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "grpc://host/studies/1.2",
        "dicomweb://host/studies/",
        "dicomweb://host/studies/1..2",
        "dicomweb://host/studies/" + "1" * 65,
        "dicomweb://host/a/../studies/1.2",
        "dicomweb://host/studies/1.2?x=1",
        "dicomweb://host:99999/studies/1.2",
        "dicomweb://host/studies/1.2/series/x",
        "dicomweb:///studies/1.2",
    ],
)
def test_other_addresses_are_refused(text):
    with pytest.raises(SettingsError, match="Expected a study as dicomweb://HOST:PORT/PATH"):
        StudyAddress.parse(text)


def test_secrets_in_addresses_are_refused_and_not_repeated():
    with pytest.raises(SettingsError, match="LIVERSEG_DICOMWEB_USER") as caught:
        StudyAddress.parse("dicomweb://anna:secret@host/studies/1.2?token=secret")
    assert "secret" not in str(caught.value)


def test_credentials_come_from_the_environment_or_netrc(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine host login anna password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    address = StudyAddress.parse("dicomweb+https://host/studies/1.2")
    found = Credentials.read({}, address)
    assert (found.user, found.password) == ("anna", "secret")
    environment = {"LIVERSEG_DICOMWEB_TOKEN": "t0ken"}
    found = Credentials.read(environment, address)
    assert (found.user, found.token) == ("", "t0ken")
    assert "t0ken" not in repr(found)
    assert found.sanitise("wrong\ntoken t0ken") == "wrong token [secret]"
    with pytest.raises(SettingsError, match="Received both"):
        Credentials.read({**environment, "LIVERSEG_DICOMWEB_USER": "a"}, address)


def test_credentials_are_not_sent_in_the_clear():
    environment = {"LIVERSEG_DICOMWEB_USER": "anna", "LIVERSEG_DICOMWEB_PASSWORD": "secret"}
    with pytest.raises(SettingsError, match=r"Expected dicomweb\+https:// for cred") as caught:
        Credentials.read(environment, StudyAddress.parse("dicomweb://host/studies/1.2"))
    assert "secret" not in str(caught.value)
    local = StudyAddress.parse("dicomweb://127.0.0.1/studies/1.2")
    assert Credentials.read(environment, local).user == "anna"
    assert not Credentials.read({}, local)


def test_uids():
    assert is_uid("1.2.840")
    for text in ("", ".1", "1.", "1..2", "a", "1/2", "1" * 65, None, 12):
        assert not is_uid(text)
