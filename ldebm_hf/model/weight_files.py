"""Files of a checkpoint that cannot be read: what they are instead, and what to do about it."""

import json
from pathlib import Path

GIT_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""How the small text file begins that Git keeps in the place of a large file."""
NEEDED_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "encoder_tokenizer.json",
    "encoder_tokenizer_config.json",
    "*.safetensors",
)
"""The files of a checkpoint that are looked at, if they exist."""


def refuse_unreadable_files(checkpoint: str | Path | None, subfolder: str = "") -> None:
    """
    Raise an OSError if a file of a checkpoint is a Git LFS pointer, empty or truncated.

    Args:
        checkpoint (`str` or `Path`, *optional*): Folder of a model, with its tokenizer or without. Anything else, such
            as an id on the Hub, whose files are checked when they are downloaded, is left to the loader.
        subfolder (`str`, *optional*): Folder in it that holds the model.
    """
    if checkpoint is None:
        return
    for pattern in NEEDED_FILES:
        for file in sorted(Path(checkpoint, subfolder).glob(pattern)):
            if problem := problem_of(file):
                raise OSError(f"{file} {problem}")


def problem_of(file: Path) -> str | None:
    """What is wrong with a file of a checkpoint and what to do, to follow its name; `None` if nothing is found."""
    with file.open("rb") as stream:
        beginning = stream.read(len(GIT_LFS_POINTER))
    if beginning == GIT_LFS_POINTER:
        return (
            "is a Git LFS pointer, which stands for the file but is not the file itself: run `git lfs pull` in its "
            "repository (after `git lfs install`), or download the file again"
        )
    if not beginning:
        return "is empty: copy or download it again"
    if file.suffix == ".json":
        ends_like_json = file.read_bytes().rstrip().endswith(b"}")
        return None if ends_like_json else "is truncated or not JSON: copy or download it again"
    size, expected = file.stat().st_size, _size_by_header(file)
    if expected is None:
        return "does not begin like a file of weights, or is truncated: copy or download it again"
    if size < expected:
        return f"is truncated, with {size:,} of {expected:,} bytes: copy or download it again"
    if size > expected:
        return f"is damaged, with {size:,} bytes instead of {expected:,}: copy or download it again"
    return None


def _size_by_header(file: Path) -> int | None:
    """Number of bytes that a safetensors file must have by its header; `None` if the header cannot be read."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > file.stat().st_size:
            return None
        header = stream.read(length)
    try:
        tensors = {name: tensor for name, tensor in json.loads(header).items() if name != "__metadata__"}
        ends = [tensor["data_offsets"][1] for tensor in tensors.values()]
    except (AttributeError, ValueError, KeyError, TypeError):
        return None
    return 8 + length + max(ends, default=0)
