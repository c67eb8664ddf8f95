"""Raw files of the three competitions, drawn: real layout, names and sizes, invented pictures.

They make the whole pipeline run, and learn something, on a machine that has no data yet.
"""

from darkroom.competitions.sample.banknotes import draw_banknotes
from darkroom.competitions.sample.carvana import draw_carvana
from darkroom.competitions.sample.celeba import draw_celeba

__all__ = ["draw_banknotes", "draw_carvana", "draw_celeba"]
