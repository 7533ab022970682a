"""A text classifier, which judges whether generated texts have the requested class."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput

from .arguments import Mask, TokenIds, checked
from .configuration_text_classifier import TextClassifierConfig
from .objective import classification_loss
from .recurrent import GRU, text_lengths
from .token_embedding import TokenEmbedding
from .weight_files import refuse_pickled_weights, refuse_unreadable_files


class TextClassifier(PreTrainedModel):
    """
    Bidirectional GRU over the tokens of a text, whose pooled states are mapped linearly to the classes.

    `AutoModelForSequenceClassification` loads it once `ldebm_hf` is imported.

    Example:

    ```python
    >>> judge = TextClassifier.from_pretrained("outputs/judge_yelp")
    >>> tokenizer = AutoTokenizer.from_pretrained("outputs/judge_yelp")
    >>> batch = tokenizer(["the food was great !", "never again ."], return_tensors="pt", padding=True)
    >>> [judge.config.id2label[label] for label in judge(**batch).logits.argmax(-1).tolist()]
    ['positive', 'negative']
    ```
    """

    config: TextClassifierConfig
    base_model_prefix = "classifier"
    main_input_name = "input_ids"

    def __init__(self, config: TextClassifierConfig):
        super().__init__(config)
        self.embedding = TokenEmbedding(config.vocab_size, config.embedding_size)
        self.rnn = GRU(config.embedding_size, config.hidden_size, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.classes = nn.Linear(2 * config.hidden_size, config.num_labels)
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """
        As in transformers. A file that is a Git LFS pointer, empty or truncated is an OSError that says so, and so are
        weights that are not safetensors.
        """
        refuse_unreadable_files(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
        refuse_pickled_weights(pretrained_model_name_or_path, kwargs)
        kwargs["use_safetensors"] = True
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    def _init_weights(self, module: nn.Module):
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.embedding_std)
        elif isinstance(module, (nn.Linear, nn.GRU)):
            module.reset_parameters()

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    @checked(input_ids=TokenIds(), attention_mask=Mask(), labels=TokenIds(("batch_size",), in_vocabulary=False))
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Texts as the tokenizer gives them,
                padded on the right. Padding is never read.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
                padding; defaults to 0 at `config.pad_token_id`.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Classes; -100 where unknown.

        Returns:
            `SequenceClassifierOutput`: `logits` `(batch_size, num_labels)` and, with `labels`, the `loss`: the
            cross-entropy, mean over the texts whose class is known.

        Raises:
            ValueError: If there is no text, a text without tokens, padding anywhere but on the right, or not one label
                for each text.
        """
        if labels is not None and len(labels) != len(input_ids):
            raise ValueError(f"labels must have shape ({len(input_ids)},), got {tuple(labels.shape)}")
        lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        if self.training and self.config.word_dropout:
            dropped = torch.rand(input_ids.shape, device=input_ids.device) < self.config.word_dropout
            input_ids = input_ids.masked_fill(dropped, self.config.unk_token_id)
        states, final = self.rnn.read(self.embedding, input_ids, lengths)
        if self.config.pooling == "final":
            pooled = torch.cat([final[0], final[1]], -1)
        else:
            pooled = pad_packed_sequence(states, batch_first=True, padding_value=-torch.inf)[0].amax(1)
        logits = self.classes(self.dropout(pooled))  # (batch_size, num_labels)
        loss = None if labels is None else classification_loss(logits, labels, "labels")
        return SequenceClassifierOutput(loss, logits)


AutoModelForSequenceClassification.register(TextClassifierConfig, TextClassifier, exist_ok=True)
# Saved folders carry the code, so that they also load where this package is not installed.
TextClassifier.register_for_auto_class("AutoModelForSequenceClassification")
