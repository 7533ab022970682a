"""The model as transformers' sequence classifiers are called: its symbols are the classes."""

import torch
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast, SequenceClassifierOutput
from transformers.utils import can_return_tuple, logging

from .arguments import INPUTS, TARGETS, TokenIds, checked, without_embeddings
from .configuration_ldebm import LDEBMConfig
from .modeling_ldebm import LDEBMModel
from .outputs import RecurrentState
from .pretrained_decoder import PrefixedState
from .validation import Flag

logger = logging.get_logger(__name__)


class LDEBMForSequenceClassification(LDEBMModel):
    """
    [`LDEBMModel`] whose call returns the logits of the symbols, for `AutoModelForSequenceClassification` and
    `pipeline("text-classification")`. All else is as in [`LDEBMModel`], and both load each other's checkpoints.

    Example:

    ```python
    >>> classifier = LDEBMForSequenceClassification.from_pretrained("outputs/demo")
    >>> classifier(**tokenizer(["will it rain"], return_tensors="pt")).logits.softmax(-1)
    ```

    Raises:
        ValueError: If the prior has no symbols.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.require_symbols()

    @without_embeddings
    @can_return_tuple
    @checked(
        unless="encoder_outputs",
        **INPUTS,
        decoder_input_ids=TokenIds(TARGETS),
        use_cache=Flag(),
        output_attentions=Flag(),
        output_hidden_states=Flag(),
    )
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        past_key_values: RecurrentState | PrefixedState | None = None,
        cache: RecurrentState | PrefixedState | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput | CausalLMOutputWithPast:
        """
        Args:
            input_ids, attention_mask, context_input_ids, context_attention_mask: As in [`LDEBMModel.encode`].
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbols; -100 where unknown. With labels
                the loss is the whole objective, so that a model that learns to classify still learns to write.
            decoder_input_ids, encoder_outputs, past_key_values, cache, use_cache (*optional*): For decoding steps of
                `generate`, as in [`LDEBMModel.forward`].
            output_attentions, output_hidden_states (`bool`, *optional*): Refused if `True`, as there.
            return_dict (`bool`, *optional*): As in [`LDEBMModel.forward`].

        Returns:
            `SequenceClassifierOutput`: `logits` `(batch_size, num_symbols)`, whose softmax are the probabilities of
            [`infer_symbols`], and with `labels` the `loss` of [`LDEBMModel.forward`].
        """
        self._refuse_outputs(output_attentions=output_attentions, output_hidden_states=output_hidden_states)
        if encoder_outputs is not None:
            return super().forward(
                decoder_input_ids=decoder_input_ids,
                encoder_outputs=encoder_outputs,
                past_key_values=past_key_values,
                cache=cache,
                use_cache=use_cache,
                return_dict=True,
            )
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        context = {"context_input_ids": context_input_ids, "context_attention_mask": context_attention_mask}
        if labels is None:
            if self.training and not torch.compiler.is_compiling():
                logger.warning_once(
                    "LDEBMForSequenceClassification was called in training without labels, so that it has no loss: a "
                    "loss of its logits alone, as that of label_smoothing_factor, makes it forget how to write."
                )
            return SequenceClassifierOutput(logits=self.encode(**inputs, **context).symbol_logits)
        if input_ids is not None:
            labels = self._checked_class_labels(labels, len(input_ids), "labels")
        output = super().forward(**inputs, **context, class_labels=labels, skip_logits=True, return_dict=True)
        return SequenceClassifierOutput(loss=output.loss, logits=self.mean_symbol_logits(output))


LDEBMForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")
