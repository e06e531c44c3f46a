"""Why a network answers as it does: pictures and numbers for notebooks and papers.

===============================  ==========================================================================
question                         answer
===============================  ==========================================================================
what is a class seen by?         `grad_cam`, `heat_figure`: before and after a module; `class_heat`: every
..                               class before the classifier; `HeatStrips`: of many networks
what do the attentions let by?   `gates`, `gates_figure`
how far does it look?            `effective_receptive_field`, `field_figure`
where are its errors?            `error_by_distance`, `distance_figure`: at outlines, or inside of things
what does it fail on?            `failure_gallery`: the worst frames of a data set
which network is better here?    `compare`: the same frames under several, also ``edgeseg compare``
===============================  ==========================================================================

A network comes in as a weight's name or file, a run's folder, a `edgeseg.inference.Segmenter`, or a model that
`create_model` loaded with weights; any other model by ``Segmenter(model, mean, std)``. What comes in is left as it was.
"""

from edgeseg.explain.boundary import DistanceErrors, distance_figure, error_by_distance
from edgeseg.explain.field import ReceptiveField, effective_receptive_field, field_figure
from edgeseg.explain.frames import compare, failure_gallery
from edgeseg.explain.heat import HeatMaps, class_heat, grad_cam, heat_figure, shown_classes
from edgeseg.explain.inside import Gate, gates, gates_figure
from edgeseg.explain.strips import HeatStrips

__all__ = [
    "DistanceErrors", "Gate", "HeatMaps", "HeatStrips", "ReceptiveField", "class_heat", "compare", "distance_figure",
    "effective_receptive_field", "error_by_distance", "failure_gallery", "field_figure", "gates", "gates_figure",
    "grad_cam", "heat_figure", "shown_classes",
]  # fmt: skip
