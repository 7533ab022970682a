"""The tab in which a visitor trains a small model on texts of their own."""

import html
from pathlib import Path

import gradio as gr

from ...data import load_corpus
from ..limits import BadRequest
from ..own_texts import FILE_TYPES, OwnTexts, TrainingProgress
from ..request_guard import is_uploaded
from .components import percent, seed_number, table_of
from .events import TRAININGS, answering, answering_in_steps, on_request, on_submission

NUM_EXAMPLE_TEXTS = 300


def own_texts_tab(own: OwnTexts, uploads: Path) -> None:
    limits = own.limits
    minutes = round(limits.kept_seconds / 60)

    @answering_in_steps
    def train(pasted, file, column, num_symbols):
        if file is not None:
            texts = own.of_file(uploaded_file(file, uploads), column if isinstance(column, str) else "")
        else:
            texts = own.pasted(pasted)
        for state in own.train(texts, num_symbols):
            if isinstance(state, TrainingProgress):
                yield bar(state), gr.skip(), gr.skip(), gr.skip(), gr.skip()
            else:
                used = [symbol for symbol in state.symbols if symbol.num_texts]
                rows = [[symbol.name, symbol.num_texts, " · ".join(symbol.closest)] for symbol in used]
                names = [symbol.name for symbol in used]
                kept = f"The model is kept for you for {minutes} minutes, in memory only."
                done = TrainingProgress(1, f"Done: it has learned from {len(texts):,} texts. {kept}")
                yield bar(done), rows, state, gr.Dropdown(names, value=names[0]), gr.Column(visible=True)

    @answering
    def write_own(model, symbol, num_sentences, temperature, seed):
        requests = None if model is None else model.requests
        if requests is None:
            raise BadRequest(f"There is no model of yours (any more): it is kept for {minutes} minutes.")
        written = requests.write([symbol], num_sentences, None, temperature, 0.5, seed)
        return [[one.text, one.read, percent(one.probability)] for one in written]

    def stopped():
        return bar(TrainingProgress(0, "Stopped."))

    def example_texts():
        return "\n".join(load_corpus("synthetic").train.texts[:NUM_EXAMPLE_TEXTS])

    gr.Markdown(
        f"Paste {limits.fewest_texts} to {limits.most_texts:,} short texts, or upload a small table. A small model"
        " learns from them here, in about a minute and on one processor core: enough to see how texts fall into"
        " symbols, not enough to write well. Texts, file and model are deleted afterwards."
    )
    model = gr.State(None)
    with gr.Row():
        with gr.Column(min_width=300):
            pasted = gr.Textbox(
                label="Texts, one a line", lines=8, max_lines=12, max_length=limits.pasted_characters,
                placeholder="The parcel was late again\nLogin does not work\n…",
            )  # fmt: skip
            example = gr.Button("Fill in example texts", size="sm")
            file = gr.File(
                label=f"Or a file: .csv, .tsv or .txt, at most {limits.file_bytes // 1000:,} kB",
                file_types=list(FILE_TYPES), height=170,
            )  # fmt: skip
            column = gr.Textbox("text", label="Column with the texts", max_lines=1, max_length=100)
            number = gr.Slider(2, limits.symbols, 4, step=1, label="Symbols", info="Groups that the texts fall into.")
            with gr.Row():
                button = gr.Button("Train", variant="primary")
                stop = gr.Button("Stop")
        with gr.Column(scale=2, min_width=320):
            progress = gr.HTML(bar(TrainingProgress(0, "No training yet.")))
            table = table_of(["symbol", "texts", "closest texts"], "Symbols of your texts", texts_last=True)
            with gr.Column(visible=False) as writing:
                with gr.Row():
                    symbol = gr.Dropdown([], label="Write for")
                    sentences = gr.Slider(1, 20, 5, step=1, label="Sentences")
                    temperature = gr.Slider(0, 2, 0.7, step=0.1, label="Temperature")
                seed = seed_number()
                write = gr.Button("Write for this symbol")
                written = table_of(["sentence", "model reads", "probability"], "Sentences")
    outputs = [progress, table, model, symbol, writing]
    training = on_request(button.click, train, [pasted, file, column, number], outputs, queue=TRAININGS,
                          borrows_gpu=False)  # fmt: skip
    cancelled = stop.click(None, cancels=[training], api_visibility="private")
    cancelled.then(stopped, None, progress, api_visibility="private")
    on_request(write.click, write_own, [model, symbol, sentences, temperature, seed], [written],
               borrows_gpu=False)  # fmt: skip
    on_submission(example.click, example_texts, None, pasted)


def uploaded_file(file: object, uploads: Path) -> Path:
    """The path of an uploaded file. Anything else that a request may send is refused."""
    if not is_uploaded(file, uploads) or not Path(file["path"]).is_file():
        raise BadRequest("The file has not arrived, or was deleted after some minutes. Please upload it again.")
    return Path(file["path"])


def bar(progress: TrainingProgress) -> str:
    """A bar and a sentence. The sentence has no text of the visitor."""
    return (
        f'<progress style="width: 100%" max="1" value="{progress.share:.3f}" aria-label="Training"></progress>'
        f'<p role="status">{html.escape(progress.sentence)}</p>'
    )
