import base64
import json
import os

import pytest

from liverseg_tf.dataset.download.kaggle import Credentials, read_credentials
from liverseg_tf.errors import LiverSegError


def write(path, content, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def basic(user, key):
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def test_environment_variables_come_before_files(tmp_path):
    write(tmp_path / ".kaggle/kaggle.json", {"username": "file", "key": "k"})
    user = {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "key1"}
    assert read_credentials(user, tmp_path) == Credentials(basic("me", "key1"))
    token = user | {"KAGGLE_API_TOKEN": "KGAT_x\n"}
    assert read_credentials(token, tmp_path) == Credentials("Bearer KGAT_x")
    assert read_credentials({"KAGGLE_KEY": "k"}, tmp_path).authorization == basic("file", "k")


@pytest.mark.parametrize("folder", [".kaggle", ".config/kaggle", "chosen"])
def test_credentials_are_read_from_files(tmp_path, folder):
    chosen = {"KAGGLE_CONFIG_DIR": str(tmp_path / "chosen")} if folder == "chosen" else {}
    write(tmp_path / folder / "kaggle.json", {"username": "me", "key": "key1"})
    assert read_credentials(chosen, tmp_path) == Credentials(basic("me", "key1"))
    write(tmp_path / folder / "access_token", "KGAT_y\n")
    assert read_credentials(chosen, tmp_path) == Credentials("Bearer KGAT_y")


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_reported(tmp_path, mode):
    path = write(tmp_path / ".kaggle/kaggle.json", {"username": "me", "key": "k"}, mode)
    assert read_credentials({}, tmp_path).exposed == path


def test_without_credentials_the_error_says_where_to_create_them(tmp_path):
    with pytest.raises(LiverSegError, match=r"^Expected Kaggle .*Received no .*/settings\)\.$"):
        read_credentials({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": ""}, tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", {"username": "me"}, {"username": 1, "key": "s3cret"}, '"s3cret']
)
def test_a_file_without_credentials_is_an_error(tmp_path, content):
    write(tmp_path / ".kaggle/kaggle.json", content)
    with pytest.raises(LiverSegError, match=r"^Expected .*kaggle\.json.*Received") as caught:
        read_credentials({}, tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", ["s3cret\r\nX-Evil: 1", "s3crét", " ", "s3cret two"])
def test_invalid_tokens_are_refused_and_not_shown(tmp_path, token):
    with pytest.raises(LiverSegError, match=r"^Expected a Kaggle token") as caught:
        read_credentials({"KAGGLE_API_TOKEN": token}, tmp_path)
    assert "s3cr" not in str(caught.value)
    write(tmp_path / ".kaggle/access_token", token)
    with pytest.raises(LiverSegError, match=r"^Expected a Kaggle token"):
        read_credentials({}, tmp_path)


def test_secrets_are_not_in_the_repr():
    assert "s3cret" not in repr(Credentials("Bearer s3cret"))
