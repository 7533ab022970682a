"""The tab that compares priors on points of the plane."""

import gradio as gr

from ..limits import BadRequest
from ..map_drawing import draw_priors
from ..prior_comparison import MAX_POINTS, MIN_POINTS, PriorComparison
from .components import percent, picture_of, seed_number, table_of
from .events import answering, on_request


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
