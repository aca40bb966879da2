"""The notebook docs/examples/model.ipynb: from captures to labels in IPFIX, executed as it is committed.

Its cells run one after the other in a Python of their own. `--write` executes it in a kernel of Jupyter's, by nbclient, and
writes its outputs into the file.
"""
import json
import subprocess
import sys

import pytest

from harness import ROOT

NOTEBOOK = ROOT / "docs/examples/model.ipynb"
NEEDED = ("pandas", "sklearn", "treelite")


def cells():
    return ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.mark.skipif(not all(__import__("importlib.util").util.find_spec(name) for name in NEEDED),
                    reason=f"needs {', '.join(NEEDED)}")
def test_labels_come_back_in_ipfix():
    script = "\n".join(cells()) + "\nprint(f'{accuracy:.6f} {len(result)} {matrix.to_numpy().sum()}')\n"
    done = subprocess.run([sys.executable, "-c", script], cwd=NOTEBOOK.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    accuracy, flows, in_matrix = done.stdout.split()[-3:]
    # demo.pcap has 83 flows of these services (docs/machine-learning.md).
    assert int(flows) == int(in_matrix) == 83
    assert float(accuracy) > 0.9


def test_the_outputs_are_those_of_its_cells():
    """Somebody who reads it sees results, and of the last run: the accuracy is that of the matrix."""
    outputs = [cell["outputs"] for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert any(outputs[-1]), "execute it with --write"
    text = "".join(line for output in outputs[-1] for line in output.get("text", []))
    assert "flows, accuracy" in text


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    import nbclient
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, NOTEBOOK)
