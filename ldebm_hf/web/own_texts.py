"""A visitor's own texts: read within limits, and a small model that is trained on them while the visitor waits."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..data.data_files import open_data_file
from ..model.pipeline_ldebm import LDEBMPipeline
from ..model.text_reading import SURROGATE
from ..reports.run_record import read_metrics
from .limits import BadRequest, whole_number
from .own_training import MODEL, PLAN, TEXTS
from .page_requests import PageRequests

logger = logging.getLogger(__name__)

FILE_TYPES = (".csv", ".tsv", ".txt")
POLL_SECONDS = 1.0
FOLDERS = "ldebm_own_texts_"
"""How the names of the trainings' temporary folders begin."""
PACKAGE = Path(__file__).parents[2]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")])),
}
"""Of the process: one core, and this package, where the page has it from."""


@dataclass(frozen=True)
class OwnTextLimits:
    """
    Args:
        file_bytes (`int`): The largest file.
        columns (`int`): The most columns of a table.
        rows (`int`): The rows of a file that are read; later ones are left out.
        pasted_characters (`int`): The most characters that are pasted; a request to the page has at most 32 kB.
        fewest_texts, most_texts (`int`): Different texts that a model is trained on; of more, the first are taken.
        characters (`int`): Longer texts are cut.
        symbols (`int`): The most symbols.
        seconds (`float`): About the time of the training itself.
        most_seconds (`float`): When a training is ended, whatever it does.
        kept_seconds (`float`): When a trained model is forgotten.
    """

    file_bytes: int = 1_000_000
    columns: int = 200
    rows: int = 100_000
    pasted_characters: int = 25_000
    fewest_texts: int = 40
    most_texts: int = 3000
    characters: int = 400
    symbols: int = 12
    seconds: float = 40.0
    most_seconds: float = 240.0
    kept_seconds: float = 900.0

    @property
    def abandoned_seconds(self) -> float:
        """The age at which no training can still be using its folder."""
        return 2 * self.most_seconds + 60


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is: a share from 0 to 1, and sentences with the figures that matter."""

    share: float
    sentence: str


@dataclass(frozen=True)
class OwnSymbol:
    """A symbol of the trained model: its name, the number of the visitor's texts with it, and those closest to it."""

    name: str
    num_texts: int
    closest: list[str]


class OwnModel:
    """
    A model that was trained on a visitor's texts. It is in memory only, until it is forgotten.

    Args:
        requests ([`PageRequests`]): Requests to it; `None` once it is forgotten.
        symbols (`list[OwnSymbol]`): The symbols, the most frequent first.
    """

    def __init__(self, requests: PageRequests, symbols: list[OwnSymbol]):
        self.requests: PageRequests | None = requests
        self.symbols = symbols

    def forget(self) -> None:
        """Let go of the model and the texts, whoever still holds this object."""
        self.requests, self.symbols = None, []

    @classmethod
    def load(cls, folder: Path, texts: list[str]) -> OwnModel:
        pipe = LDEBMPipeline.from_pretrained(folder, device="cpu")
        requests = PageRequests(pipe, texts, "texts of yours")  # names the symbols by their words
        explained = pipe.explain(texts, num_samples=0, num_texts=3).symbols
        symbols = [OwnSymbol(one.name, one.num_texts, one.closest) for one in explained]
        return cls(requests, sorted(symbols, key=lambda symbol: -symbol.num_texts))


class OwnTexts:
    """
    Reads visitors' texts and trains models on them, one at a time for all visitors together.

    A training ends with the page, and removes its folder then. Folders that could not be removed, because the machine
    stopped, are removed when this is made, some minutes later, and before each training.

    Args:
        limits ([`OwnTextLimits`], *optional*): What is accepted.
    """

    def __init__(self, limits: OwnTextLimits | None = None):
        self.limits = limits or OwnTextLimits()
        self._lock = threading.Lock()
        self._running: _Training | None = None
        self._remove_abandoned_folders()
        _after(self.limits.abandoned_seconds, self._remove_abandoned_folders)  # those that were too young

    @staticmethod
    def is_possible() -> bool:
        """Whether what finds symbols without labels, faiss, is installed."""
        return importlib.util.find_spec("faiss") is not None

    def pasted(self, text: str | None) -> list[str]:
        """Texts that were pasted, one a line."""
        if text is not None and not isinstance(text, str):
            raise BadRequest(f"The texts must be lines of text, but they are {text!r:.40}.")
        text = text or ""
        if len(text) > self.limits.pasted_characters:
            most = f"At most {self.limits.pasted_characters:,} characters can be pasted, but these are {len(text):,}"
            raise BadRequest(f"{most}. Please upload them as a file.")
        return self._checked(text.splitlines())

    def of_file(self, path: Path, column: str) -> list[str]:
        """
        Texts of a file: a column of a table with a header, or the lines of a .txt file.

        The file is read row by row, and no further than to the last text that is taken.
        """
        if path.suffix.lower() not in FILE_TYPES:
            raise BadRequest(f"The file must be a {', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]} file.")
        if path.stat().st_size > self.limits.file_bytes:
            raise BadRequest(f"The file may have at most {self.limits.file_bytes:,} bytes.")
        column = column.strip() or "text"
        try:
            table = open_data_file(path, column, [])
            columns = table.columns or []
            if len(columns) > self.limits.columns:
                most = f"The table may have at most {self.limits.columns} columns"
                raise BadRequest(f"{most}, but it has {len(columns):,}.")
            if column not in columns:
                there = ", ".join(f"{name:.200}" for name in columns[:10])
                raise BadRequest(f"The file has no column “{column:.40}”; it has: {there:.200}.")
            rows = islice(table.rows([column]), self.limits.rows)
            cells = (row.get(column) for _, row in rows)
            return self._checked(cell for cell in cells if isinstance(cell, str))
        except BadRequest:
            raise
        except (ValueError, OSError) as error:
            reason = str(error).replace(str(path), path.name)
            raise BadRequest(f"The file cannot be read: {reason:.400}") from error

    def train(self, texts: list[str], num_symbols: int) -> Iterator[TrainingProgress | OwnModel]:
        """
        Train a model on texts that [`pasted`] or [`of_file`] returned.

        Yields what is shown while the visitor waits, and in the end the model, which is forgotten after
        `limits.kept_seconds`. The process and its folder are gone when this ends, also if it is closed before.

        Raises:
            BadRequest: If another training is running, or this one failed or took too long.
        """
        number = whole_number("number of symbols", num_symbols, 2, self.limits.symbols)
        with self._lock:
            if self._running is not None and self._running.is_alive():
                left = max(5, round(self._running.seconds_left()))
                raise BadRequest(f"Another training is running. Please try again in about {left} seconds.")
            self._remove_abandoned_folders()
            training = self._running = _Training(texts, number, self.limits)
        try:
            while training.is_alive():
                yield training.progress()
                time.sleep(POLL_SECONDS)
            if not training.is_done():
                raise BadRequest(training.what_went_wrong())
            yield TrainingProgress(0.95, "Reading your texts with the trained model …")
            model = OwnModel.load(training.folder / MODEL, texts)
            # The state of a page that was left stays for an hour in gradio, whatever its time to live.
            _after(self.limits.kept_seconds, model.forget)
            yield model
        finally:
            training.close()

    def close(self) -> None:
        """End the training that is running, if there is one, and remove its folder."""
        with self._lock:
            if self._running is not None:
                self._running.close()

    def _remove_abandoned_folders(self) -> None:
        for folder in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
            try:
                age = time.time() - folder.stat().st_mtime
            except OSError:  # removed by its own training meanwhile
                continue
            if age > self.limits.abandoned_seconds:
                shutil.rmtree(folder, ignore_errors=True)

    def _checked(self, lines: Iterable[str]) -> list[str]:
        texts: dict[str, None] = {}
        for line in lines:
            text = " ".join(line.split())[: self.limits.characters].strip()
            if text and not SURROGATE.search(text):
                texts[text] = None
            if len(texts) == self.limits.most_texts:
                break
        if len(texts) < self.limits.fewest_texts:
            wanted = f"At least {self.limits.fewest_texts} different texts are needed"
            raise BadRequest(f"{wanted}, one a line or in the column of a table; there are {len(texts)}.")
        return list(texts)


class _Training:
    """A process that trains a model in a temporary folder."""

    def __init__(self, texts: list[str], num_symbols: int, limits: OwnTextLimits):
        self.limits, self.num_texts = limits, len(texts)
        self.temporary = tempfile.TemporaryDirectory(prefix=FOLDERS, ignore_cleanup_errors=True)
        self.folder = Path(self.temporary.name)
        (self.folder / TEXTS).write_text("\n".join(texts) + "\n", encoding="utf-8")
        self.log = (self.folder / "log.txt").open("wb")
        command = [sys.executable, "-m", "ldebm_hf.web.own_training"]
        self.process = subprocess.Popen(
            [*command, str(self.folder), str(num_symbols), str(limits.seconds)],
            stdin=subprocess.PIPE,  # which closes when the page ends in any way, and with it the training
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
        )
        self.start = time.monotonic()
        self.was_ended = False
        self.timer = _after(limits.most_seconds, self._end)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def is_done(self) -> bool:
        return self.process.poll() == 0

    def seconds_left(self) -> float:
        """The most that it may still take; when it is on the way, what it usually does."""
        return self.limits.seconds * 1.5 - (time.monotonic() - self.start)

    def progress(self) -> TrainingProgress:
        waited = f"{time.monotonic() - self.start:.0f} s"
        plan = self.folder / PLAN
        if not plan.is_file():
            return TrainingProgress(0.05, f"Reading {self.num_texts:,} texts and finding their groups … ({waited})")
        steps = json.loads(plan.read_text("utf-8"))["steps"]
        lines = read_metrics(self.folder / MODEL, "train") if (self.folder / MODEL).is_dir() else []
        if not lines:
            return TrainingProgress(0.1, f"Starting a training of {steps:,} steps … ({waited})")
        step, values = lines[-1]["step"], lines[-1]["values"]
        figures = [f"Step {step:,} of {steps:,} ({waited})."]
        if "reconstruction_loss" in values:
            was, now = (line["values"]["reconstruction_loss"] / math.log(2) for line in (lines[0], lines[-1]))
            figures.append(f"Bits that a text still costs, given its latent: {now:.1f} (at first {was:.1f}).")
        agreement = values.get("cluster_agreement", values.get("symbol_accuracy"))
        if agreement is not None:
            figures.append(f"Symbols that agree with the groups found in the words: {agreement:.0%}.")
        return TrainingProgress(0.1 + 0.8 * step / steps, " ".join(figures))

    def what_went_wrong(self) -> str:
        if self.was_ended:
            return "The training took too long and was ended. Please try fewer texts."
        tail = (self.folder / "log.txt").read_text("utf-8", "replace")[-2000:]
        logger.error("training on a visitor's texts ended with %s: %s", self.process.returncode, tail)
        return "The model could not be trained on these texts. Are they different enough, with words that recur?"

    def close(self) -> None:
        """End the process if it is still there, and remove its folder."""
        self.timer.cancel()
        self._end()
        self.process.stdin.close()
        self.log.close()
        self.temporary.cleanup()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.was_ended = True
            self.process.kill()
            self.process.wait()


def _after(seconds: float, function: Callable[[], None]) -> threading.Timer:
    """Call a function after some seconds, unless the process ends before."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
    return timer
