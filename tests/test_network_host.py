from liverseg_tf.network_host import host_in_url, is_loopback


def test_addresses_of_this_machine():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))


def test_only_ipv6_addresses_get_brackets():
    assert list(map(host_in_url, ("::1", "127.0.0.1", "pacs"))) == ["[::1]", "127.0.0.1", "pacs"]
