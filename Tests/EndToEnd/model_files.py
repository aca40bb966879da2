"""Models made by hand, as docs/models.md describes their files: a few lines of C, and a manifest."""
import hashlib
import json
import subprocess


def handmade(folder, body, features=("octetDeltaCount",), classes=("good", "bad"), outputs=None, name="hand", **other):
    """A model whose object is these lines of C, which read `f` and write `s`."""
    outputs = len(classes) or 1 if outputs is None else outputs
    source, built = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(
        "#include <stdint.h>\n#include <stdio.h>\n#include <math.h>\n"
        f"const uint32_t martlet_model_shape[3] = {{{other.pop('abi', 1)}, {len(features)}, {outputs}}};\n"
        f"void {other.pop('symbol', 'martlet_model_predict')}(const double *f, double *s) {{ {body} }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", built, source], check=True, timeout=60)
    manifest = {
        "format": "martlet-model", "formatVersion": 1, "interface": 1, "name": name, "version": "1", "classes": list(classes),
        "features": list(features), "missing": None, "rounding": "float64", "outputs": outputs,
        "sha256": hashlib.sha256(built.read_bytes()).hexdigest(), **other}
    path = folder / f"{name}.model"
    path.write_text(json.dumps(manifest))
    return path
