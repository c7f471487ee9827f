import pytest

from liverseg_tf.serve.node.queue.uids import digest_instance, digest_result, is_uid


@pytest.mark.parametrize("text", ["1.2.840.10008", "2.25.0", "1", "1.02.3", "1" * 64])
def test_identifiers(text):
    assert is_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".", "1.", "1..2", "1.2\n", "../1", "1" * 65, "\u0661.\u0662"]
)
def test_what_is_no_identifier(text):
    assert not is_uid(text)


def test_digests_follow_from_everything_that_matters():
    one, two = digest_instance(b"one", "1.2"), digest_instance(b"two", "1.2")
    assert one != digest_instance(b"one", "1.3")
    digests = {
        digest_result(uids, instances, made_by)
        for uids in (("1", "2"), ("1", "3"))
        for instances in ((one,), (one, two))
        for made_by in ("model", "other")
    }
    assert len(digests) == 8
    assert digest_result(("1", "2"), (one, two), "m") == digest_result(("1", "2"), (two, one), "m")
