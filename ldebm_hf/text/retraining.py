"""Tokenizers that learn a new vocabulary, in the way in which their own was built."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from transformers import PreTrainedTokenizerFast

from ..model.arguments import checked
from ..model.validation import Rule, require

BUILDERS: dict[str, Callable[..., PreTrainedTokenizerFast]] = {}
"""The functions that build tokenizers, by name."""


class LDEBMTokenizer(PreTrainedTokenizerFast):
    """
    The tokenizer of a vocabulary that was counted or learned from texts. It remembers which function built it with
    which options, under `"builder"` in `tokenizer_config.json`.

    Its file `tokenizer.json` says all that a program needs to read and write texts: where this package is not
    installed, `AutoTokenizer` loads it as a plain `PreTrainedTokenizerFast`.
    """

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str] | Iterable[list[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        **kwargs,
    ) -> LDEBMTokenizer:
        """
        A tokenizer of the same kind for other texts: the function that built this one, with the same options. The
        special tokens have the same ids, as the model's configuration expects.

        Args:
            text_iterator (iterable of `str` or of `list[str]`): Texts, or batches of texts.
            vocab_size (`int`): At most so many tokens, besides those that are added behind them.
            length (`int`, *optional*): Not used, because no progress is shown.
            new_special_tokens (`list[str]`, *optional*): Special tokens to add behind the vocabulary and behind those
                that were added to this tokenizer.
            special_tokens_map (`dict[str, str]`, *optional*): Refused: the tokens of ids 0 to 3 keep their names.

        Raises:
            ValueError: For `special_tokens_map` and options of trainers of `tokenizers`, and for a tokenizer that does
                not know its builder, or names one that does not exist or does not take its options.
        """
        refused = [name for name, value in {"special_tokens_map": special_tokens_map, **kwargs}.items() if value]
        if refused:
            raise ValueError(f"train_new_from_iterator must be called without {', '.join(refused)}")
        if "builder" not in self.init_kwargs:
            raise ValueError(
                f"builder must be known for a tokenizer of the same kind: call one of {', '.join(BUILDERS)}"
            )
        build, options = _builder(self.init_kwargs["builder"])
        tokenizer = build(_texts(text_iterator), vocab_size, **options | {"max_length": self.model_max_length})
        added = [*self.extra_special_tokens, *(new_special_tokens or ())]
        if added:
            tokenizer.add_special_tokens({"extra_special_tokens": added})
        return tokenizer


def _builder(saved: Any) -> tuple[Callable[..., LDEBMTokenizer], dict[str, Any]]:
    """The function that a tokenizer was built with, and its options, from `"builder"` in `tokenizer_config.json`."""
    names_one = isinstance(saved, dict) and isinstance(saved.get("name"), str) and saved["name"] in BUILDERS
    require(names_one, "builder", saved, f"a dictionary whose name is one of {', '.join(BUILDERS)}")
    options = {name: value for name, value in saved.items() if name != "name"}
    build = BUILDERS[saved["name"]]
    allowed = [name for name in inspect.signature(build).parameters if name not in ("texts", "vocab_size")]
    unknown = [name for name in options if name not in allowed]
    require(not unknown, "builder", unknown, f"the options of {saved['name']}, {', '.join(allowed)}")
    return build, options


def _texts(batches: Iterable[str] | Iterable[list[str]]) -> Iterator[str]:
    for batch in batches:
        if isinstance(batch, str):
            yield batch
        else:
            yield from batch


def remembered(**rules: Rule) -> Callable[[Callable[..., LDEBMTokenizer]], Callable[..., LDEBMTokenizer]]:
    """
    Decorator of a function `(texts, vocab_size, **options)` that builds tokenizers: they remember the function and the
    options. Its arguments are checked as [`checked`] does, whether it is called by name or to train anew.

    Args:
        rules ([`Rule`]): What each argument must be like.
    """

    def decorate(build: Callable[..., LDEBMTokenizer]) -> Callable[..., LDEBMTokenizer]:
        signature = inspect.signature(build)

        @checked(**rules)
        @functools.wraps(build)
        def build_and_remember(*args, **kwargs) -> LDEBMTokenizer:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            for name, value in call.arguments.items():
                if isinstance(value, tuple):
                    call.arguments[name] = list(value)  # as it is read from a file
            options = {name: value for name, value in call.arguments.items() if name not in ("texts", "vocab_size")}
            tokenizer = build(*call.args, **call.kwargs)
            tokenizer.init_kwargs["builder"] = {"name": build.__name__, **options}
            return tokenizer

        BUILDERS[build.__name__] = build_and_remember
        return build_and_remember

    return decorate
