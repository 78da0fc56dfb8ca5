"""Keras' descriptions of networks, cleaned: the one check of what a stranger's network may hold. Plain."""

from costmodel.descriptions.cleaning import MAX_LAYERS, Cleaned, clean
from costmodel.descriptions.place import Place, shown
from costmodel.descriptions.saved_names import numbered

__all__ = ["MAX_LAYERS", "Cleaned", "Place", "clean", "numbered", "shown"]
