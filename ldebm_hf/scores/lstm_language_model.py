"""The LSTM language model of reverse and forward perplexity: AWD-LSTM (Merity et al., ICLR 2018).

As in the published protocol, it reads all sentences as one stream of words in which every sentence ends with `<eos>`,
unlike the language model of this package, which reads each sentence on its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from ..files.atomic import write_file

END, UNKNOWN = "<eos>", "<unk>"
IGNORED = -100
SCORING_COLUMNS = 10
State = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class LanguageModelSettings:
    """
    Sizes and training of an LSTM language model.

    The defaults are those of the published reverse perplexities. They are those of the released AWD-LSTM, except for
    batch size, dropout of embeddings and hidden states, and number of epochs.

    Args:
        embedding_size (`int`, *optional*, defaults to 400): Width of the word embeddings and of the last layer.
        hidden_size (`int`, *optional*, defaults to 1150): Width of the other layers.
        num_layers (`int`, *optional*, defaults to 3): Number of LSTM layers.
        num_epochs (`int`, *optional*, defaults to 20): Number of epochs, of which the best on validation is kept.
        batch_size (`int`, *optional*, defaults to 20): Number of parallel segments that the stream is cut into.
        sequence_length (`int`, *optional*, defaults to 70): Mean number of words between updates, which is how far
            gradients are propagated; one sequence in twenty is half as long.
        learning_rate (`float`, *optional*, defaults to 30): Learning rate of SGD for a sequence of `sequence_length`
            words; scaled with the length of each sequence.
        max_grad_norm (`float`, *optional*, defaults to 0.25): Maximum norm of the gradient.
        weight_decay (`float`, *optional*, defaults to 1.2e-6): L2 penalty.
        averaging_patience (`int`, *optional*, defaults to 5): Weight averaging starts after the first epoch whose
            validation loss exceeds the best one of all epochs but the last `averaging_patience`.
        output_dropout (`float`, *optional*, defaults to 0.4): Dropout of the last layer's output. This and the next
            two use one mask for all words of a sequence.
        hidden_dropout (`float`, *optional*, defaults to 0.25): Dropout of the other layers' outputs.
        input_dropout (`float`, *optional*, defaults to 0.4): Dropout of the word embeddings.
        word_dropout (`float`, *optional*, defaults to 0.1): Fraction of the vocabulary whose embedding is zeroed.
        weight_dropout (`float`, *optional*, defaults to 0.5): Fraction of the recurrent weights that are zeroed.
        activation_penalty (`float`, *optional*, defaults to 2.0): Weight of the last layer's mean squared output.
        change_penalty (`float`, *optional*, defaults to 1.0): Weight of the mean square of its change between words.

    Raises:
        ValueError: A value is not a number, or is out of its range.
    """

    embedding_size: int = 400
    hidden_size: int = 1150
    num_layers: int = 3
    num_epochs: int = 20
    batch_size: int = 20
    sequence_length: int = 70
    learning_rate: float = 30.0
    max_grad_norm: float = 0.25
    weight_decay: float = 1.2e-6
    averaging_patience: int = 5
    output_dropout: float = 0.4
    hidden_dropout: float = 0.25
    input_dropout: float = 0.4
    word_dropout: float = 0.1
    weight_dropout: float = 0.5
    activation_penalty: float = 2.0
    change_penalty: float = 1.0

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if field.name.endswith("_dropout"):
                fits, allowed = is_number and 0 <= value < 1, "a number in [0, 1)"
            elif field.name.endswith(("_penalty", "_decay")):
                fits, allowed = is_number and value >= 0, "a number of at least 0"
            elif field.type == "int":
                fits, allowed = is_number and isinstance(value, int) and value >= 1, "an int of at least 1"
            else:
                fits, allowed = is_number and value > 0, "a number above 0"
            if not fits:
                raise ValueError(f"{field.name} must be {allowed}, got {value!r}")


class LSTMLanguageModel(nn.Module):
    """
    Predicts every next word of a stream. The output projection is tied to the word embeddings and has a bias.

    Args:
        vocabulary (`Iterable[str]`): The words. `<eos>` and `<unk>` are added; all other words count as `<unk>`.
        settings ([`LanguageModelSettings`], *optional*).
    """

    def __init__(self, vocabulary: Iterable[str], settings: LanguageModelSettings | None = None):
        super().__init__()
        self.settings = settings = settings or LanguageModelSettings()
        self.vocabulary = [END, UNKNOWN, *sorted(set(vocabulary) - {END, UNKNOWN})]
        self.places = {word: place for place, word in enumerate(self.vocabulary)}
        sizes = [settings.embedding_size, *[settings.hidden_size] * (settings.num_layers - 1), settings.embedding_size]
        self.embedding = nn.Embedding(len(self.vocabulary), settings.embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.layers = nn.ModuleList(nn.LSTM(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True))
        self.bias = nn.Parameter(torch.zeros(len(self.vocabulary)))

    def forward(
        self, tokens: torch.Tensor, state: State | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, State]:
        """
        Args:
            tokens (`torch.LongTensor` of shape `(length, batch_size)`): Words of `batch_size` segments of a stream.
            state (*optional*): State of every layer after the preceding words; zero by default.

        Returns:
            Logits of the next words `(length, batch_size, vocab_size)`; output of the last layer `(length, batch_size,
            embedding_size)`, with dropout and without; new state.
        """
        settings, states = self.settings, []
        state = state or [self._zero_state(layer, tokens.shape[1]) for layer in self.layers]
        read = self._dropout(torch.ones(len(self.vocabulary), 1, device=tokens.device), settings.word_dropout)
        hidden = self.embedding(tokens) * read[tokens]
        hidden = self._locked_dropout(hidden, settings.input_dropout)
        for number, (layer, before) in enumerate(zip(self.layers, state, strict=True), start=1):
            recurrent = self._dropout(layer.weight_hh_l0, settings.weight_dropout)
            weights = [layer.weight_ih_l0, recurrent, layer.bias_ih_l0, layer.bias_hh_l0]
            plain, *after = torch.lstm(hidden, before, weights, True, 1, 0.0, self.training, False, False)
            is_last = number == len(self.layers)
            hidden = self._locked_dropout(plain, settings.output_dropout if is_last else settings.hidden_dropout)
            states.append((after[0].detach(), after[1].detach()))
        return F.linear(hidden, self.embedding.weight, self.bias), hidden, plain, states

    def encode(self, texts: Iterable[str]) -> torch.Tensor:
        """Texts as a stream of word ids, `(n,)`, with an end token before the first text and after every text."""
        unknown = self.places[UNKNOWN]
        stream = [0]
        for text in texts:
            stream += [self.places.get(word, unknown) for word in text.split()]
            stream.append(0)
        return torch.tensor(stream)

    @torch.no_grad()
    def nats(self, stream: torch.Tensor) -> float:
        """
        Negative log-likelihood in nats, in evaluation mode, of all words of a stream ([`encode`]) but the first.

        The stream is cut into ten segments that are read in parallel, each of which starts from a zero state.
        """
        was_training, total, state = self.training, 0.0, None
        self.eval()
        inputs, targets = in_columns(stream.to(self.bias.device), SCORING_COLUMNS)
        length = self.settings.sequence_length
        for part, following in zip(inputs.split(length), targets.split(length), strict=True):
            logits, _, _, state = self(part, state)
            losses = F.cross_entropy(
                logits.flatten(0, 1).float(), following.flatten(), ignore_index=IGNORED, reduction="none"
            )
            total += losses.double().sum().item()
        self.train(was_training)
        return total

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with vocabulary, settings and weights."""
        save_tensors(Path(path), self.state_dict(), self.description)

    @property
    def description(self) -> dict[str, str]:
        """Vocabulary and settings as strings, for the metadata of a safetensors file."""
        return {"vocabulary": json.dumps(self.vocabulary[2:]), "settings": json.dumps(asdict(self.settings))}

    @classmethod
    def load(cls, path: str | Path) -> LSTMLanguageModel:
        """
        Load what [`save`] wrote, on the CPU and in evaluation mode.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no language model at {str(path)!r}")
        tensors, description = load_tensors(path)
        vocabulary, settings = (json.loads(description[name]) for name in ("vocabulary", "settings"))
        model = cls(vocabulary, LanguageModelSettings(**settings))
        model.load_state_dict(tensors)
        return model.eval()

    def _zero_state(self, layer: nn.LSTM, batch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
        zero = self.bias.new_zeros(1, batch_size, layer.hidden_size)
        return zero, zero

    def _dropout(self, values: torch.Tensor, rate: float) -> torch.Tensor:
        return F.dropout(values, rate, self.training)

    def _locked_dropout(self, values: torch.Tensor, rate: float) -> torch.Tensor:
        """Dropout with one mask for all words of a sequence (Gal and Ghahramani, 2016)."""
        return values * self._dropout(values.new_ones(1, *values.shape[1:]), rate)


def in_columns(stream: torch.Tensor, num_columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Cut a stream into segments of equal length, which become the columns of a batch.

    Returns:
        Two `torch.LongTensor`s of shape `(length, columns)`: the words, and the word that follows each of them, which
        is `IGNORED` beyond the end of the stream. There are `num_columns` columns, or one per word if those are fewer.
    """
    num_targets = len(stream) - 1
    num_columns = min(num_columns, num_targets)
    length = -(-num_targets // num_columns)
    padding = length * num_columns - num_targets
    inputs = F.pad(stream[:-1], (0, padding))
    targets = F.pad(stream[1:], (0, padding), value=IGNORED)
    return inputs.view(num_columns, length).T, targets.view(num_columns, length).T


def distinct_words(*corpora: Sequence[str]) -> set[str]:
    """The set of all words in one or more sets of texts."""
    return {word for texts in corpora for text in texts for word in text.split()}


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], description: dict[str, str]) -> None:
    """Write a safetensors file with metadata, either completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_file(path, lambda temporary: save_file(tensors, temporary, metadata=description))


def load_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file, on the CPU, and its metadata."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
