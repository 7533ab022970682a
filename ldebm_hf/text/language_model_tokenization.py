"""The tokenizer of a pretrained language model in the form that the models here read: `<s> tokens </s>`."""

from tokenizers import AddedToken, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast


def build_language_model_tokenizer(
    name_or_path: str, revision: str | None = None, *, max_length: int = 64, trust_remote_code: bool = False
) -> PreTrainedTokenizerFast:
    """
    The tokenizer of a language model, with marks around a text and padding on the right.

    The tokens keep their ids. A text becomes begin mark, tokens, end mark. The end mark is the language model's own;
    a begin mark or a padding token that it lacks, or that is the same as its end mark, is added behind the vocabulary.
    A text in which a mark is written, such as "a <s> b", has the tokens of these letters and not the mark.

    Args:
        name_or_path (`str`): The id of a language model on the Hub, or a folder.
        revision (`str`, *optional*): Its branch, tag or commit.
        max_length (`int`, *optional*, defaults to 64): `model_max_length` in tokens, with the marks.
        trust_remote_code (`bool`, *optional*, defaults to `False`): Whether code of its repository may be run, for a
            tokenizer that needs it.

    Raises:
        ValueError: If the language model has no end mark or no fast tokenizer, or for a `max_length` below 3.
        OSError: If there is no such tokenizer, or it cannot be downloaded.
    """
    if max_length < 3:
        raise ValueError(f"max_length must be at least 3 (begin mark, one token, end mark), got {max_length}")
    try:
        original = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise OSError(f"the tokenizer of decoder_name_or_path={name_or_path!r} cannot be loaded: {error}") from error
    if not original.is_fast:
        raise ValueError(f"decoder_name_or_path={name_or_path!r} must have a fast tokenizer (tokenizer.json)")
    if original.eos_token is None:
        raise ValueError(f"decoder_name_or_path={name_or_path!r} must have an end mark, and its tokenizer has none")
    end, begin, padding = original.eos_token, original.bos_token, original.pad_token
    if begin is None or begin == end:
        begin = "<s>"
    backend = original.backend_tokenizer
    if padding in (None, begin, end) and getattr(backend.model, "byte_fallback", False):
        padding = original.unk_token  # which stands in no text, because unknown characters become bytes
    if padding in (None, begin, end):
        padding = "<pad>"
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (begin, end, padding)])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(token, backend.token_to_id(token)) for token in (begin, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=begin,
        eos_token=end,
        pad_token=padding,
        model_max_length=max_length,
        padding_side="right",
        truncation_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )
