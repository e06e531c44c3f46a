"""Why a network answers as it does: pictures and numbers for notebooks and papers.

`grad_cam` and `heat_figure` show what a class is seen by, before and after a module; `gates` every attention's
factors; `compare` one frame under several networks; `failure_gallery` what a network fails on worst. Networks come in
as `edgeseg.inference.load_segmenter` takes them, and are left as they were.
"""

from edgeseg.explain.frames import compare, failure_gallery
from edgeseg.explain.heat import HeatMaps, grad_cam, heat_figure
from edgeseg.explain.inside import Gate, gates, gates_figure

__all__ = ["Gate", "HeatMaps", "compare", "failure_gallery", "gates", "gates_figure", "grad_cam", "heat_figure"]
