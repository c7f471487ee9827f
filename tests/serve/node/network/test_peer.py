import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.serve.node.network.peer import Peer, check_aet


@pytest.mark.parametrize("text", ["PACS@10.0.0.1:104", "PACS@host.example:11112", "A@[::1]:4242"])
def test_an_address_is_read_and_written(text):
    assert str(Peer.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["PACS", "PACS@host", "@host:104", "PACS@:104", "PACS@h:65536", "A@b@c:104", "A@::1:104"],
)
def test_other_texts_are_refused(text):
    with pytest.raises(SettingsError, match="AET@HOST:PORT"):
        Peer.parse(text)


@pytest.mark.parametrize("aet", ["", " ", "A\\B", "SEVENTEEN_LETTERS", "MÜNCHEN", "A\nB"])
def test_wrong_titles_are_refused(aet):
    with pytest.raises(SettingsError, match="AE title"):
        check_aet(aet)
