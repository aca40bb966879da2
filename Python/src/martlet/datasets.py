"""Flows as a data set of PyTorch, made while the captures are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from ._captures import Captures, expand
from ._columns import Booleans
from ._errors import InvalidOption
from ._flows import flows
from .arrays import sequences


class FlowDataset(IterableDataset):  # type: ignore[misc]
    """A ``torch.utils.data.IterableDataset`` of flows' first packets.

    Each item is a dictionary: ``values`` (float32, 4 by length: sizes, gaps in milliseconds, directions, flags), ``mask``
    (bool, length), and ``label`` where there is one. Workers of a ``DataLoader`` share the captures among them.

    :param captures: as in ``martlet.flows``, but no octets
    :param length: packets of a flow
    :param label: a function that is given a record batch and returns a number for each of its rows; rows with a negative one
        are left out
    :param options: as in ``martlet.flows``; plugin pstats is added where it was not chosen
    """

    def __init__(
        self,
        captures: Captures,
        length: int = 30,
        label: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if options.get("schema") is not None:
            raise InvalidOption("FlowDataset makes sequences of martlet's own columns: leave schema out")
        self.captures = expand(captures)  # type: ignore[arg-type]
        self.length = length
        self.label = label
        self.options = {"progress": False, **options}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        mine, options = self.captures, dict(self.options)
        if worker is not None:
            mine = mine[worker.id::worker.num_workers]
            options["threads"] = 1
        if not mine:
            return
        records = flows(mine, **options)
        for batch in records.with_packets(self.length):
            found = sequences(batch, self.length)
            labels: Any = None
            kept: Booleans = np.ones(batch.num_rows, np.bool_)
            if self.label is not None:
                labels = np.asarray(self.label(batch))
                kept = labels >= 0
            values, mask = torch.from_numpy(found.values), torch.from_numpy(found.mask)
            for row in np.flatnonzero(kept):
                item = {"values": values[row], "mask": mask[row]}
                if labels is not None:
                    item["label"] = torch.tensor(labels[row])
                yield item
