"""Vectors of texts from a frozen pretrained encoder, computed once and kept on the disk between runs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from filelock import FileLock
from huggingface_hub.constants import HF_HOME
from tqdm.auto import tqdm

from ..files.atomic import write_text
from ..model.arguments import MOST_SAMPLES, OneText, Texts, checked
from ..model.configuration_ldebm import LDEBMConfig
from ..model.pretrained_encoder import PretrainedEncoder
from ..model.validation import Count, Flag, Instance

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

logger = logging.getLogger(__name__)

CHUNK = 4096
"""Number of texts that are sorted by length, computed and written together; an interruption loses at most so many."""
VECTORS, PROGRESS = "vectors.float32", "progress.json"
FOLDER = Instance((str, Path), "the path of a folder")
COMPUTING = {"batch_size": Count(at_most=MOST_SAMPLES), "show_progress": Flag()}


def default_folder() -> Path:
    """Where vectors are kept unless a setting says otherwise: in the cache of Hugging Face, `HF_HOME`."""
    return Path(HF_HOME) / "ldebm_hf" / "encoder_features"


class FeatureCache:
    """
    Computes the vectors of texts by a frozen encoder, or reads those that were computed before.

    Vectors lie in a folder of their own for each list of texts and each encoder (its weights, layout and precision).
    They are read through a memory map, so that their number is bounded by the disk alone. A computation that was
    interrupted goes on where it stopped, and what is damaged is computed again. Of several processes one computes, and
    the others wait for it.

    Args:
        encoder ([`PretrainedEncoder`]): The frozen encoder, on the device on which it shall compute.
        folder (`str` or `Path`, *optional*): Where vectors are kept; defaults to [`default_folder`].
        batch_size (`int`, *optional*, defaults to 64): Number of texts that are computed at a time.
        show_progress (`bool`, *optional*, defaults to `True`): Show a progress bar.

    Raises:
        ValueError: If the encoder is not frozen, because its vectors would change; for `batch_size` below 1.
    """

    @checked(encoder=Instance(PretrainedEncoder, "a PretrainedEncoder"), folder=FOLDER, **COMPUTING)
    def __init__(
        self,
        encoder: PretrainedEncoder,
        folder: str | Path | None = None,
        *,
        batch_size: int = 64,
        show_progress: bool = True,
    ):
        if not encoder.is_frozen:
            raise ValueError("encoder must be frozen to have its vectors kept, and some of its weights are trained")
        self.encoder, self.batch_size, self.show_progress = encoder, batch_size, show_progress
        self.folder = default_folder() if folder is None else Path(folder)
        self._encoder_digest = _digest_of(encoder)

    @property
    def size(self) -> int:
        """Size of a vector."""
        return self.encoder.pooling.num_features

    def of_tokens(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """As [`of_texts`], for texts that are given as tokens of the model's own tokenizer."""
        texts = self.encoder.tokenizer.batch_decode([list(ids) for ids in token_ids], skip_special_tokens=True)
        return self.of_texts(texts)

    @checked(texts=Texts(or_one=False))
    def of_texts(self, texts: Sequence[str]) -> np.ndarray:
        """
        The vectors of texts, in their order.

        Args:
            texts (`Sequence[str]`): Texts as the encoder reads them.

        Returns:
            `np.ndarray` of shape `(len(texts), size)`, float32, read from the disk where it is used.

        Raises:
            OSError: If the folder cannot be written, or the disk has no room for all vectors.
            ValueError: If something among the texts is not a string of valid Unicode.
        """
        if not len(texts):
            return np.empty((0, self.size), dtype=np.float32)
        place = self.folder / self._key(texts)
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            self._compute(texts, place)
        return np.memmap(place / VECTORS, dtype=np.float32, mode="r", shape=(len(texts), self.size))

    def _key(self, texts: Sequence[str]) -> str:
        content = hashlib.sha256(self._encoder_digest.encode())
        content.update(str(self.batch_size).encode())  # the rounding of sums depends on it
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            content.update(len(encoded).to_bytes(8, "little") + encoded)
        return content.hexdigest()[:32]

    def _compute(self, texts: Sequence[str], place: Path) -> None:
        """Compute what is missing of the vectors in a folder."""
        shape = (len(texts), self.size)
        checksums = _checksums_of_whole_chunks(place, shape)
        done = min(len(checksums) * CHUNK, len(texts))
        if done == len(texts):
            return
        if not done:
            (place / PROGRESS).unlink(missing_ok=True)  # before there is a file of zeros of which it would say "done"
            _make_room(place / VECTORS, 4 * len(texts) * self.size)
        vectors = np.memmap(place / VECTORS, dtype=np.float32, mode="r+", shape=shape)
        bar = tqdm(total=len(texts), initial=done, desc="encoding", unit="text", disable=not self.show_progress)
        with bar:
            for start in range(done, len(texts), CHUNK):
                rows = np.arange(start, min(start + CHUNK, len(texts)))
                by_length = rows[np.argsort([len(texts[row]) for row in rows], kind="stable")]
                for first in range(0, len(by_length), self.batch_size):
                    batch = by_length[first : first + self.batch_size]
                    vectors[batch] = self._vectors([texts[row] for row in batch])
                    bar.update(len(batch))
                vectors.flush()
                checksums.append(zlib.crc32(vectors[rows[0] : rows[-1] + 1]))
                write_text(place / PROGRESS, json.dumps({"rows": int(rows[-1]) + 1, "checksums": checksums}))

    @torch.no_grad()
    def _vectors(self, texts: list[str]) -> np.ndarray:
        vectors = self.encoder.features(texts).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ValueError(f"the pretrained encoder's vectors are not finite, of texts such as {texts[0]!r}")
        return vectors


def kept_vectors(
    model: LDEBMModel, folder: str | Path | None = None
) -> Callable[[Sequence[Sequence[int]]], np.ndarray] | None:
    """
    What looks up the vectors of texts, given as tokens, by a model's frozen pretrained encoder, or computes and keeps
    them ([`FeatureCache`]); `None` for other models.

    Args:
        model ([`LDEBMModel`]): The model, on the device on which vectors are computed.
        folder (`str` or `Path`, *optional*): As in [`FeatureCache`].
    """
    if model.config.encoder != "pretrained" or not model.encoder.is_frozen:
        return None
    return FeatureCache(model.encoder, folder).of_tokens


@checked(
    texts=Texts(or_one=False),
    name_or_path=OneText(),
    revision=OneText(),
    cache_dir=FOLDER,
    trust_remote_code=Flag(),
    **COMPUTING,
)
def frozen_features(
    texts: Sequence[str],
    name_or_path: str,
    *,
    revision: str | None = None,
    batch_size: int = 64,
    cache_dir: str | Path | None = None,
    show_progress: bool = True,
    trust_remote_code: bool = False,
) -> np.ndarray:
    """
    The vectors of texts by a pretrained encoder, without a model; computed once, as [`FeatureCache`] says.

    Args:
        texts (`Sequence[str]`): Texts.
        name_or_path (`str`): As `encoder_name_or_path` of [`LDEBMConfig`].
        revision (`str`, *optional*): Its branch, tag or commit.
        batch_size, cache_dir (the `folder`), show_progress: As in [`FeatureCache`].
        trust_remote_code (`bool`, *optional*, defaults to `False`): As in [`LDEBMConfig`].

    Returns:
        `np.ndarray` of shape `(len(texts), size)`, float32.

    Raises:
        ValueError: As in [`FeatureCache`] and its `of_texts`.
    """
    config = LDEBMConfig(
        encoder="pretrained",
        encoder_name_or_path=name_or_path,
        encoder_revision=revision,
        trust_remote_code=trust_remote_code,
    )
    encoder = PretrainedEncoder(config)
    encoder.add_adapters()
    encoder.load_base_weights()
    encoder.eval()
    return FeatureCache(encoder, cache_dir, batch_size=batch_size, show_progress=show_progress).of_texts(texts)


def _digest_of(encoder: PretrainedEncoder) -> str:
    """
    A text that changes if the vectors of texts do: by weights, layout, architecture, precision or tokenizer of the
    encoder, or by code of its own, of which transformers writes the version into the name of the module.
    """
    settings = [encoder.config.encoder_layout, encoder.config.encoder_config, type(encoder.base).__module__]
    content = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    content.update(str(encoder.max_length).encode())
    for part in (encoder.base, encoder.pooling):
        for name, tensor in sorted(part.state_dict().items()):
            if name.startswith("pooler."):  # is not used, and is random in a base model that is saved without one
                continue
            content.update(f"{name} {tensor.dtype}".encode())
            content.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    tokenizer = json.loads(encoder.base_tokenizer.backend_tokenizer.to_str())
    tokenizer |= {"truncation": None, "padding": None}  # which are those of its last call
    content.update(json.dumps(tokenizer, sort_keys=True).encode())
    return content.hexdigest()


def _make_room(file: Path, num_bytes: int) -> None:
    """
    Make a file of zeros whose blocks are on the disk already, where the system can do that. Writing through a memory
    map into blocks for which a full disk has no room would end the process.

    Raises:
        OSError: If there is no room. The file is removed.
    """
    try:
        with open(file, "wb") as stream:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(stream.fileno(), 0, num_bytes)
            else:
                stream.truncate(num_bytes)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise OSError(
            f"the vectors of the texts need {num_bytes / 1e6:,.1f} MB in {file.parent}, which cannot be had "
            f"({error.strerror}): make room, or choose another folder by data.features_dir"
        ) from error


def _checksums_of_whole_chunks(place: Path, shape: tuple[int, int]) -> list[int]:
    """
    The checksums of the chunks of vectors, from the first on, that an earlier computation has left as they should be.

    Args:
        place (`Path`): The folder with its files.
        shape (`tuple[int, int]`): Number and size of all vectors.
    """
    try:
        checksums = json.loads((place / PROGRESS).read_text(encoding="utf-8"))["checksums"]
        vectors = np.memmap(place / VECTORS, dtype=np.float32, mode="r", shape=shape)
        is_as_written = isinstance(checksums, list) and vectors.nbytes == os.path.getsize(place / VECTORS)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        is_as_written = False
    whole = []
    if is_as_written:
        for start, expected in zip(range(0, len(vectors), CHUNK), checksums, strict=False):
            if zlib.crc32(vectors[start : start + CHUNK]) != expected:
                break
            whole.append(expected)
    if not is_as_written or len(whole) < len(checksums):
        logger.warning("vectors in %s are damaged, from text %d on, and are computed again", place, len(whole) * CHUNK)
    return whole
