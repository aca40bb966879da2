"""Models that run inside the exporter: from an estimator to a file that ``martlet --plugin model:file=NAME.model`` takes.

``compile_model`` makes two files of a fitted ensemble of trees: ``NAME.model``, a manifest in JSON, and ``NAME.so``, the object
that computes the scores. ``features`` makes of a table of flows the very numbers that the exporter makes of its records, so
that a model is trained on what it will see. ``Model`` runs a compiled model on a table.

Features are expressions of fields, by the short names of CSV's columns (``martlet --csv-names short``)::

    octetDeltaCount                          a number
    packetLength[3]                          an entry of a list, from 0
    flowEndMicroseconds, packetTime[2]       a time: microseconds since the flow's first packet
    count(packetLength)                      how many entries a list has
    log1p(octetDeltaCount) / duration        + - * /, log1p, sqrt, abs, min, max, clip(x, low, high)

What a flow does not have, and what is no finite number, is missing: NaN, or the number that the model has for it.

Needs numpy; ``compile_model`` needs treelite and a C compiler, too.
"""

from __future__ import annotations

from ._errors import ModelError
from ._models.compilation import compile_model
from ._models.expressions import features
from ._models.fields import FLOAT32 as FLOAT32
from ._models.forest import INTERFACE as INTERFACE
from ._models.object import FORMAT_VERSION as FORMAT_VERSION
from ._models.object import Model

__all__ = ["Model", "ModelError", "compile_model", "features"]
