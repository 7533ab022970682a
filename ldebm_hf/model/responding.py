"""Responses in a dialogue, from the turns so far as strings or chat messages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from .arguments import DECODING, MOST_STEPS, SAMPLING, Tokenizer, checked, is_sequence
from .dialogue_turns import ROLE_MARKERS, context_of, encode_contexts, marked, role_of, without_marker
from .rejection import require_one_text_per_row
from .sampling import expand_to_samples
from .text_reading import TextReader, decode_words, require_unicode
from .validation import Choice, Count, Flag, shown

MAX_NGRAM_ORDER = 4
"""The longest n-grams that `consensus` compares."""


@checked(
    **SAMPLING,
    **DECODING,
    tokenizer=Tokenizer(),
    one_per_symbol=Flag(),
    num_candidates=Count(at_most=MOST_STEPS),
    role=Choice(*ROLE_MARKERS),
)
def respond(
    model,
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
    generator: torch.Generator | int | None = None,
    **generation_kwargs: Any,
) -> list[str] | dict[str, str]:
    """
    Possible next turns of a dialogue: latents are drawn from the prior given the turns so far and decoded, greedily by
    default.

    ```python
    >>> model.respond(["Where are you going?", "To the supermarket."], tokenizer)
    ["what do you want to buy ?"]
    >>> model.respond(turns, tokenizer, one_per_symbol=True)
    {"question": "what do you want to buy ?", "inform": "i will go with you ."}
    ```

    Args:
        turns (`Sequence[str]`): The turns so far, the oldest first: strings, or chat messages
            `{"role": "user", "content": "…"}` whose content is a string or a list of text parts. The model reads the
            last `config.context_turns` of them, where the beginning of the dialogue counts as a turn. Without any
            turn the response opens the dialogue.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer. Each turn is truncated to its maximum length. A
            warning counts truncated turns and words that the tokenizer does not know.
        class_labels (*optional*): Symbol of each response, by id or name, as in [`generate`].
        one_per_symbol (`bool`, *optional*, defaults to `False`): Write one response for each symbol instead.
        num_samples (`int`, *optional*): Number of responses; defaults to the number of `class_labels`, else to 1.
        num_candidates (`int`, *optional*, defaults to 1): For each response, write this many candidates, each from its
            own latent, and return the one most similar to the others ([`~ldebm_hf.model.responding.consensus`]).
        role (`str`, *optional*): Role of the responder, `"user"` or `"assistant"`; defaults to the one who did not
            speak last. Only for models with `config.speaker_markers="all"`. Turns without a role, and without the
            marker `<usr>` or `<sys>` at their beginning, are taken to alternate, the first one being the user's.
        guidance_scale, num_langevin_steps, generator, generation_kwargs: As in [`generate`].

    Returns:
        `list[str]`: the responses; with `one_per_symbol` a `dict` from each symbol's name to its response.

    Raises:
        ValueError: For a model without contexts or in training mode; for a turn that is empty or not a string; for an
            unknown role or symbol; for `one_per_symbol` together with `class_labels` or `num_samples`; for
            `num_candidates` below 1; for `num_return_sequences`, `return_dict_in_generate` and `streamer`.
    """
    config = model.config
    if not config.context_size:
        raise ValueError("respond needs a model with contexts, got one with context_size=0")
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    if one_per_symbol:
        if class_labels is not None or num_samples is not None:
            raise ValueError("one_per_symbol=True takes neither class_labels nor num_samples")
        class_labels = torch.arange(config.num_labels)
    require_one_text_per_row("respond", generation_kwargs.get("generation_config"), generation_kwargs)
    symbols = None if class_labels is None else model.symbol_ids(class_labels)
    num_responses, rows = expand_to_samples(num_samples, class_labels=symbols)
    labels = {name: values.repeat_interleave(num_candidates) for name, values in rows.items()}
    num_texts = num_responses * num_candidates
    read_turns, last_role = _read_turns(turns)
    if config.speaker_markers == "none":
        texts = [text for _, text in read_turns]
    else:
        texts = [marked(text, speaker) for speaker, text in read_turns]
    reader = TextReader(tokenizer, config)
    context = encode_contexts([context_of(texts, config.context_turns)], tokenizer, model.device, reader=reader)
    reader.warn()
    if config.speaker_markers == "all":
        if role is None:
            role = "assistant" if last_role == "user" else "user"
        start = [config.decoder_start_token_id, tokenizer.convert_tokens_to_ids(ROLE_MARKERS[role])]
        generation_kwargs["decoder_input_ids"] = torch.tensor([start] * num_texts, device=model.device)
    elif role is not None:
        raise ValueError(f"role needs a model whose responses have speaker markers, got {role!r}")
    token_ids = model.generate(
        **context,
        **labels,
        num_samples=num_texts,
        guidance_scale=guidance_scale,
        num_langevin_steps=num_langevin_steps,
        generator=generator,
        **generation_kwargs,
    )
    candidates = [without_marker(text) for text in tokenizer.batch_decode(token_ids, skip_special_tokens=True)]
    words = [without_marker(text) for text in decode_words(tokenizer, token_ids)]
    responses = [candidates[index] for index in consensus(words, num_candidates)]
    if one_per_symbol:
        return {config.id2label[symbol]: response for symbol, response in enumerate(responses)}
    return responses


def consensus(candidates: Sequence[str], num_candidates: int) -> list[int]:
    """
    From every `num_candidates` texts choose the one with the largest mean similarity to the others (minimum Bayes risk
    decoding; Kumar and Byrne, NAACL 2004). Similarity is the F-measure of n-grams of one to four words. Among texts
    that are equally similar to the others, as two texts always are, the first is chosen.

    Args:
        candidates (`Sequence[str]`): Groups of `num_candidates` texts, one group after the other.
        num_candidates (`int`): Size of each group.

    Returns:
        `list[int]`: the index among `candidates` of the text chosen from each group.

    Raises:
        ValueError: If `num_candidates` is below 1 or does not divide the number of texts.
    """
    if num_candidates < 1 or len(candidates) % num_candidates:
        expected = f"at least 1 and a divisor of the number of texts, {len(candidates)}"
        raise ValueError(f"num_candidates must be {expected}, got {num_candidates}")
    chosen = []
    for start in range(0, len(candidates), num_candidates):
        ngrams = [_ngrams(text.split()) for text in candidates[start : start + num_candidates]]
        similarity = [sum(_f_measure(own, other) for other in ngrams) for own in ngrams]
        chosen.append(start + similarity.index(max(similarity)))
    return chosen


def _ngrams(words: list[str]) -> Counter[tuple[str, ...]]:
    orders = range(1, MAX_NGRAM_ORDER + 1)
    return Counter(tuple(words[start : start + n]) for n in orders for start in range(len(words) - n + 1))


def _f_measure(first: Counter, second: Counter) -> float:
    """2 |A ∩ B| / (|A| + |B|) of multisets; 1 if both are empty."""
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0


def _read_turns(turns: Sequence[str | Mapping[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """
    Role and text of every turn, and the role of the last one. Without any turn the last role is the assistant's, so
    that the user begins.
    """
    if not is_sequence(turns):
        raise ValueError(f"turns must be a list of strings or messages, got {shown(turns)}")
    read, role = [], "assistant"
    for place, turn in enumerate(turns):
        role = "assistant" if role == "user" else "user"
        if isinstance(turn, Mapping):
            role, turn = _read_message(turn, place)
        elif isinstance(turn, str):
            role = role_of(turn) or role
        if not isinstance(turn, str):
            raise ValueError(f"turns[{place}] must be a string, got {shown(turn)}")
        require_unicode(f"turns[{place}]", [turn])
        text = " ".join(without_marker(turn).split())
        if not text:
            raise ValueError(f"turns[{place}] must contain a word, got {turn!r}")
        read.append((role, text))
    return read, role


def _read_message(message: Mapping[str, Any], place: int) -> tuple[str, Any]:
    """Role and content of a chat message; a content that is a list of text parts is joined."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in ROLE_MARKERS or content is None:
        roles = " or ".join(map(repr, ROLE_MARKERS))
        raise ValueError(f"turns[{place}] must have a role, {roles}, and content, got {dict(message)!r}")
    if isinstance(content, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content
    ):
        content = " ".join(part["text"] for part in content)
    return role, content
