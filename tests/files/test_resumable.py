"""Files made in chunks: their parts, their noise, and what is said when something is in the way."""

import errno

import pytest
import torch
from tiny_models import tiny_model

from ldebm_hf.files import resumable
from ldebm_hf.files.resumable import ResumableFile, chunk_generator, differences, model_digest


def joined(file: ResumableFile):
    target = file.folder / "joined"
    target.write_text("".join(file[chunk].read_text() for chunk in range(file.num_chunks)))
    return target


def test_parts_become_the_file_and_disappear(tmp_path):
    file = ResumableFile(tmp_path / "data.txt", 3)
    file.begin({"seed": 0})
    file.add(2, "c")
    file.add(0, "a")
    assert file.missing == [1]
    again = ResumableFile(tmp_path / "data.txt", 3)
    again.begin({"seed": 0})
    again.add(1, "b")
    again.finish(lambda: joined(again))
    assert (tmp_path / "data.txt").read_text() == "abc"
    assert list(tmp_path.iterdir()) == [tmp_path / "data.txt"]


def test_another_request_is_refused_unless_nothing_is_finished_or_it_may_overwrite(tmp_path):
    file = ResumableFile(tmp_path / "data.txt", 2)
    file.begin({"seed": 0})
    file.begin({"seed": 1})
    file.add(0, "a")
    with pytest.raises(ValueError, match="seed was 1 and is now 2"):
        file.begin({"seed": 2})
    file.begin({"seed": 2}, overwrite=True)
    assert file.missing == [0, 1]


@pytest.mark.parametrize("content", ["[]", '{"seed": ', "3", "\x00"])
def test_a_request_that_cannot_be_read_is_named_and_its_chunks_are_kept(tmp_path, content):
    file = ResumableFile(tmp_path / "data.txt", 2)
    file.begin({"seed": 0})
    file.add(0, "a")
    file.request.write_text(content)
    with pytest.raises(ValueError, match="not finished: its request.json cannot be read. The earlier"):
        file.begin({"seed": 0})
    assert file[0].exists()
    file.begin({"seed": 0}, overwrite=True)
    assert file.missing == [0, 1]


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_chunk_with_a_flipped_bit_is_made_again(tmp_path):
    file = ResumableFile(tmp_path / "data.txt", 3)
    file.begin({"seed": 0})
    for chunk, text in enumerate("abc"):
        file.add(chunk, text)
    flip_a_bit(file[1])
    with pytest.raises(OSError, match="1 of 3 chunks .* not as they were written, the first is part-00000001.jsonl"):
        file.finish(lambda: joined(file))
    assert not file.path.exists()
    again = ResumableFile(tmp_path / "data.txt", 3)
    again.begin({"seed": 0})
    assert again.missing == [1]
    again.add(1, "b")
    again.finish(lambda: joined(again))
    assert file.path.read_text() == "abc"


@pytest.mark.parametrize("damage", ['{"part-00000001.jsonl": {"si', "[]\n", "\xff\xfe\n", None])
def test_checksums_that_are_lost_cost_chunks_not_the_request(tmp_path, damage):
    file = ResumableFile(tmp_path / "data.txt", 2)
    file.begin({"seed": 0})
    file.add(0, "a")
    if damage is None:
        file.checksums.unlink()
    else:
        with file.checksums.open("a", encoding="latin-1") as stream:
            stream.write(damage)
    again = ResumableFile(tmp_path / "data.txt", 2)
    again.begin({"seed": 0})
    assert again.missing == ([0, 1] if damage is None else [1])
    for chunk in again.missing:
        again.add(chunk, "ab"[chunk])
    assert again.missing == []
    again.finish(lambda: joined(again))
    assert file.path.read_text() == "ab"


def test_a_full_disk_is_reported_with_what_is_finished(tmp_path, monkeypatch):
    def no_space(path, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    file = ResumableFile(tmp_path / "data.txt", 2)
    file.begin({})
    file.add(0, "a")
    monkeypatch.setattr(resumable, "write_text", no_space)
    with pytest.raises(OSError, match="No space left on device. 1 of 2 chunks are finished and stay in"):
        file.add(1, "b")


def test_noise_belongs_to_seed_and_chunk():
    draws = {pair: torch.rand(3, generator=chunk_generator(*pair)) for pair in ((0, 0), (0, 1), (1, 0))}
    assert torch.equal(draws[0, 1], torch.rand(3, generator=chunk_generator(0, 1)))
    assert not torch.equal(draws[0, 0], draws[0, 1]) and not torch.equal(draws[0, 1], draws[1, 0])


def test_digest_follows_parameters_and_settings():
    model, other = tiny_model("vae"), tiny_model("vae")
    assert model_digest(model) == model_digest(other)
    other.config.point_std = 0.5
    assert model_digest(model) != model_digest(other)
    with torch.no_grad():
        model.decoder.embedding.weight[0, 0] += 1
    assert model_digest(model) != model_digest(tiny_model("vae"))


def test_differences_are_named_in_order():
    assert differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == [
        "a was 1 and is now None",
        "b was 2 and is now 3",
        "c was None and is now 4",
    ]
