"""Oracles propose trials. All extend keras-tuner's, used without its Tuner: see `search.oracles.base`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from search.oracles.base import DatabaseOracle, OracleContext
from search.oracles.descent import DescentOracle
from search.oracles.evolution import EvolutionOracle
from search.oracles.frugal import FrugalOracle
from search.oracles.gradient import GradientOracle
from search.oracles.grid import GridOracle
from search.oracles.hyperband import HyperbandOracle
from search.oracles.random import RandomOracle
from search.oracles.sensitivity import SensitivityOracle
from search.spec.oracle import BayesianOracleSpec


def _bayesian(spec: BayesianOracleSpec, context: OracleContext) -> DatabaseOracle:
    from search.oracles.bayesian import BayesianOracle  # loads scikit-learn, which only this oracle needs

    return BayesianOracle(spec, context)


#: By the `kind` of a job's `oracle`; called with that spec and the context.
ORACLES: Final[Mapping[str, Callable[[Any, OracleContext], DatabaseOracle]]] = {
    "random": RandomOracle,
    "grid": GridOracle,
    "bayesian": _bayesian,
    "hyperband": HyperbandOracle,
    "evolution": EvolutionOracle,
    "frugal": FrugalOracle,
    "sensitivity": SensitivityOracle,
    "descent": DescentOracle,
    "gradient": GradientOracle,
}
