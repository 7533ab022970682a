"""A checkpoint as the page shows it."""

from __future__ import annotations

from functools import cached_property

from ..map_drawing import MapPictures
from ..page_requests import PageRequests


class ShownModel:
    """
    What the tabs of a checkpoint are made of.

    Args:
        title (`str`): What the page calls the checkpoint.
        requests ([`PageRequests`]): The requests to it.
        number (`int`, *optional*, defaults to 1): Its place among the checkpoints of the page.
    """

    def __init__(self, title: str, requests: PageRequests, number: int = 1):
        self.title, self.requests, self.number = title, requests, number

    @cached_property
    def pictures(self) -> MapPictures | None:
        """The pictures of its map; `None` without a map."""
        return MapPictures(self.requests.map, self.requests.names) if self.requests.map else None

    @property
    def address(self) -> str:
        """The part of the page's address that leads to it, for all but the first checkpoint."""
        return f"model_{self.number}"

    def endpoint(self, name: str) -> str:
        """The name of an endpoint: `write` of the first checkpoint, `write_2` of the second."""
        return name if self.number == 1 else f"{name}_{self.number}"
