"""The tabs about latents: of a text, at a place of the map, and on their way from noise to data."""

import gradio as gr

from ..map_drawing import place_of_pixel
from .components import (
    guidance_slider,
    near,
    neighbour_table,
    picture_of,
    seed_number,
    symbol_choice,
    table_of,
    text_box,
)
from .events import answering, on_request, on_submission
from .shown_model import ShownModel


def reading_tab(model: ShownModel) -> None:
    requests, pictures = model.requests, model.pictures

    @answering
    def read(text):
        found = requests.read(text)
        picture = pictures.marked(found.place)
        reading = found.reading
        return reading.probabilities, reading.reconstruction, near(found.nearby), picture, " ".join(found.notes)

    with gr.Row():
        with gr.Column(min_width=300):
            text = text_box(requests, "Your text", requests.examples[0])
            button = gr.Button("Read", variant="primary")
            notes = gr.Markdown()
            symbols = gr.Label(label="Symbols", num_top_classes=8, visible=requests.has_symbols)
            copy = gr.Textbox(label="Reconstruction from its latent", interactive=False, lines=2)
        with gr.Column(min_width=320):
            alternative = "Map of latents with the text's place"
            picture = picture_of("Its place on the map (★)", alternative, value=pictures.plain())
            neighbours = neighbour_table()
    gr.Examples([[example] for example in requests.examples], [text], cache_examples=False)
    outputs = [symbols, copy, neighbours, picture, notes]
    on_request([button.click, text.submit], read, [text], outputs, model.endpoint("read"),
               "Symbol probabilities of a text, its reconstruction, nearest texts, map, notes.")  # fmt: skip


def map_tab(model: ShownModel) -> None:
    requests, pictures = model.requests, model.pictures
    low, high = requests.map.limits

    @answering
    def decode_at(x, y):
        found = requests.decode_at(x, y)
        decoded = f"{found.text}  [{found.symbol}]" if found.symbol else found.text
        return decoded, near(found.nearby), pictures.marked(found.place)

    @answering
    def decode_click(event: gr.SelectData):
        x, y = place_of_pixel(requests.map, *event.index)
        return round(x, 3), round(y, 3), *decode_at(x, y)

    @answering
    def interpolate(first, second, num_steps):
        found = requests.interpolate(first, second, num_steps)
        rows = [[step.text, step.symbol or "–", f"{step.share:.0%}"] for step in found.steps]
        return rows, pictures.with_path(found.places)

    def notes_of_ends(first, second):
        named = {"Text A": requests.notes(first), "Text B": requests.notes(second)}
        return " ".join(f"{name}: {note}" for name, notes in named.items() for note in notes)

    with gr.Row():
        with gr.Column(min_width=320):
            alternative = "Map of latents: one point for each text, coloured by symbol"
            label = "Click anywhere to decode the latent there"
            picture = picture_of(label, alternative, value=pictures.plain(), elem_id="map")
        with gr.Column(min_width=320):
            with gr.Row():
                x = gr.Number(0, label="x", info=f"{low[0]:.2f} to {high[0]:.2f}", min_width=90)
                y = gr.Number(0, label="y", info=f"{low[1]:.2f} to {high[1]:.2f}", min_width=90)
            decode = gr.Button("Decode this place")
            decoded = gr.Textbox(label="Decoded text", interactive=False, lines=2)
            neighbours = neighbour_table()
    gr.Markdown("### From one text to another")
    with gr.Row():
        first = text_box(requests, "Text A", requests.examples[0])
        second = text_box(requests, "Text B", requests.examples[-1])
    pairs = list(zip(requests.examples, requests.examples[1:], strict=False))
    if pairs:
        gr.Examples([list(pair) for pair in pairs], [first, second], cache_examples=False)
    steps = gr.Slider(3, requests.limits.steps, 7, step=1, label="Steps")
    interpolation = gr.Button("Interpolate", variant="primary")
    notes = gr.Markdown()
    table = table_of(["sentence", "symbol", "position"], "Sentences from A to B")
    outputs = [decoded, neighbours, picture]
    on_request(decode.click, decode_at, [x, y], outputs, model.endpoint("decode_at"),
               "The text decoded from the latent at a place of the map.")  # fmt: skip
    on_request(picture.select, decode_click, None, [x, y, *outputs])
    on_request(interpolation.click, interpolate, [first, second, steps], [table, picture],
               model.endpoint("interpolate"),
               "Texts on the straight line between the latents of two texts.")  # fmt: skip
    on_submission(interpolation.click, notes_of_ends, [first, second], notes)


def diffusion_tab(model: ShownModel) -> None:
    requests, pictures = model.requests, model.pictures

    @answering
    def reverse_diffusion(symbols, num_latents, guidance_scale, seed):
        found = requests.reverse_diffusion(symbols, num_latents, guidance_scale, seed)
        names = ["–"]
        if found.symbols is not None:
            names = [requests.names[symbol] for symbol in dict.fromkeys(found.symbols.tolist())]
        last = len(found.texts) - 1
        levels = [f"{last} (noise)", *(str(last - state) for state in range(1, last + 1))]
        rows = [
            [texts[column], name, level]
            for column, name in enumerate(names)
            for texts, level in zip(found.texts, levels, strict=True)
        ]
        return pictures.reverse_diffusion(found), rows

    gr.Markdown(
        "Latents start as noise. At each level, an energy learned from the data moves them towards the latents of"
        " texts (grey: the texts of the map) and, if symbols are requested, towards those of each symbol."
    )
    with gr.Row():
        names = list(requests.names.values())
        symbols = symbol_choice(requests, "Symbols", "None: the whole prior.", names[:3])
        number = gr.Slider(1, requests.limits.latents, 20, step=1, label="Latents", info="For each symbol.")
        guidance = guidance_slider(requests)
        seed = seed_number()
    button = gr.Button("Sample latents", variant="primary")
    picture = picture_of("From noise to data", "Latents at each level of the diffusion", show_label=False)
    table = table_of(["sentence", "symbol", "level"], "One latent of each symbol, decoded at each level")
    on_request(button.click, reverse_diffusion, [symbols, number, guidance, seed], [picture, table],
               model.endpoint("reverse_diffusion"),
               "Latents from noise to data, and one of each symbol decoded at each level.")  # fmt: skip
