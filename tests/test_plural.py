from liverseg_tf.plural import count


def test_numbers_with_nouns():
    assert [count(number, "case") for number in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert count(1, "process", "processes") == "1 process"
    assert count(3, "process", "processes") == "3 processes"
