"""The tokenizer in a checkpoint."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from .weight_files import refuse_unreadable_files


def load_tokenizer(checkpoint: str | Path, config: PreTrainedConfig, **hub_kwargs) -> PreTrainedTokenizerBase:
    """
    Load the tokenizer of a checkpoint whose model is already loaded.

    Args:
        checkpoint (`str` or `Path`): Folder or Hub id.
        config (`PreTrainedConfig`): The model's settings. Without them transformers would load them again, and ask
            once more whether the code of the checkpoint may be run.
        hub_kwargs: Where on the Hub, such as `revision`, as in `AutoTokenizer.from_pretrained`.

    Raises:
        OSError: A file in the folder is a Git LFS pointer, empty or truncated.
    """
    refuse_unreadable_files(checkpoint, hub_kwargs.get("subfolder") or "")
    return AutoTokenizer.from_pretrained(checkpoint, config=config, **hub_kwargs)
