"""Files of a checkpoint that cannot be read or are not to be: what they are instead, and what to do about it."""

import json
from pathlib import Path
from typing import Any

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

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
DOWNLOAD_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
"""Arguments of `from_pretrained` that say where the files are."""


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


def refuse_pickled_weights(checkpoint: str | Path | None, options: dict[str, Any]) -> None:
    """
    Raise an error unless all weights of a checkpoint are safetensors. A pickle, such as `pytorch_model.bin`, can run
    any code when it is loaded.

    Args:
        checkpoint (`str` or `Path`, *optional*): Folder of a model, or its id on the Hub.
        options (`dict`): The arguments of `from_pretrained`.

    Raises:
        ValueError: `use_safetensors` is false.
        OSError: There are no safetensors, or the checkpoint names other files of weights besides.
    """
    if options.get("use_safetensors") is False:
        raise ValueError("use_safetensors must not be False: only safetensors are read, because a pickle can run code")
    if checkpoint is None:
        return
    place = {name: options[name] for name in DOWNLOAD_OPTIONS if options.get(name) is not None}

    def find(name: str) -> str | None:
        return cached_file(str(checkpoint), name, _raise_exceptions_for_missing_entries=False, **place)

    variant = f".{options['variant']}." if options.get("variant") else "."
    weights, index = (name.replace(".", variant, 1) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    named = [_json_of(find("config.json")).get("transformers_weights") or weights]
    if not find(weights):
        found = find(index)
        if not found:
            raise OSError(
                f"{checkpoint} has no {weights}, and other files of weights, such as pytorch_model.bin, are not read, "
                "because a pickle can run any code"
            )
        named += _json_of(found).get("weight_map", {}).values()
    if pickles := sorted({str(name) for name in named if not str(name).endswith((".safetensors", index))}):
        raise OSError(
            f"{checkpoint} names {', '.join(pickles)} as its weights, which are not read, because only safetensors "
            "cannot run any code"
        )


def _json_of(file: str | None) -> dict[str, Any]:
    """The object in a JSON file; empty without a file, and for a file that holds something else."""
    content = json.loads(Path(file).read_bytes()) if file else {}
    return content if isinstance(content, dict) else {}


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
