import pytest

from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.serve.client.address import Access, ServerAddress, read_token

SECRET = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("grpc://localhost:8500/liver", ("grpc", "localhost", 8500, "liver", None)),
        ("grpcs://ct.example.org:443/liver/12", ("grpcs", "ct.example.org", 443, "liver", 12)),
        ("rest://10.0.0.1:8501/a_b-c.d", ("rest", "10.0.0.1", 8501, "a_b-c.d", None)),
        ("rests://[::1]:8501/liver/", ("rests", "::1", 8501, "liver", None)),
    ],
)
def test_addresses_are_parsed(text, parts):
    address = ServerAddress.parse(text)
    assert (address.scheme, address.host, address.port, address.name, address.version) == parts
    assert str(address) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "grpc://localhost/liver",
        "grpc://localhost:8500",
        "grpc://localhost:0/liver",
        "grpc://localhost:99999/liver",
        "grpc://localhost:8500/liver/new",
        "grpc://localhost:8500/a b",
        "grpc://:8500/liver",
        "http://localhost:8501/liver",
        f"grpc://me:{SECRET}@localhost:8500/liver",
        f"grpc://localhost:8500/liver?token={SECRET}",
        f"grpc://localhost:8500/liver#{SECRET}",
        "grpc://[::1/liver",
        "grpc://localhost:8500/li:predict",
        "grpc://localhost:8500/../liver",
    ],
)
def test_invalid_addresses_are_refused_without_showing_secrets(text):
    with pytest.raises(SettingsError, match="Expected a served model as grpc://HOST:PORT") as error:
        ServerAddress.parse(text)
    assert SECRET not in str(error.value)


def test_a_token_is_never_sent_in_the_clear_or_shown():
    access = Access(SECRET)
    assert SECRET not in repr(access)
    for text in ("grpc://ct.example.org:8500/liver", "rest://10.0.0.1:8501/liver"):
        with pytest.raises(SettingsError, match="in the clear") as error:
            access.check(ServerAddress.parse(text))
        assert SECRET not in str(error.value)
    for text in (
        "grpcs://ct.example.org:8500/liver",
        "grpc://localhost:1/liver",
        "rest://127.0.0.9:1/liver",
        "rest://[::1]:1/liver",
    ):
        access.check(ServerAddress.parse(text))
    assert access.sanitise(f"refused {SECRET}\x1b[31m\nnow") == "refused [token][31m now"
    assert len(access.sanitise("x" * 100_000)) == 300


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ümlaut", ""])
def test_invalid_tokens_are_refused(token):
    with pytest.raises(SettingsError, match="Expected a token") as error:
        Access(token)
    assert not token or token not in str(error.value)


def test_a_token_is_read_from_the_environment_or_a_file(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert read_token({}) is None
    assert read_token({"LIVERSEG_TOKEN": "other"}) == "other"
    assert read_token({"LIVERSEG_TOKEN": "other"}, file) == SECRET
    file.write_text("\n")
    with pytest.raises(LiverSegError, match="empty file"):
        read_token({}, file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(LiverSegError, match="not text"):
        read_token({}, file)
    with pytest.raises(LiverSegError, match="No such file"):
        read_token({}, tmp_path / "none")


def test_invalid_certificates_are_refused(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    for path in (file, tmp_path / "none"):
        with pytest.raises(LiverSegError, match="Expected certificates"):
            Access(tls_ca=path).tls_context()
