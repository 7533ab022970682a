"""Inputs and outputs that several tabs have, and how values are written in them."""

import gradio as gr

from ..answers import NearbyText
from ..page_requests import PageRequests

TABLE_HEIGHT = 900  # pixels, enough for two symbols at all levels without scrolling
SEED_HELP = "The same seed gives the same answer; change it for another one."


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
