"""Manifests: every byte of every file counts."""

import pytest

from ldebm_hf.files.manifest import describe_file, problem_of, read_manifest, write_manifest

BLOCK = 1 << 20


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK + 4])
def test_a_changed_byte_is_found_anywhere_in_a_long_file(tmp_path, place):
    """Files are read in blocks of a mebibyte."""
    content = bytearray(2 * BLOCK + 5)
    (tmp_path / "weights").write_bytes(content)
    write_manifest(tmp_path, step=3)
    assert problem_of(tmp_path) is None and read_manifest(tmp_path)["step"] == 3
    content[place] ^= 1
    (tmp_path / "weights").write_bytes(content)
    assert problem_of(tmp_path) == "weights is not as it was written"


def test_checksum_is_the_usual_crc32(tmp_path):
    (tmp_path / "check").write_bytes(b"123456789")
    assert describe_file(tmp_path / "check") == {"size": 9, "crc32": 0xCBF43926}
