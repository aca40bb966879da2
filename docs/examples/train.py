#!/usr/bin/env python3
"""From captures to a classifier: what docs/machine-learning.md walks through.

    python3 -m venv .build-venv-ml
    .build-venv-ml/bin/pip install -r docs/examples/requirements.txt
    .build-venv-ml/bin/python docs/examples/train.py --plot docs/images/classifier.png

Runs martlet on Tests/Captures, trains on every capture but demo.pcap, and tests on demo.pcap.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEST = "demo.pcap"
# The label: what the server's port and the IP protocol say.
SERVICES = {
    "dns": [(17, 53), (6, 53)],
    "http": [(6, 80)],
    "mqtt": [(6, 1883)],
    "quic": [(17, 443), (17, 4434)],
    "smtp": [(6, 25)],
    "tls": [(6, 443), (6, 8443), (6, 4410), (6, 4411), (6, 4412), (6, 4413), (6, 4414)],
}
LABELS = {key: name for name, keys in SERVICES.items() for key in keys}
FIRST_PACKETS = 8
# What a model with less to go by still finds out: regular expressions over the features' names.
SUBSETS = {"the first packet's length": r"packet\.0$", "times": r"InterPacketTime|[dD]ifftimes|ScaledTime|TimeDistribution"}


def martlet_path() -> str:
    """MARTLET, or the release build of this checkout."""
    if path := os.environ.get("MARTLET"):
        return path
    shown = subprocess.run(
        ["swift", "build", "-c", "release", "--show-bin-path"], cwd=ROOT, check=True, capture_output=True, text=True)
    return shown.stdout.strip() + "/martlet"


def flows(martlet: str, capture: pathlib.Path) -> pd.DataFrame:
    """The capture's flows, one row each; what could not be read is left out with a word."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as table:
        done = subprocess.run(
            [martlet, "--pcap", capture, "--plugins", "pstats,phists,nettisa", "--export", f"csv:{table.name}"],
            capture_output=True, text=True)
        if done.returncode != 0:
            print(f"skipped: {done.stderr.strip()}", file=sys.stderr)
        # Where nothing could be read, no table was made.
        if os.path.getsize(table.name) == 0:
            return pd.DataFrame()
        frame = pd.read_csv(table.name, parse_dates=["iana:flowStartMicroseconds", "iana:flowEndMicroseconds"])
    frame["capture"] = capture.name
    return frame


def features(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers about sizes, times and directions. No address, no port, no protocol number: they would give the label away."""
    parts = [table.filter(like="cesnet:nts")]
    for column in ["phistSrcSizes", "phistDstSizes", "phistSrcInterPacketTime", "phistDstInterPacketTime"]:
        bins = table[f"cesnet:{column}"].map(json.loads)
        parts.append(pd.DataFrame(bins.tolist(), index=table.index).add_prefix(f"{column}."))
    lengths = table["cesnet:packetLength"].map(json.loads)
    directions = table["cesnet:packetDirection"].map(json.loads)
    signed = [[size * way for size, way in zip(*pair)][:FIRST_PACKETS] for pair in zip(lengths, directions)]
    padded = [row + [0] * (FIRST_PACKETS - len(row)) for row in signed]
    parts.append(pd.DataFrame(padded, index=table.index).add_prefix("packet."))
    return pd.concat(parts, axis=1).fillna(0).rename(columns=lambda name: str(name).removeprefix("cesnet:"))


def sequences(table: pd.DataFrame) -> pd.Series:
    """Lengths and directions of the first packets with payload, to tell whether two flows look the same."""
    return table["cesnet:packetLength"] + table["cesnet:packetDirection"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captures", type=pathlib.Path, default=ROOT / "Tests/Captures")
    parser.add_argument("--plot", type=pathlib.Path, help="write the confusion matrix and the best features here (PNG)")
    options = parser.parse_args()

    martlet = martlet_path()
    captures = [path for path in sorted(options.captures.glob("*.pcap")) if path.name != "many-flows.pcap"]
    tables = [table for path in captures if not (table := flows(martlet, path)).empty]
    table = pd.concat(tables, ignore_index=True)
    keys = zip(table["iana:protocolIdentifier"], table["iana:destinationTransportPort"])
    table["label"] = [LABELS.get(key) for key in keys]
    print(f"{len(table)} flows in {len(tables)} captures, {table.label.notna().sum()} of them of a known service")

    table = table.dropna(subset=["label"])
    # Some captures are others in another link type or byte order: one flow must not be there twice.
    table = table.drop_duplicates(["iana:flowStartMicroseconds", "iana:sourceTransportPort"])
    # A forest draws rows by their number: the figures must not depend on the order in which flows leave.
    table = table.sort_values(
        ["iana:flowStartMicroseconds", "iana:sourceTransportPort", "iana:destinationTransportPort"], kind="stable")
    held_out = table.capture == TEST
    train, test = table[~held_out], table[held_out]
    counts = pd.DataFrame({"train": train.label.value_counts(), "test": test.label.value_counts()})
    print(counts.sort_index().to_string())

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

    train_x, test_x = features(train), features(test)
    def forest(seed: int) -> RandomForestClassifier:
        return RandomForestClassifier(n_estimators=200, class_weight="balanced", random_state=seed)

    model = forest(0).fit(train_x, train.label)
    guess = model.predict(test_x)
    print(f"\n{train_x.shape[1]} features; accuracy on {TEST}: {accuracy_score(test.label, guess):.3f}")
    others = [forest(seed).fit(train_x, train.label).score(test_x, test.label) for seed in range(1, 6)]
    print(f"five forests with other random numbers: {min(others):.3f} to {max(others):.3f}")
    # The same clients asked the same servers: how many flows has the model as good as seen?
    known = sequences(test).isin(set(sequences(train)))
    print(f"{known.sum()} of {len(test)} test flows have the packet lengths of a training flow; "
          f"accuracy on the other {(~known).sum()}: {accuracy_score(test.label[~known], guess[~known]):.3f}")
    for name, columns in SUBSETS.items():
        chosen = train_x.columns[train_x.columns.str.contains(columns)]
        smaller = forest(0).fit(train_x[chosen], train.label)
        print(f"with {name} only ({len(chosen)} features): {smaller.score(test_x[chosen], test.label):.3f}")
    print(classification_report(test.label, guess, digits=2, zero_division=0))
    weights = pd.Series(model.feature_importances_, train_x.columns).nlargest(8)
    print("features that count most:")
    print(weights.round(3).to_string())

    if options.plot:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        names = sorted(SERVICES)
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        matrix = confusion_matrix(test.label, guess, labels=names)
        left.imshow(matrix, cmap="Blues")
        left.set(xlabel="guessed", ylabel="is", title=f"flows of {TEST}")
        left.set_xticks(range(len(names)), names)
        left.set_yticks(range(len(names)), names)
        for row, values in enumerate(matrix):
            for column, value in enumerate(values):
                if value:
                    shade = "white" if value > matrix.max() / 2 else "black"
                    left.text(column, row, value, ha="center", va="center", color=shade)
        weights[::-1].plot.barh(ax=right, color="tab:blue", title="importance of features")
        figure.savefig(options.plot, dpi=80)


if __name__ == "__main__":
    main()
