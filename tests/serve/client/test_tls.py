"""TLS with a certificate authority that the test creates."""

import ssl

import grpc
import numpy as np
import pytest
import trustme

from liverseg_tf.errors import LiverSegError
from liverseg_tf.serve.client.address import Access, ServerAddress
from liverseg_tf.serve.client.served_model import ServedModel

TOKEN = "s3cr3t-t0ken"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(params=["grpcs", "rests"])
def secured(request, servers, models, authority):
    """A server with a certificate for 127.0.0.1, and the scheme of its address."""
    certificate = authority.issue_cert("127.0.0.1")
    key, chain = certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()
    if request.param == "grpcs":
        server = servers.GrpcServer(models, credentials=grpc.ssl_server_credentials([(key, chain)]))
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server = servers.RestServer(models, tls=context)
    with server:
        yield server, request.param


def _address(secured, scheme=None, host="127.0.0.1"):
    server, usual = secured
    return ServerAddress.parse(server.address(scheme=scheme or usual, host=host))


def test_a_server_with_a_trusted_certificate_receives_the_token(
    secured, authority, tmp_path, models
):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    models.token = TOKEN
    with ServedModel(_address(secured), Access(TOKEN, tmp_path / "ca.pem")) as model:
        found = model.probabilities(np.zeros((2, 8, 8, 1), np.uint8))
    assert found.shape == (2, 8, 8, 2)
    assert set(models.tokens) == {f"Bearer {TOKEN}"}


def test_servers_without_a_trusted_certificate_never_receive_the_token(
    secured, authority, tmp_path, models, impatient
):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cases = [
        (_address(secured), Access(TOKEN, tmp_path / "other.pem")),
        (_address(secured), Access(TOKEN)),  # the authorities of the system do not know it
        (
            _address(secured, host="localhost"),
            Access(TOKEN, tmp_path / "ca.pem"),
        ),  # another name than in the certificate
    ]
    for address, access in cases:
        with pytest.raises(LiverSegError, match=r"UNAVAILABLE|certificate") as error:
            ServedModel(address, access, **impatient)
        assert TOKEN not in str(error.value)
        assert str(address) in str(error.value)
    assert models.tokens == []


def test_a_connection_without_tls_to_a_server_with_tls_fails(secured, impatient):
    plain = {"grpcs": "grpc", "rests": "rest"}[secured[1]]
    with pytest.raises(LiverSegError, match="Expected an answer from"):
        ServedModel(_address(secured, plain), **impatient)
