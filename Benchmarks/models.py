#!/usr/bin/env python3
"""What a model costs for each flow: its object alone beside tl2cgen's code, and in the exporter.

    Benchmarks/models.py [--martlet BIN] [--rounds N] [--json FILE]

Two models over 60 features, trained on noise, as hard to predict for a processor as can be: a boosted binary one of 100
trees of depth 6 (XGBoost), and a forest of 100 trees of depth 8 with three classes (scikit-learn). The object that
`martlet.compile_model` makes of each, on rows of such noise, and in turns with it the code that tl2cgen makes of the same
model, as it is and with all that tl2cgen offers (branches annotated by how often these rows take them, thresholds quantised),
called in a loop in C; without tl2cgen (pip install tl2cgen) a line says so. Then a capture of flows of three packets with
pstats, with and without the boosted model, and the difference for each flow. Figures are of processor time, the least of N
rounds. Needs numpy, treelite, xgboost, scikit-learn and a C compiler.
"""
import argparse
import ctypes
import json
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Python/src"))

import numpy  # noqa: E402
import sklearn.ensemble  # noqa: E402
import treelite  # noqa: E402
import xgboost  # noqa: E402

import martlet.models as models  # noqa: E402

try:
    import tl2cgen
except ImportError:
    tl2cgen = None

FEATURES = [f"packetLength[{index}]" for index in range(30)] + [f"packetTime[{index}]" for index in range(30)]
FLOWS = 100_000


#: How tl2cgen is asked for its code.
WAYS = ("tl2cgen", "tl2cgen, annotated and quantised")


def noise(rows):
    """Rows of features, and for each a class of two and one of three."""
    chance = numpy.random.default_rng(1)
    inputs = chance.normal(size=(rows, len(FEATURES))).astype(numpy.float32)
    weights = chance.normal(size=len(FEATURES))
    sums = inputs @ weights + 3 * inputs[:, 0] * inputs[:, 1] + chance.normal(size=rows)
    return inputs, (sums > 0).astype(int), numpy.digitize(sums, numpy.quantile(sums, [1 / 3, 2 / 3]))


def estimators():
    """Each model with the rows that it is measured on, and as treelite has it."""
    inputs, two, three = noise(20_000)
    boosted = xgboost.XGBClassifier(n_estimators=100, max_depth=6, tree_method="hist").fit(inputs, two)
    forest = sklearn.ensemble.RandomForestClassifier(100, max_depth=8, random_state=1).fit(inputs, three)
    return inputs, {
        "boosted": (boosted, treelite.frontend.from_xgboost(boosted.get_booster())),
        "forest": (forest, treelite.sklearn.import_model(forest))}


def object_alone(path, inputs):
    """A call that scores all rows by the object."""
    model, rows = models.Model(path), inputs.astype(numpy.float64)
    return lambda: model.run(rows)


def tl2cgen_code(model, inputs, folder, has_hints):
    """A call that scores all rows by tl2cgen's code."""
    folder.mkdir()
    options = {}
    if has_hints:
        tl2cgen.annotate_branch(model, tl2cgen.DMatrix(inputs), path=folder / "branches.json", verbose=False)
        options = {"annotate_in": str(folder / "branches.json"), "quantize": 1}
    tl2cgen.generate_c_code(model, dirpath=str(folder), params=options)
    code = "".join(path.read_text() for path in sorted(folder.glob("*.[ch]")))
    found = re.search(r"void predict\(union Entry\* data, int pred_margin, (\w+)\* result\)", code)
    value, outputs = found[1], int(model.get_header_accessor().get_field("num_class")[0])
    loop = folder / "loop.c"
    loop.write_text(
        f'#include "header.h"\nvoid loop(const float *x, {value} *s, long rows) {{ for (long i = 0; i < rows; i++) {{\n'
        f"  union Entry e[{len(FEATURES)}];\n"
        f"  for (int k = 0; k < {len(FEATURES)}; k++) e[k].fvalue = x[i * {len(FEATURES)} + k];\n"
        f"  predict(e, 0, s + i * {outputs}); }} }}\n")
    subprocess.run(
        ["cc", "-O3", "-shared", "-fPIC", "-o", f"{folder}/tl.so", *map(str, sorted(folder.glob("*.c"))), "-lm"], check=True)
    library = ctypes.CDLL(f"{folder}/tl.so")
    scores = numpy.zeros((len(inputs), outputs), dtype={"float": numpy.float32, "double": numpy.float64}[value])

    def call():
        library.loop(inputs.ctypes.data_as(ctypes.c_void_p), scores.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(inputs)))
        return scores
    return call


def compare(calls, rows, rounds):
    """Microseconds for a row of each call, which take turns.

    All of them must say the same, but for a row in a thousand: quantised thresholds are rounded, and one of 20 000 rows is on the
    other side of one.
    """
    best = dict.fromkeys(calls, float("inf"))
    said = {name: call() for name, call in calls.items()}
    for name, scores in said.items():
        differing = numpy.abs(scores - next(iter(said.values()))).max(axis=1) > 1e-5
        assert differing.mean() < 1e-3, (name, differing.sum())
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            best[name] = min(best[name], time.process_time() - begin)
    return {name: value / rows * 1e6 for name, value in best.items()}


def capture(path):
    """Flows of three UDP packets whose lengths are any."""
    chance = numpy.random.default_rng(2)
    lengths = chance.integers(1, 1200, size=(FLOWS, 3))
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 101))
        for number in range(FLOWS):
            for packet in range(3):
                length = 28 + int(lengths[number, packet])
                header = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0, 64, 17, 0) + struct.pack(
                    ">II", 0x0A000000 + number, 0x0B000001) + struct.pack(">HHHH", 4000, 5000, length - 20, 0)
                kept = min(length, 96)
                seconds, microseconds = divmod(number * 3 + packet, 1_000_000)
                file.write(struct.pack("<IIII", 1_700_000_000 + seconds, microseconds, kept, length))
                file.write(header.ljust(kept, b"\0"))


def seconds(martlet, path, *options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [martlet, "--plugins", "pstats", *options, "--flows", str(2 * FLOWS), "--stats", "600", "--pcap", path, "--export",
         "ipfix:/dev/null"], check=True, capture_output=True, text=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    made = re.search(r"flows made\s+(\d+)", done.stderr)
    assert made and int(made[1]) == FLOWS, done.stderr
    return spent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--martlet", default=str(ROOT / ".build/release/martlet"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json")
    options = parser.parse_args()
    found = {}
    if tl2cgen is None:
        print("tl2cgen is not installed: nothing to compare with (pip install tl2cgen)")
    with tempfile.TemporaryDirectory() as folder:
        inputs, ensembles = estimators()
        for name, (estimator, model) in ensembles.items():
            made = models.compile_model(estimator, FEATURES, f"{folder}/{name}.model")
            calls = {"object": object_alone(made, inputs)}
            for place, way in enumerate(WAYS if tl2cgen else ()):
                calls[way] = tl2cgen_code(model, inputs, Path(folder) / f"{name}-{place}", bool(place))
            for way, value in compare(calls, len(inputs), options.rounds).items():
                found[f"{name}, {way}, us per row"] = value
        path = f"{folder}/boosted.model"
        packets = f"{folder}/flows.pcap"
        capture(packets)
        without, with_model = [], []
        for _ in range(options.rounds):
            without.append(seconds(options.martlet, packets))
            with_model.append(seconds(options.martlet, packets, "--plugin", f"model:file={path}"))
        found["exporter, us per flow"] = (min(with_model) - min(without)) / FLOWS * 1e6
    for name, value in found.items():
        print(f"{name:56}{value:8.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
