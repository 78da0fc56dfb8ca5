"""Oracles propose trials. All of them are keras-tuner's, driven without its Tuner; see `search.oracles.base`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from search.oracles.base import DatabaseOracle, Setting
from search.oracles.evolution import EvolutionOracle
from search.oracles.frugal import FrugalOracle
from search.oracles.grid import GridOracle
from search.oracles.hyperband import HyperbandOracle
from search.oracles.random import RandomOracle
from search.spec.oracle import BayesianOracleSpec


def _bayesian(spec: BayesianOracleSpec, setting: Setting) -> DatabaseOracle:
    from search.oracles.bayesian import BayesianOracle  # loads scikit-learn, which no other oracle needs

    return BayesianOracle(spec, setting)


#: By the `kind` of a job's `oracle`; called with that value and the setting.
ORACLES: Final[Mapping[str, Callable[[Any, Setting], DatabaseOracle]]] = {
    "random": RandomOracle,
    "grid": GridOracle,
    "bayesian": _bayesian,
    "hyperband": HyperbandOracle,
    "evolution": EvolutionOracle,
    "frugal": FrugalOracle,
}
