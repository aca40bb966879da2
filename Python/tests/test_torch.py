"""The data set of PyTorch: the same packets as sequences(), shared among workers."""

import numpy as np
import pytest

import martlet
from conftest import CAPTURES

torch = pytest.importorskip("torch", reason="torch is not installed: FlowDataset is not tested")

PATHS = [CAPTURES / name for name in ("tls13.pcap", "dns.pcap", "http.pcap")]


def test_items():
    expected = martlet.flows(PATHS, threads=1).sequences(20)
    items = list(martlet.FlowDataset(PATHS, 20, threads=1))
    assert len(items) == len(expected.mask)
    assert np.array_equal(np.stack([item["values"].numpy() for item in items]), expected.values)
    assert np.array_equal(np.stack([item["mask"].numpy() for item in items]), expected.mask)
    assert items[0]["values"].dtype == torch.float32 and items[0]["mask"].dtype == torch.bool


def test_labels():
    def service(batch):
        ports = batch.column("destinationTransportPort").to_numpy()
        return np.select([ports == 53, ports == 80], [0, 1], -1)
    labels = [int(item["label"]) for item in martlet.FlowDataset(PATHS, label=service)]
    assert set(labels) == {0, 1} and 0 < len(labels) < len(list(martlet.FlowDataset(PATHS)))


@pytest.mark.filterwarnings("ignore:This DataLoader")  # of more workers than CPUs
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_a_loader_sees_each_flow_once(workers):
    loader = torch.utils.data.DataLoader(martlet.FlowDataset(PATHS, 10), batch_size=7, num_workers=workers)
    values = np.concatenate([batch["values"].numpy() for batch in loader])
    expected = martlet.flows(PATHS, threads=1).sequences(10).values
    assert sorted(map(bytes, values)) == sorted(map(bytes, expected))


def test_a_schema_has_no_sequences():
    with pytest.raises(ValueError, match="leave schema out"):
        martlet.FlowDataset(PATHS, schema="datazoo")
