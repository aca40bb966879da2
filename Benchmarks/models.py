#!/usr/bin/env python3
"""What a model costs for each flow: its object alone, and in the exporter.

    Benchmarks/models.py [--martlet BIN] [--rounds N] [--json FILE]

A boosted binary model of 100 trees of depth 6 over 60 features (XGBoost), trained on noise, as hard to predict for a processor
as can be: the object that `martlet.compile_model` makes on rows of such noise, beside the code that tl2cgen makes of the same
model, where that is installed; then a capture of flows of three packets with pstats, with and without the model, and the
difference for each flow. Figures are of processor time, the least of N rounds. Needs numpy, treelite, xgboost and a C compiler.
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
import treelite  # noqa: E402
import xgboost  # noqa: E402

import martlet.models as models  # noqa: E402

FEATURES = [f"packetLength[{index}]" for index in range(30)] + [f"packetTime[{index}]" for index in range(30)]
FLOWS = 100_000


def noise(rows):
    chance = numpy.random.default_rng(1)
    inputs = chance.normal(size=(rows, len(FEATURES))).astype(numpy.float32)
    weights = chance.normal(size=len(FEATURES))
    return inputs, (inputs @ weights + 3 * inputs[:, 0] * inputs[:, 1] + chance.normal(size=rows) > 0).astype(int)


def per_row(call, rows, rounds):
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        call()
        best = min(best, time.process_time() - begin)
    return best / rows * 1e6


def object_alone(path, inputs, rounds):
    model, rows = models.Model(path), inputs.astype(numpy.float64)
    return per_row(lambda: model.run(rows), len(rows), rounds)


def tl2cgen_code(estimator, inputs, folder, rounds):
    """The code of tl2cgen with its own hints, called in a loop in C; None where it is not installed."""
    try:
        import tl2cgen
    except ImportError:
        return None
    tl2cgen.generate_c_code(treelite.frontend.from_xgboost(estimator.get_booster()), dirpath=folder, params={})
    loop = Path(folder) / "loop.c"
    loop.write_text(
        '#include "header.h"\nvoid loop(const float *x, float *s, long rows) { for (long i = 0; i < rows; i++) {\n'
        f"  union Entry e[{len(FEATURES)}]; float r = 0;\n"
        f"  for (int k = 0; k < {len(FEATURES)}; k++) e[k].fvalue = x[i * {len(FEATURES)} + k];\n"
        "  predict(e, 0, &r); s[i] = r; } }\n")
    subprocess.run(
        ["cc", "-O3", "-shared", "-fPIC", "-o", f"{folder}/tl.so", f"{folder}/main.c", str(loop), "-lm"], check=True)
    library, scores = ctypes.CDLL(f"{folder}/tl.so"), numpy.zeros(len(inputs), dtype=numpy.float32)
    pointer = ctypes.POINTER(ctypes.c_float)
    return per_row(
        lambda: library.loop(inputs.ctypes.data_as(pointer), scores.ctypes.data_as(pointer), ctypes.c_long(len(inputs))),
        len(inputs), rounds)


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
    inputs, labels = noise(20_000)
    estimator = xgboost.XGBClassifier(n_estimators=100, max_depth=6, tree_method="hist").fit(inputs, labels)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = models.compile_model(estimator, FEATURES, f"{folder}/bench.model")
        found["object, us per row"] = object_alone(path, inputs, options.rounds)
        other = tl2cgen_code(estimator, inputs, folder, options.rounds)
        if other is not None:
            found["tl2cgen's code, us per row"] = other
        packets = f"{folder}/flows.pcap"
        capture(packets)
        without, with_model = [], []
        for _ in range(options.rounds):
            without.append(seconds(options.martlet, packets))
            with_model.append(seconds(options.martlet, packets, "--plugin", f"model:file={path}"))
        found["exporter, us per flow"] = (min(with_model) - min(without)) / FLOWS * 1e6
    for name, value in found.items():
        print(f"{name:32}{value:8.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
