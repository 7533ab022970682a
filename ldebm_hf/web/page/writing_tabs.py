"""The tabs in which the model writes: sentences for symbols, and what is missing in a text."""

import gradio as gr

from ...model.masked_texts import Completion
from ...model.pipeline_outputs import cost_of_rejection
from .components import guidance_slider, percent, seed_number, symbol_choice, table_of, text_box
from .events import COMPLETIONS, answering, on_request, on_submission
from .shown_model import ShownModel


def writing_tab(model: ShownModel) -> None:
    requests = model.requests
    limits = requests.limits

    @answering
    def write(symbols, num_sentences, guidance_scale, temperature, min_label_probability, seed):
        options = (guidance_scale, temperature, min_label_probability, seed)
        written = requests.write(symbols, num_sentences, *options)
        rows = [[one.text, one.requested or "–", one.read or "–", percent(one.probability)] for one in written]
        requested = [one for one in written if one.requested]
        note = ""
        if requested:
            hits = sum(one.requested == one.read for one in requested)
            note = f"The model reads the requested symbol in {hits} of {len(requested)} sentences."
            note = f"{note} {cost_of_rejection(requested)}".rstrip()
        return rows, note

    with gr.Row():
        with gr.Column(min_width=280):
            symbols = symbol_choice(requests, "Symbols to write for", "None: samples of the whole prior.")
            number = gr.Slider(1, limits.sentences, 5, step=1, label="Sentences", info="For each symbol.")
            guidance = guidance_slider(requests)
            temperature = gr.Slider(
                0, limits.temperature, 0, step=0.1, label="Temperature",
                info="0: the likeliest words of each latent. Higher: more varied words.",
            )  # fmt: skip
            least = gr.Slider(
                0, 1, 0.9, step=0.05, label="Minimum probability", visible=requests.has_symbols,
                info="Resample sentences in which the model reads the symbol with less probability. 0: never.",
            )  # fmt: skip
            seed = seed_number()
            button = gr.Button("Write", variant="primary")
        with gr.Column(scale=2, min_width=320):
            table = table_of(["sentence", "requested", "model reads", "probability"], "Sentences")
            note = gr.Markdown()
    inputs = [symbols, number, guidance, temperature, least, seed]
    on_request(button.click, write, inputs, [table, note], model.endpoint("write"),
               "Sentences for symbols, or samples of the whole prior.")  # fmt: skip


def completion_tab(model: ShownModel) -> None:
    requests = model.requests

    @answering
    def complete(text, symbol, num_completions, guidance_scale, seed):
        found = requests.complete(text, symbol, num_completions, guidance_scale, seed)
        return [[shown(one), one.symbol or "–", f"{one.score:.2f}"] for one in found]

    def notes_of(text):
        return " ".join(requests.notes(text, with_masks=True))

    examples = with_gaps([*requests.examples, *(requests.map.texts if requests.map else [])])
    with gr.Row():
        with gr.Column(min_width=280):
            text = text_box(requests, "A text with gaps", examples[0])
            gr.Markdown("`<mask>` stands for one missing word, `<span>` for one to ten.")
            symbol = gr.Dropdown(
                [("any", ""), *requests.names.values()], value="", label="Symbol", visible=requests.has_symbols
            )
            number = gr.Slider(1, requests.limits.completions, 3, step=1, label="Completions")
            guidance = guidance_slider(requests)
            seed = seed_number()
            button = gr.Button("Complete", variant="primary")
        with gr.Column(scale=2, min_width=320):
            notes = gr.Markdown()
            table = table_of(["completion (*filled in*)", "model reads", "log probability"], "Completions")
    gr.Examples([[example] for example in examples], [text], cache_examples=False)
    inputs = [text, symbol, number, guidance, seed]
    on_request([button.click, text.submit], complete, inputs, [table], model.endpoint("complete"),
               "Completions of a text with <mask> (one word) and <span> (several words).",
               queue=COMPLETIONS)  # fmt: skip
    on_submission([button.click, text.submit], notes_of, [text], notes)


def shown(completion: Completion) -> str:
    """The completed text with the words that were filled in set in italics."""
    pairs = zip(completion.words, completion.is_filled, strict=True)
    return " ".join(f"*{word}*" if filled else word for word, filled in pairs)


def with_gaps(texts: list[str]) -> list[str]:
    """Up to three of the texts, each with one missing word and a missing span."""
    long = [text.split() for text in texts if len(text.split()) > 5][:3]
    return [" ".join([*words[:2], "<mask>", *words[3:-2], "<span>"]) for words in long] or ["<span>"]
