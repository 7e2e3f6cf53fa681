"""Floor 1: how results are displayed: a few lines of text, a notebook cell, a figure; and the palette of all figures."""

from latentry.display.numbers import interval, number, percent
from latentry.display.shown import Described, Facts, Plottable

__all__ = ["Facts", "Plottable", "Described", "interval", "number", "percent"]
