"""Martlet's fields of application protocols are tshark's, over every capture at hand; `compare_tshark.py` says how."""

import pytest
from compare_tshark import available, compare_all, name_of, table
from harness import CORPUS, captures, have
from tshark_differences import REASONS
from tshark_models import MODELS

pytestmark = [pytest.mark.skipif(not have("tshark"), reason="needs tshark"),
              pytest.mark.skipif(CORPUS is None, reason="needs ../shared/corpus")]

#: Fields that tshark finds in the corpus and in Tests/Captures, a little rounded down: so many are compared at least.
LEAST = {"tls": 1400, "quic": 200, "dns": 5300, "http": 1000, "sip": 1800, "smtp": 100, "mqtt": 130, "rtsp": 180, "ntp": 720,
         "ssh": 0}


@pytest.fixture(scope="module")
def comparison():
    result = compare_all(captures(), available())
    print("\n".join(table(result)))
    return result


@pytest.mark.parametrize("plugin", MODELS)
def test_fields_are_those_of_tshark(comparison, plugin):
    if plugin not in available():
        pytest.skip(f"there is no plugin {plugin} yet")
    unexplained = [str(one) for one in comparison.differences if one.plugin == plugin and one.reason is None]
    assert not unexplained, "\n".join(unexplained)
    matched = sum(count for (owner, _), count in comparison.matched.items() if owner == plugin)
    # Of what is surplus tshark has no value.
    differing = sum(one.plugin == plugin and one.kind != "surplus" for one in comparison.differences)
    assert matched >= LEAST[plugin]
    assert matched >= 0.995 * (matched + differing)


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{reason.plugin} {min(reason.places)}")
def test_reasons_are_needed(comparison, reason):
    """A difference that is gone needs no reason any more."""
    if not {*reason.places} <= {*map(name_of, captures())} or reason.plugin not in available():
        pytest.skip("its capture or plugin is not there")
    assert sum(one.reason is reason for one in comparison.differences) == reason.count
