"""transformers' common tests of models and configurations, for every prior of texts, for documents and points, and for
models with a pretrained encoder, a pretrained decoder, or both.

Overrides, each with its reason, are the class attributes and methods of [`Suite`] and of the classes below.
"""

import inspect
import unittest

import torch
from suites import import_suite
from tiny_base_models import bert, gpt2, llama, pretrained_settings, word_tokenizer
from tiny_models import TINY_SIZES

from ldebm_hf import PRESETS, LDEBMConfig, LDEBMModel

common = import_suite("test_modeling_common")
configuration = import_suite("test_configuration_common")


class Inputs:
    """What the suites ask for a small configuration and inputs."""

    batch_size = 3
    seq_length = 7
    is_training = True

    def __init__(self, parent, preset="consistent", **settings):
        self.parent, self.preset, self.settings = parent, preset, settings

    def get_config(self) -> LDEBMConfig:
        sizes = {**TINY_SIZES, "vocab_size": 99, "id2label": {i: str(i) for i in range(4)}, "point_hidden_size": 8}
        return LDEBMConfig.from_preset(self.preset, **{**sizes, "document_hidden_size": 8, **self.settings})

    def differences(self) -> dict:
        """Settings that make the configuration, without names of symbols, whose number the suite varies."""
        settings = {**PRESETS[self.preset], **self.settings, "latent_size": 7, "vocab_size": 50}
        return {name: value for name, value in settings.items() if value is not None}  # which would be filled in

    def prepare_config_and_inputs_for_common(self):
        config = self.get_config()
        generator = torch.Generator().manual_seed(0)
        if config.modality == "point":
            return config, {"points": torch.randn(self.batch_size, config.point_size, generator=generator)}
        ids = torch.randint(4, config.vocab_size, (self.batch_size, self.seq_length), generator=generator)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if config.context_size:
            inputs["context_input_ids"] = ids.view(self.batch_size, 1, self.seq_length)
        return config, inputs


class SeededNoise(LDEBMModel):
    """
    The model with the same noise at every call. The suites compare two calls of a model in evaluation mode, which is
    deterministic in theirs; here the forward pass draws latents, also in evaluation.
    """

    def forward(self, *args, **kwargs):
        kwargs.setdefault("generator", torch.Generator().manual_seed(0))
        return super().forward(*args, **kwargs)

    forward.__signature__ = inspect.signature(LDEBMModel.forward)


class Suite(common.ModelTesterMixin):
    """The common suite with what a test file of a new recurrent model would state."""

    preset, settings = "consistent", {}
    all_model_classes = (SeededNoise,)
    is_encoder_decoder = True
    has_attentions = False  # recurrent networks
    test_torch_exportable = False  # lengths of texts are read from the mask, which cannot be exported
    test_can_init_all_missing_weights_before_2023 = True  # the file has no year of copyright; run the test

    def setUp(self):
        self.model_tester = Inputs(self, self.preset, **self.settings)

    def test_config(self):
        """The suite of configurations."""
        tester = configuration.ConfigTester(
            self,
            config_class=LDEBMConfig,
            common_properties=["num_labels"],  # layers and heads of attention are for transformers
            **self.model_tester.differences(),
        )
        tester.run_common_tests()

    def test_batching_equivalence(self, *args, **kwargs):
        self.skipTest("the noise of a text depends on the size of its batch")

    def test_generation_tester_mixin_inheritance(self):
        self.skipTest("the suite of generation is not part of the source distribution")

    def test_hidden_states_output(self):
        self.skipTest("a recurrent network has no layers that return hidden states: output_hidden_states is refused")

    def test_model_outputs_equivalence(self):
        self.skipTest("it asks for output_hidden_states, which is refused; for tuples see test_transformers_habits.py")

    def test_retain_grad_hidden_states_attentions(self):
        self.skipTest("output_hidden_states is refused")

    def test_model_base_model_prefix(self):
        self.skipTest("there is one class of models, which is not a head on another one")

    def test_init_weights_can_init_buffers(self):
        if self.model_tester.get_config().energy_spectral_norm and self.model_tester.get_config().prior == "diffusion":
            self.skipTest("the buffers of a spectral norm are random: the power iteration starts from them")
        super().test_init_weights_can_init_buffers()


class DiffusionTest(Suite, unittest.TestCase):
    """texts: diffusion"""


class ContextTest(Suite, unittest.TestCase):
    """texts with contexts: diffusion"""

    settings = {"context_size": 4, "context_hidden_size": 4}


class SingleLevelTest(Suite, unittest.TestCase):
    """texts: diffusion, one level"""

    preset = "svebm"


class GaussianTest(Suite, unittest.TestCase):
    """texts: gaussian"""

    preset = "vae"


class MixtureTest(Suite, unittest.TestCase):
    """texts: mixture"""

    preset = "gm_vae"


class DiscreteTest(Suite, unittest.TestCase):
    """texts: discrete"""

    preset = "di_vae"


class SemiTest(Suite, unittest.TestCase):
    """texts: semi"""

    preset = "semi_vae_i"


class NoLatentTest(Suite, unittest.TestCase):
    """texts: none"""

    preset = "rnn_lm"

    def test_torch_save_load(self):
        self.skipTest("it takes the maximum of every tensor, and a prior without a latent has an empty one")


class WithoutTokenEmbeddings(Suite):
    """Models of documents and points."""

    test_resize_embeddings = False

    def test_model_get_set_embeddings(self):
        self.skipTest("there are no token embeddings")


class DocumentSuite(WithoutTokenEmbeddings):
    settings = {"modality": "document"}


class DocumentDiffusionTest(DocumentSuite, unittest.TestCase):
    """documents: diffusion"""


class DocumentSingleLevelTest(DocumentSuite, unittest.TestCase):
    """documents: diffusion, one level"""

    preset = "svebm"


class DocumentGaussianTest(DocumentSuite, unittest.TestCase):
    """documents: gaussian"""

    preset = "vae"


class DocumentMixtureTest(DocumentSuite, unittest.TestCase):
    """documents: mixture"""

    preset = "gm_vae"


class DocumentDiscreteTest(DocumentSuite, unittest.TestCase):
    """documents: discrete"""

    preset = "di_vae"


class DocumentSemiTest(DocumentSuite, unittest.TestCase):
    """documents: semi"""

    preset = "semi_vae_i"


class PointSuite(WithoutTokenEmbeddings):
    settings = {"modality": "point"}


class PointDiffusionTest(PointSuite, unittest.TestCase):
    """points: diffusion"""


class PointSingleLevelTest(PointSuite, unittest.TestCase):
    """points: diffusion, one level"""

    preset = "svebm"


class PointGaussianTest(PointSuite, unittest.TestCase):
    """points: gaussian"""

    preset = "vae"


class PointMixtureTest(PointSuite, unittest.TestCase):
    """points: mixture"""

    preset = "gm_vae"


class PointDiscreteTest(PointSuite, unittest.TestCase):
    """points: discrete"""

    preset = "di_vae"


class PointSemiTest(PointSuite, unittest.TestCase):
    """points: semi"""

    preset = "semi_vae_i"


class PretrainedInputs(Inputs):
    """
    A small configuration with base models, whose weights are in the checkpoint: the suite's models have random weights
    that no base model has.
    """

    def __init__(self, parent, encoder=None, decoder=None):
        super().__init__(parent)
        self.encoder, self.decoder = encoder, decoder

    def differences(self) -> dict:
        settings = self.get_config().to_diff_dict()
        parts = ("encoder", "decoder", "embedding")
        return {name: value for name, value in settings.items() if name.startswith(parts)}

    def get_config(self) -> LDEBMConfig:
        bases = {name: base() for name, base in vars(self).items() if name in ("encoder", "decoder") and base}
        return LDEBMConfig(**{**pretrained_settings(**bases), **self.settings, "includes_base_models": True})


class PretrainedModel(SeededNoise):
    """The model with a tokenizer, which a pretrained encoder reads with, from the start."""

    def __init__(self, config):
        super().__init__(config)
        self.set_tokenizer(word_tokenizer())


class PretrainedSuite(Suite):
    """What does not hold for a base model that is frozen, and is a model of its own within ours."""

    all_model_classes = (PretrainedModel,)
    encoder, decoder = None, None

    def setUp(self):
        self.model_tester = PretrainedInputs(self, type(self).encoder, type(self).decoder)

    def test_can_init_all_missing_weights(self):
        self.model_tester.settings = {"decoder_lora_rank": 0}  # the base model's class does not know adapters
        super().test_can_init_all_missing_weights()

    def test_can_capture_specific_layers_hidden_states(self):
        self.skipTest("output_hidden_states is refused, though base models could record theirs")

    def test_capture_outputs_decorator(self):
        self.skipTest("output_hidden_states and output_attentions are refused, though base models could record theirs")


class PretrainedEncoderTest(PretrainedSuite, unittest.TestCase):
    """texts, pretrained encoder: diffusion"""

    encoder = bert


class PretrainedDecoderTest(PretrainedSuite, unittest.TestCase):
    """texts, pretrained decoder: diffusion"""

    decoder = gpt2
    test_resize_embeddings = False  # the vocabulary is that of the language model

    def test_can_init_all_missing_weights(self):
        self.skipTest("GPT-2 draws some weights twice, in an order that differs in a part; they are always loaded")


class PretrainedPartsTest(PretrainedSuite, unittest.TestCase):
    """texts, pretrained encoder and decoder: diffusion"""

    encoder, decoder = bert, llama
    test_resize_embeddings = False  # the vocabulary is that of the language model

    def test_tied_weights_keys(self):
        self.skipTest("the language model's own configuration says that its embeddings are not tied")
