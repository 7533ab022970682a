"""Answers in a dialogue, from the turns as plain strings to the responses as such."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from .consensus import consensus
from .dialogue_turns import ROLE_MARKERS, context_of, encode_contexts, marked, role_of, without_marker
from .generation import for_each_row, require_plain_writing
from .text_reading import decode_words


class LDEBMResponseMixin:
    """`respond` for a model with contexts, `generate` and `symbol_ids`."""

    def respond(
        self,
        turns: Sequence[str | Mapping[str, str]],
        tokenizer: PreTrainedTokenizerBase,
        *,
        class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
        one_per_symbol: bool = False,
        num_samples: int | None = None,
        num_candidates: int = 1,
        role: str | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        **generation_kwargs: Any,
    ) -> list[str] | dict[str, str]:
        """
        What could be said next in a dialogue: a latent from the prior in its context, decoded greedily by default.

        ```python
        >>> model.respond(["Where are you going?", "To the supermarket."], tokenizer)
        ["what do you want to buy ?"]
        >>> model.respond(turns, tokenizer, one_per_symbol=True)
        {"question": "what do you want to buy ?", "inform": "i will go with you ."}
        ```

        Args:
            turns (`Sequence[str]`): What was said, the oldest first; or messages of a chat,
                `{"role": "user", "content": "…"}`, the content a string or text parts. The last `config.context_turns`
                are read, where the beginning counts as one before the first; without any turn a response opens the
                dialogue.
            tokenizer (`PreTrainedTokenizerBase`): The model's. Turns are cut to its length.
            class_labels (*optional*): Symbol per response, by id or name, as in [`generate`].
            one_per_symbol (`bool`, *optional*, defaults to `False`): A response for each symbol instead.
            num_samples (`int`, *optional*): Number of responses; defaults to one per entry of `class_labels`, else 1.
            num_candidates (`int`, *optional*, defaults to 1): Write so many for each response, from as many latents,
                and take the one most like the others ([`~ldebm_hf.model.consensus.consensus`]).
            role (`str`, *optional*): Who answers, `"user"` or `"assistant"`; defaults to who did not speak last. Only
                for models with `config.speaker_markers`. Turns without a role, or the marker `<usr>` or `<sys>` at
                their beginning, are by both in turn, the first by the user.
            guidance_scale, num_langevin_steps, generator, generation_kwargs: As in [`generate`].

        Returns:
            `list[str]`: the responses; with `one_per_symbol` a `dict` of one for each symbol's name.

        Raises:
            ValueError: For a model without contexts or in training mode; for a turn that is empty or no string, and an
                unknown role or symbol; for both `class_labels` or `num_samples` and `one_per_symbol`; for
                `num_candidates` below 1; for `num_return_sequences`, `return_dict_in_generate` and `streamer`.
        """
        config = self.config
        if not config.context_size:
            raise ValueError("respond needs a model with contexts, got one with context_size=0")
        if self.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        if one_per_symbol:
            if class_labels is not None or num_samples is not None:
                raise ValueError("one_per_symbol=True takes neither class_labels nor num_samples")
            class_labels = list(range(config.num_labels))
        if num_candidates < 1:
            raise ValueError(f"num_candidates must be at least 1, got {num_candidates}")
        require_plain_writing("respond", generation_kwargs.get("generation_config"), generation_kwargs)
        symbols = None if class_labels is None else self.symbol_ids(class_labels)
        number, of_rows = for_each_row(num_samples, class_labels=symbols)
        symbols = {name: rows.repeat_interleave(num_candidates) for name, rows in of_rows.items()}
        number *= num_candidates
        if role is not None and role not in ROLE_MARKERS:
            raise ValueError(f"role must be one of {', '.join(ROLE_MARKERS)}, got {role!r}")
        said, last = _read_turns(turns)
        if config.speaker_markers == "none":
            said = [text for _, text in said]
        else:
            said = [marked(text, speaker) for speaker, text in said]
        context = encode_contexts([context_of(said, config.context_turns)], tokenizer, self.device)
        if config.speaker_markers == "all":
            role = role or ("assistant" if last == "user" else "user")
            start = [config.decoder_start_token_id, tokenizer.convert_tokens_to_ids(ROLE_MARKERS[role])]
            generation_kwargs["decoder_input_ids"] = torch.tensor([start] * number, device=self.device)
        elif role is not None:
            raise ValueError(f"role needs a model whose responses have speaker markers, got {role!r}")
        ids = self.generate(
            **context,
            **symbols,
            num_samples=number,
            guidance_scale=guidance_scale,
            num_langevin_steps=num_langevin_steps,
            generator=generator,
            **generation_kwargs,
        )
        written = [without_marker(text) for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
        words = [without_marker(text) for text in decode_words(tokenizer, ids)]
        responses = [written[i] for i in consensus(words, num_candidates)]
        if one_per_symbol:
            return {config.id2label[symbol]: response for symbol, response in enumerate(responses)}
        return responses


def _read_turns(turns: Sequence[str | Mapping[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """Role and text of every turn, and the last one's role (of no turn: the assistant's, so that the user begins)."""
    if isinstance(turns, str | Mapping) or not isinstance(turns, Iterable):
        raise ValueError(f"turns must be a list of strings or messages, got {turns!r}")
    read, role = [], "assistant"
    for place, turn in enumerate(turns):
        role = "assistant" if role == "user" else "user"
        if isinstance(turn, Mapping):
            role, turn = _read_message(turn, place)
        elif isinstance(turn, str):
            role = role_of(turn) or role
        if not isinstance(turn, str):
            raise ValueError(f"turns[{place}] must be a string, got {turn!r}")
        text = " ".join(without_marker(turn).split())
        if not text:
            raise ValueError(f"turns[{place}] must hold a word, got {turn!r}")
        read.append((role, text))
    return read, role


def _read_message(message: Mapping[str, Any], place: int) -> tuple[str, Any]:
    """Role and content of a chat's message; parts of text, as chats with several kinds of parts have them, joined."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ROLE_MARKERS or content is None:
        roles = " or ".join(map(repr, ROLE_MARKERS))
        raise ValueError(f"turns[{place}] must have a role, {roles}, and content, got {dict(message)!r}")
    if isinstance(content, list) and all(isinstance(part, Mapping) and "text" in part for part in content):
        content = " ".join(part["text"] for part in content)
    return role, content
