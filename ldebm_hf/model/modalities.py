"""The registry of modalities, by the name that `LDEBMConfig.modality` takes."""

from .document_modality import DocumentModality
from .modality import Modality
from .point_modality import PointModality
from .text_modality import TextModality

MODALITIES: dict[str, type[Modality]] = {
    "text": TextModality,
    "document": DocumentModality,
    "point": PointModality,
}
