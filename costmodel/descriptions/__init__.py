"""Keras' descriptions of networks, cleaned: the one check of what a stranger's network may hold. Plain."""

from costmodel.descriptions.cleaning import MAX_LAYERS, Cleaned, clean
from costmodel.descriptions.place import Place, shown

__all__ = ["MAX_LAYERS", "Cleaned", "Place", "clean", "shown"]
