import io
import random
import shutil
import stat
import tarfile
import zipfile
from contextlib import suppress

import pytest

from liverseg_tf.dataset.download import archive as module
from liverseg_tf.dataset.download.archive import Archive, ArchiveError, extract
from liverseg_tf.errors import LiverSegError

FILES = {"Task/dataset.json": b"{}", "Task/imagesTr/a b.nii.gz": b"a" * 3_000_000}


def member(name, content=b"x", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def make_tar(path, *members, format=tarfile.GNU_FORMAT):
    with tarfile.open(path, "w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return Archive(path, "tar", "Task")


def make_zip(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return Archive(path, "zip")


def zipped(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info, b"/etc/passwd"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check_refused(archive, *words):
    """Check that extraction fails in one line and leaves no file behind."""
    folder = archive.path.parent
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(ArchiveError) as caught:
        extract(archive, folder / "set")
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "Received" in message
    assert "\n" not in message
    for word in words:
        assert word in message
    assert sorted(folder.parent.rglob("*")) == before


@pytest.fixture
def path(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / "archive"


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_the_root_folder_of_a_tar_is_removed(path, format):
    seen = []
    folders = [member(name, b"", type=tarfile.DIRTYPE) for name in ("Task", "./Task/empty/")]
    files = [member(f"./{name}", content) for name, content in FILES.items()]
    archive = make_tar(path, *folders, *files, format=format)
    count = extract(archive, path.parent / "set", on_bytes=lambda *numbers: seen.append(numbers))
    assert count == 2
    assert contents(path.parent / "set") == {
        "dataset.json": b"{}",
        "imagesTr/a b.nii.gz": b"a" * 3_000_000,
    }
    assert seen[-1] == (3_000_002, 3_000_002)


def test_a_zip_without_a_root(path):
    files = {"a b.nii": random.Random(0).randbytes(1_500_000), "ü/é.nii": b"1" * 1000}
    archive = make_zip(path, ("volume_pt1/", b""), *files.items())
    assert extract(archive, path.parent / "set") == 2
    assert contents(path.parent / "set") == files


def test_appledouble_files_are_left_out(path):
    names = ["Task/._a", "Task/._imagesTr/b", "Task/__MACOSX/c", "Task/a"]
    archive = make_tar(path, *map(member, names))
    assert extract(archive, path.parent / "set") == 1
    assert contents(path.parent / "set") == {"a": b"x"}


def test_modes_and_owners_are_not_restored(path):
    archive = make_tar(path, member("Task/a", mode=0o6777, uid=1234, gid=1234, mtime=1))
    extract(archive, path.parent / "set")
    there = (path.parent / "set" / "a").stat()
    assert not there.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)
    assert there.st_uid != 1234
    zipped_archive = make_zip(path, zipped("a", stat.S_IFREG | 0o4777))
    extract(zipped_archive, path.parent / "zipped")
    assert not (path.parent / "zipped" / "a").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


ODD_NAMES = [
    "Task/../../evil",
    "../Task/evil",
    "Task/a/..",
    "/Task/evil",
    "//Task/evil",
    "Task/..\\evil",
    "C:/Task/evil",
    "Task/a:stream",
    "Task/a\nb",
    "Task/a\x1b[31m",
    "Task/\u202egz.iin",
    "Task/" + "a" * 256,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_unsafe_names_are_refused(path, name):
    check_refused(make_tar(path, member("Task/a"), member(name)), "Expected plain names")
    check_refused(make_zip(path, ("Task/a", b"x"), (name, b"x")), "Expected plain names")


@pytest.mark.parametrize("name", ["a\0b", "a\udcff"])
def test_unsafe_names_that_only_one_kind_of_archive_can_hold(path, name):
    if "\0" in name:
        archive = make_zip(path, ("a_b", b"x"))
        path.write_bytes(path.read_bytes().replace(b"a_b", b"a\0b"))
    else:
        archive = make_tar(path, member(f"Task/{name}"))
    check_refused(archive, "Expected plain names")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (b"Z", "unknown type"),
    ],
)
@pytest.mark.parametrize("target", ["a", "/etc/passwd"])
def test_links_and_special_files_in_a_tar_are_refused(path, kind, says, target):
    strange = member("Task/b", b"", type=kind, linkname=target)
    check_refused(make_tar(path, member("Task/a"), strange), says, "'Task/b'")
    hidden = member("Task/._b", b"", type=kind, linkname=target)
    check_refused(make_tar(path, member("Task/a"), hidden), says)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (stat.S_IFLNK | 0o777, "symbolic link"),
        (stat.S_IFCHR, "device"),
        (stat.S_IFIFO, "pipe"),
        (stat.S_IFSOCK, "pipe"),
    ],
)
def test_links_and_special_files_in_a_zip_are_refused(path, mode, says):
    check_refused(make_zip(path, ("a", b"x"), zipped("b", mode)), says, "'b'")


@pytest.mark.parametrize(
    "names",
    [
        ["Task/a", "Task/a"],
        ["Task/a", "Task/./a"],
        ["Task/a.nii", "Task/A.NII"],
        ["Task/\u00e9", "Task/e\u0301"],
        ["Task/a", "Task/a/b"],
        ["Task/a/b", "Task/A"],
        ["Task"],
    ],
)
def test_duplicate_names_are_refused(path, names):
    check_refused(make_tar(path, *map(member, names)), "Expected each name once")


def test_files_outside_the_root_folder_are_refused(path):
    check_refused(make_tar(path, member("Task/a"), member("other/b")), "everything below Task/")
    check_refused(make_tar(path, member("Task/a"), member("Taskb")), "everything below Task/")


def test_a_sparse_file_is_refused(path):
    """A header of 512 bytes that states a terabyte of zeros."""
    bomb = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)}
    content = b"0\n".ljust(512, b"\0")
    strange = member("Task/bomb", content, pax_headers=bomb)
    check_refused(make_tar(path, strange, format=tarfile.PAX_FORMAT), "sparse file")


def test_a_zip_bomb_is_refused(path):
    archive = make_zip(path, ("a", bytes(20_000_000)))
    assert path.stat().st_size < 30_000
    check_refused(archive, "Expected at most")


def test_a_zip_that_states_a_wrong_size_is_refused(path):
    archive = make_zip(path, ("a", bytes(1_000_000)))
    data = path.read_bytes()
    path.write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (999).to_bytes(4, "little")))
    check_refused(archive, "Received")


def test_too_many_members_are_refused(path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    check_refused(make_tar(path, *(member(f"Task/{n}") for n in range(4))), "at most 3 members")


def test_an_archive_without_files_is_refused(path):
    check_refused(make_tar(path), "Expected files")
    check_refused(make_zip(path), "Expected files")
    check_refused(make_tar(path, member("Task", b"", type=tarfile.DIRTYPE)), "Expected files")


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("content", [b"", b"x", b"<html>" * 1000, bytes(5000), b"\x1f\x8b" * 600])
def test_a_file_that_is_not_an_archive_is_refused(path, kind, content):
    path.write_bytes(content)
    check_refused(Archive(path, kind))


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_a_truncated_archive_is_refused(path, kept):
    files = [member(f"Task/{n}", bytes(range(256)) * 400) for n in range(10)]
    for archive in (
        make_tar(path, *files),
        make_zip(path.with_name("zip"), *((info.name, data) for info, data in files)),
    ):
        size = archive.path.stat().st_size
        with open(archive.path, "r+b") as file:
            file.truncate(int(size * kept))
        check_refused(archive)


def test_a_damaged_header_is_not_mistaken_for_the_end(path):
    archive = make_tar(path, member("Task/a"), member("Task/b"))
    data = bytearray(path.read_bytes())
    data[1024 + 150] ^= 1  # in the checksum of the second header
    path.write_bytes(data)
    check_refused(archive, "Expected the end")


@pytest.mark.parametrize("kind", [b"0", b"x", b"L", b"S", b"5"])
@pytest.mark.parametrize("exponent", [33, 62, 63, 70, 86])
def test_a_header_with_an_impossible_size_is_refused(path, kind, exponent):
    header = bytearray(member("Task/b")[0].tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\x80" + (2**exponent).to_bytes(11, "big")
    header[156:157] = kind
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    path.write_bytes(bytes(header) + bytes(10240))
    check_refused(Archive(path, "tar", "Task"))


def test_damaged_contents_of_a_zip_are_refused(path):
    archive = make_zip(path, ("a", b"x" * 100), compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"x" * 100, b"y" + b"x" * 99))
    check_refused(archive, "CRC")


def test_an_encrypted_zip_is_refused(path):
    archive = make_zip(path, ("a", b"x"))
    data = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1
    path.write_bytes(data)
    check_refused(archive, "encrypted")


def test_an_unsupported_compression_is_refused(path):
    archive = make_zip(path, ("a", b"x"), compression=zipfile.ZIP_BZIP2)
    check_refused(archive, "unsupported compression")


def test_random_damage_raises_only_the_package_s_own_errors(path):
    rng = random.Random(0)
    files = [member(f"Task/{n}", bytes(700)) for n in range(3)]
    for number in range(150):
        archive = make_tar(path, *files) if number % 2 else make_zip(path, *FILES.items())
        data = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        target = path.parent / f"set{number}"
        with suppress(LiverSegError):
            extract(archive, target)
            shutil.rmtree(target)
        assert not target.exists()
    assert not list(path.parent.glob(".partial-*"))


def test_a_check_that_fails_removes_the_folder(path):
    def check(folder):
        assert (folder / "a").read_bytes() == b"x"
        raise LiverSegError("Expected b. Received a.")

    archive = make_tar(path, member("Task/a"))
    with pytest.raises(LiverSegError, match=r"^Expected b\. Received a\.$"):
        extract(archive, path.parent / "set", check)
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_reported(path):
    resource = pytest.importorskip("resource")
    archive = make_tar(path, *(member(name, content) for name, content in FILES.items()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(LiverSegError, match=r"^Expected to write .*set\. Received: File too"):
            extract(archive, path.parent / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(path.parent.iterdir()) == [path]
