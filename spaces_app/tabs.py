"""The tabs of the page: their inputs, and how the answers to requests are shown."""

import functools
import html
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
from gradio.events import Dependency

from ldebm_hf.data import load_corpus
from ldebm_hf.model.masked_texts import Completion
from ldebm_hf.web.answers import NearbyText
from ldebm_hf.web.limits import BadRequest
from ldebm_hf.web.map_drawing import MapPictures, draw_priors, place_of_pixel
from ldebm_hf.web.own_texts import FILE_TYPES, OwnTexts, TrainingProgress
from ldebm_hf.web.page_requests import MOST_AT_ONCE, PageRequests
from ldebm_hf.web.prior_comparison import MAX_POINTS, MIN_POINTS, PriorComparison
from ldebm_hf.web.request_guard import is_uploaded

try:
    import spaces

    on_gpu = spaces.GPU(duration=60)  # ZeroGPU lends one for each request
except ImportError:

    def on_gpu(function: Callable) -> Callable:
        return function


INTERNAL_ERROR = "Something went wrong on our side. The error has been logged; please try something else."
TABLE_HEIGHT = 900  # pixels, enough for two symbols at all levels without scrolling
ANSWERS, COMPLETIONS, TRAININGS = "answers", "completions", "trainings"
AT_ONCE = {ANSWERS: MOST_AT_ONCE, COMPLETIONS: 1, TRAININGS: 4}
"""The requests of each queue that are taken up at the same time."""
NUM_EXAMPLE_TEXTS = 300
SEED_HELP = "The same seed gives the same answer; change it for another one."


def writing_tab(requests: PageRequests) -> None:
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
    on_request(button.click, write, inputs, [table, note], "write",
               "Sentences for symbols, or samples of the whole prior.")  # fmt: skip


def reading_tab(requests: PageRequests, pictures: MapPictures) -> None:
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
    on_request([button.click, text.submit], read, [text], [symbols, copy, neighbours, picture, notes], "read",
               "Symbol probabilities of a text, its reconstruction, nearest texts, map, notes.")  # fmt: skip


def map_tab(requests: PageRequests, pictures: MapPictures) -> None:
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
    on_request(decode.click, decode_at, [x, y], outputs, "decode_at",
               "The text decoded from the latent at a place of the map.")  # fmt: skip
    on_request(picture.select, decode_click, None, [x, y, *outputs])
    on_request(interpolation.click, interpolate, [first, second, steps], [table, picture], "interpolate",
               "Texts on the straight line between the latents of two texts.")  # fmt: skip
    on_submission(interpolation.click, notes_of_ends, [first, second], notes)


def diffusion_tab(requests: PageRequests, pictures: MapPictures) -> None:
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
               "reverse_diffusion", "Latents from noise to data, and one of each symbol decoded at each level."
               )  # fmt: skip


def completion_tab(requests: PageRequests) -> None:
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
    on_request([button.click, text.submit], complete, inputs, [table], "complete",
               "Completions of a text with <mask> (one word) and <span> (several words).",
               queue=COMPLETIONS)  # fmt: skip
    on_submission([button.click, text.submit], notes_of, [text], notes)


def priors_tab(comparisons: dict[str, PriorComparison]) -> None:
    @answering
    def compare_priors(data, num_points, seed):
        if not isinstance(data, str) or data not in comparisons:
            raise BadRequest(f"The data must be one of {', '.join(comparisons)}.")
        draws = comparisons[data].draw(num_points, seed)
        rows = [
            [one.title, f"{one.modes_covered} of {one.num_modes}", percent(one.off_mode), f"{one.energy_distance:.3f}"]
            for one in draws
        ]
        return draw_priors(comparisons[data].true_points(int(num_points), int(seed)), draws), rows

    gr.Markdown(
        "These models of points in the plane differ only in the prior of their latents. A prior that fits poorly draws"
        " points between the modes of the data."
    )
    with gr.Row():
        data = gr.Dropdown(list(comparisons), value=next(iter(comparisons)), label="Data")
        number = gr.Slider(MIN_POINTS, MAX_POINTS, 1000, step=100, label="Points per model")
        seed = seed_number()
    button = gr.Button("Draw", variant="primary")
    picture = picture_of("Samples", "True points, and samples of each prior", show_label=False)
    headers = ["prior", "modes covered", "points off all modes", "energy distance"]
    table = table_of(headers, "How close the samples are to as many true points (smaller distances are better)")
    on_request(button.click, compare_priors, [data, number, seed], [picture, table], "compare_priors",
               "Samples of models of points that differ in their priors.")  # fmt: skip


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


@contextmanager
def worded_errors(name: str) -> Iterator[None]:
    """Show a [`BadRequest`] to the visitor, and for any other error a message without details, which are logged."""
    try:
        yield
    except gr.Error:
        raise
    except BadRequest as error:
        raise gr.Error(str(error), title="Please check your input", print_exception=False) from None
    except Exception:
        logging.getLogger(__name__).exception("%s failed", name)
        raise gr.Error(INTERNAL_ERROR, print_exception=False) from None


def answering(function: Callable) -> Callable:
    """A function whose errors are worded for the visitor, see [`worded_errors`]."""

    @functools.wraps(function)
    def answer(*arguments, **named):
        with worded_errors(function.__name__):
            return function(*arguments, **named)

    return answer


def answering_in_steps(function: Callable) -> Callable:
    """The same for a function that yields answers, one after the other."""

    @functools.wraps(function)
    def answer(*arguments, **named):
        with worded_errors(function.__name__):
            yield from function(*arguments, **named)

    return answer


def on_request(
    event,
    function: Callable,
    inputs,
    outputs,
    name: str | None = None,
    description: str = "",
    queue: str = ANSWERS,
    borrows_gpu: bool = True,
) -> Dependency:
    """
    Call a function on an event, or on several. Requests of all visitors wait in one of the queues, so that those that
    take a moment do not wait for those that take seconds; what they need of the model [`PageRequests`] computes for
    several of them together. With a name it is also an API endpoint. It gets the inputs as they come and checks them
    itself, so that wrong types are answered by a sentence. Functions of a visitor's own model, which is on the CPU,
    borrow no GPU: it would answer in another process, and the model cannot be sent there.
    """
    return gr.on(
        event if isinstance(event, list) else [event],
        on_gpu(function) if borrows_gpu else function,
        inputs,
        outputs,
        api_name=name,
        api_description=description or False,
        api_visibility="public" if name else "private",
        preprocess=False,
        concurrency_limit=AT_ONCE[queue],
        show_progress="hidden" if queue == TRAININGS else "full",  # a training shows its own
        concurrency_id=queue,
    )


def on_submission(event, function: Callable, inputs, output) -> None:
    """
    Call a function that computes nothing with the model, such as one that says what is not read of a text, beside the
    request of the same event.
    """
    gr.on(
        event if isinstance(event, list) else [event],
        function,
        inputs,
        output,
        api_visibility="private",
        preprocess=False,
    )


def symbol_choice(requests: PageRequests, label: str, info: str, value: list[str] | None = None) -> gr.Dropdown:
    names = list(requests.names.values())
    return gr.Dropdown(
        names,
        value=names[:2] if value is None else value,
        multiselect=True,
        max_choices=requests.limits.symbols,
        label=label,
        info=info,
        visible=requests.has_symbols,
    )


def guidance_slider(requests: PageRequests) -> gr.Slider:
    return gr.Slider(
        0,
        requests.limits.guidance_scale,
        requests.default_guidance,
        step=0.5,
        label="Guidance",
        info="How strictly to follow the symbol.",
        visible=requests.has_symbols and requests.has_levels,
    )


def seed_number() -> gr.Number:
    return gr.Number(0, label="Seed", info=SEED_HELP, precision=0, minimum=0)


def text_box(requests: PageRequests, label: str, value: str) -> gr.Textbox:
    return gr.Textbox(value, label=label, lines=2, max_lines=6, max_length=requests.limits.characters)


def picture_of(label: str, alternative: str, **options) -> gr.Image:
    buttons = ["download", "fullscreen"]
    return gr.Image(format="png", label=label, alt_text=alternative, interactive=False, buttons=buttons, **options)


def table_of(headers: list[str], label: str, texts_last: bool = False) -> gr.Dataframe:
    """A table whose first, or last, column holds texts; on a narrow screen the others are reached by scrolling."""
    others = 45 // (len(headers) - 1)
    widths = ["55%", *[f"{others}%"] * (len(headers) - 1)]
    if texts_last:
        widths.reverse()
    options = {"interactive": False, "wrap": True, "max_height": TABLE_HEIGHT}
    return gr.Dataframe(headers=headers, column_widths=widths, label=label, **options)


def neighbour_table() -> gr.Dataframe:
    return table_of(["text", "symbol", "distance"], "Texts whose latents are nearest")


def near(nearby: list[NearbyText]) -> list[list[str]]:
    return [[one.text, one.symbol or "–", f"{one.distance:.2f}"] for one in nearby]


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def shown(completion: Completion) -> str:
    """The completed text with the words that were filled in set in italics."""
    pairs = zip(completion.words, completion.is_filled, strict=True)
    return " ".join(f"*{word}*" if filled else word for word, filled in pairs)


def with_gaps(texts: list[str]) -> list[str]:
    """Up to three of the texts, each with one missing word and a missing span."""
    long = [text.split() for text in texts if len(text.split()) > 5][:3]
    return [" ".join([*words[:2], "<mask>", *words[3:-2], "<span>"]) for words in long] or ["<span>"]
