"""The most that a model may have for the exporter. Made by Python/tools/make_limits.py; not to be edited by hand."""

FEATURE_OCTETS = 512
FEATURE_PARTS = 64
FEATURE_BRACKETS = 16
FEATURE_INDEX = 1023
MODEL_FEATURES = 2048
MODEL_OUTPUTS = 1024
MODEL_INPUTS = 4096
MODEL_TEXT = 128
MODEL_MANIFEST = 1048576
