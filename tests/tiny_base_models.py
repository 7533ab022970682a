"""Pretrained models of real classes with random weights, small enough for tests, in folders as the Hub has them."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.text.language_model_tokenization import build_language_model_tokenizer
from ldebm_hf.training.fitted_settings import tokens_of

TEXTS = [
    "The food was great!",
    "I hate this place, and the waiter was very rude to me.",
    "We don't like the bread.",
    "great coffee",
]
HIDDEN = 8
END_OF_TEXT = "<|endoftext|>"
_places: list[TemporaryDirectory] = []


def _folder() -> Path:
    _places.append(TemporaryDirectory(prefix="tiny_base_models_"))
    return Path(_places[-1].name)


def _saved(model: nn.Module, tokenizer: PreTrainedTokenizerFast) -> Path:
    """The folder of a model whose weights are larger than at initialisation, so that its outputs differ clearly."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    folder = _folder()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@cache
def bert() -> Path:
    """An encoder with marks and lower-case pieces of words."""
    torch.manual_seed(0)
    tokenizer = _wordpiece_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=HIDDEN, num_hidden_layers=3, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=40)  # fmt: skip
    return _saved(BertModel(config), tokenizer)


@cache
def roberta() -> Path:
    """An encoder whose positions start after that of padding, and whose tokenizer says no length."""
    torch.manual_seed(1)
    tokenizer = _wordpiece_tokenizer()
    config = RobertaConfig(vocab_size=len(tokenizer), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
                           intermediate_size=16, max_position_embeddings=12, pad_token_id=1)  # fmt: skip
    return _saved(RobertaModel(config), tokenizer)


@cache
def t5() -> Path:
    """An encoder-decoder model, of which the encoder is used."""
    torch.manual_seed(2)
    tokenizer = _wordpiece_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=HIDDEN, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    return _saved(T5Model(config), tokenizer)


@cache
def sentence_bert() -> Path:
    """The encoder in the layout of sentence-transformers, with a prompt, a dense layer and a normalisation."""
    torch.manual_seed(3)
    folder = _folder()
    for file in bert().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense", "3_Normalize": "Normalize"}
    steps = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    prompts = {"prompts": {"reviews": "Review: "}, "default_prompt_name": "reviews"}
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    dense = {"in_features": 2 * HIDDEN, "out_features": 6, "bias": True,
             "activation_function": "torch.nn.modules.activation.Tanh"}  # fmt: skip
    write_json(folder / "modules.json", steps)
    write_json(folder / "config_sentence_transformers.json", prompts)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": True})
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Dense" / "config.json", dense)
    layer = nn.Linear(2 * HIDDEN, 6)
    weights = {f"linear.{name}": tensor.detach() for name, tensor in layer.named_parameters()}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    return folder


@cache
def gpt2() -> Path:
    """A language model whose begin and end marks are one token, without padding."""
    torch.manual_seed(4)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT,
                                   model_max_length=64)  # fmt: skip
    config = GPT2Config(vocab_size=len(fast), n_embd=HIDDEN, n_layer=2, n_head=2, n_positions=64,
                        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id)  # fmt: skip
    return _saved(GPT2LMHeadModel(config), fast)


@cache
def llama() -> Path:
    """A language model with grouped heads, marks of its own, and more embeddings than tokens."""
    torch.manual_seed(5)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])  # fmt: skip
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([word for text in TEXTS for word in text.split(" ")], trainer)
    saved = json.loads(tokenizer.to_str())
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["content"] in special[:3]]
    tokenizer = Tokenizer.from_str(json.dumps(saved))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    config = LlamaConfig(vocab_size=len(fast) + 5, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                         bos_token_id=1, eos_token_id=2)  # fmt: skip
    return _saved(LlamaForCausalLM(config), fast)


OWN_CODE = """
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


class OwnEncoderConfig(BertConfig):
    model_type = "own_encoder"


class OwnEncoder(BertModel):
    config_class = OwnEncoderConfig

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.last_hidden_state = -output.last_hidden_state
        return output


class OwnDecoderConfig(LlamaConfig):
    model_type = "own_decoder"


class OwnDecoder(LlamaForCausalLM):
    config_class = OwnDecoderConfig

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = -output.logits
        return output


class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""
"""The code of a repository: models like BERT and Llama that are told from these by the sign of what they return."""


def _with_own_code(original: Path, auto_class: str, model: str) -> Path:
    folder = _folder()
    for file in original.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "own_model.py").write_text(OWN_CODE, "utf-8")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["model_type"] = "own_encoder" if model == "OwnEncoder" else "own_decoder"
    config["auto_map"] = {"AutoConfig": f"own_model.{model}Config", auto_class: f"own_model.{model}"}
    write_json(folder / "config.json", config)
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    settings |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": [None, "own_model.OwnTokenizer"]}}
    write_json(folder / "tokenizer_config.json", settings)
    return folder


@cache
def own_encoder() -> Path:
    """[`bert`] in a repository with code of its own, which returns the negative of BERT's states."""
    return _with_own_code(bert(), "AutoModel", "OwnEncoder")


@cache
def own_decoder() -> Path:
    """[`llama`] in a repository with code of its own, which returns the negative of Llama's logits."""
    return _with_own_code(llama(), "AutoModelForCausalLM", "OwnDecoder")


def _wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["the", "food", "was", "great", "hate", "place", "review", *".,!:'<>"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")  # fmt: skip


def write_json(file: Path, content: object) -> None:
    """Write JSON, and make the folder that it is in."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), "utf-8")


SIZES = {
    "id2label": {0: "good", 1: "bad", 2: "neutral"},
    "embedding_size": HIDDEN,
    "encoder_hidden_size": HIDDEN,
    "decoder_hidden_size": HIDDEN,
    "latent_size": 4,
    "dropout": 0.0,
    "energy_hidden_size": 16,
    "energy_num_blocks": 2,
    "langevin_steps": 3,
}


@cache
def word_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, for models with a recurrent decoder."""
    return build_tokenizer(TEXTS, max_length=20)


@cache
def language_model_tokenizer(folder: Path, trust_remote_code: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer for models with a language model as decoder."""
    return build_language_model_tokenizer(str(folder), max_length=32, trust_remote_code=trust_remote_code)


def pretrained_settings(
    encoder: Path | None = None, decoder: Path | None = None, trust_remote_code: bool = False
) -> dict:
    """Settings of a small model with these base models and a tokenizer that fits."""
    tokenizer = word_tokenizer() if decoder is None else language_model_tokenizer(decoder, trust_remote_code)
    settings = SIZES | tokens_of(tokenizer)
    if encoder is not None:
        settings |= {"encoder": "pretrained", "encoder_name_or_path": str(encoder)}
    if decoder is not None:
        settings |= {"decoder": "pretrained", "decoder_name_or_path": str(decoder), "decoder_lora_rank": 2}
    if trust_remote_code:
        settings["trust_remote_code"] = True
    return settings


def pretrained_model(
    encoder: Path | None = None,
    decoder: Path | None = None,
    preset: str = "consistent",
    trust_remote_code: bool = False,
    **settings,
) -> tuple[LDEBMModel, PreTrainedTokenizerFast]:
    """A model in evaluation mode with the weights of these base models, and its tokenizer."""
    torch.manual_seed(6)
    config = LDEBMConfig.from_preset(preset, **pretrained_settings(encoder, decoder, trust_remote_code) | settings)
    model = LDEBMModel(config).eval()
    model.load_base_models()
    tokenizer = word_tokenizer() if decoder is None else language_model_tokenizer(decoder, trust_remote_code)
    model.set_tokenizer(tokenizer)
    return model, tokenizer


def base_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a base model as it is in the folder."""
    return AutoTokenizer.from_pretrained(folder)
