import math

import pytest

from liverseg_tf.ct import size_limit
from liverseg_tf.ct.size_limit import check_size, memory_bytes
from liverseg_tf.errors import LiverSegError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "1000000\n"}, 1e6),
        ("0::/a/b\n", {"a/memory.max": "2000000\n", "a/b/memory.max": "max\n"}, 2e6),
        ("0::/host/path\n", {"memory.max": "3000000\n"}, 3e6),  # as seen inside a container
        (
            "5:cpu:/x\n4:cpu,memory:/a:c\n",
            {"memory/a:c/memory.limit_in_bytes": "4000000\n"},
            4e6,
        ),
    ],
)
def test_the_limit_of_the_control_group_counts(tmp_path, monkeypatch, groups, files, limit):
    write(tmp_path / "groups", groups)
    for name, text in files.items():
        write(tmp_path / name, text)
    monkeypatch.setattr(size_limit, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(size_limit, "_CGROUP_ROOT", tmp_path)
    assert memory_bytes() == limit
    check_size((10, 10, 10), int(limit / 2000), "a")
    with pytest.raises(LiverSegError, match="half of the memory"):
        check_size((10, 10, 10), int(limit / 2000) + 1, "a")


def test_without_control_groups_the_machine_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(size_limit, "_CGROUPS", tmp_path / "none")
    assert 1e8 < memory_bytes() < math.inf
