"""The dashboard's modules: their unit tests in node, where there is one, and the formulas that Python has too."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from search.scoring.forgiving_factor import ForgivingFactor
from search.scoring.pareto import on_front
from search.spec.job import SearchSpec
from service.api.pages import FOLDER
from service.dashboard.bundle import bundle
from service.schemas.job_json_schema import job_schema
from tests.service.filled import JOB

MAX_LINES = 400
HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"

#: Uses modules that are imported by name and as a whole, and that import others.
ENTRY = """import { energy } from "./lib/format.js";
import { toCsv } from "./charts/csv.js";
import * as order from "./lib/order.js";
const csv = toCsv({ columns: ["a"], rows: [["=x"]] });
console.log(JSON.stringify([energy(1500), [...order.orderBy([3, 1], [0, 1])], csv]));
"""


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the dashboard that node reads as modules."""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    folder = tmp_path_factory.mktemp("dashboard") / "copy"
    shutil.copytree(FOLDER, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def run(node: Path, script: str, value: Any) -> Any:
    """What a module prints as JSON, given a value as its input."""
    (node / "script.js").write_text(
        f"import {{ readFileSync }} from 'node:fs';\nconst input = JSON.parse(readFileSync(0, 'utf8'));\n{script}"
    )
    done = subprocess.run(
        ["node", "script.js"], cwd=node, input=json.dumps(value), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["modules", "charts"])
def test_modules_pass_their_unit_tests(node: Path, name: str) -> None:
    file = f"{name}.test.mjs"
    shutil.copy(HERE / file, node / file)
    done = subprocess.run(["node", "--test", file], cwd=node, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_scores_and_front_are_those_of_the_service(node: Path) -> None:
    draw = random.Random(7)
    metrics = [draw.choice([draw.uniform(-1, 1), 0.5]) for _ in range(400)]
    costs = [draw.choice([draw.uniform(1, 5000), 700.0]) for _ in range(400)]
    goals = [
        {"delta_p": 8, "delta_n": 8, "rate": 2, "stress": 1, "kind": "energy", "profile": "horowitz"},
        {"delta_p": 2, "delta_n": 15, "rate": 3.5, "stress": 0.4, "kind": "bits"},
        {
            "delta_p": 8,
            "delta_n": 8,
            "rate": 2,
            "stress": 0.5,
            "kind": "energy",
            "profile": "horowitz-qkeras",
        },
    ]
    script = """
import { Points } from "./lib/points.js";
import { scoring } from "./lib/score.js";
const { metrics, costs, jobs } = input;
const rows = metrics.map((_, index) => index);
const points = Points.from({ version: 1, number: rows, status: rows.map(() => "done"), metric: metrics, cost: costs,
  energy_pj: costs, bits: costs, finished_s: rows });
console.log(JSON.stringify(jobs.map((job) => {
  const numbers = scoring(job);
  return { scores: [...points.scores(numbers)], front: points.front(numbers.sign) };
})));
"""
    directions: tuple[Any, ...] = ("max", "min")
    cases = [(goal, direction) for goal in goals for direction in directions]
    jobs = [
        {"spec": {"goal": goal}, "reference_cost": 1000.0, "metric_direction": direction}
        for goal, direction in cases
    ]
    answers = run(node, script, {"metrics": metrics, "costs": costs, "jobs": jobs})
    for (goal, direction), answer in zip(cases, answers, strict=True):
        numbers = {name: goal[name] for name in ("delta_p", "delta_n", "rate", "stress")}
        factor = ForgivingFactor(
            **numbers, ignores_stress=goal.get("profile") == "horowitz-qkeras", direction=direction
        )
        scores = [factor.score(metric, cost, 1000.0) for metric, cost in zip(metrics, costs, strict=True)]
        assert answer["scores"] == pytest.approx(scores, rel=1e-12)
        merits = np.array([factor.merit(metric) for metric in metrics])
        assert sorted(answer["front"]) == np.flatnonzero(on_front(merits, np.array(costs))).tolist()


def test_the_schema_s_reader_accepts_what_the_service_accepts(node: Path) -> None:
    script = """
import { faults } from "./parts/spec.js";
console.log(JSON.stringify(input.specs.map((spec) => faults(spec, input.schema))));
"""
    stored = SearchSpec.model_validate(JOB).model_dump(mode="json")
    valid: list[Any] = [
        JOB,
        stored,
        JOB | {"oracle": "frugal", "objective": "f1", "data": {"kind": "npz", "file": "x.npz"}},
    ]
    broken: list[tuple[Any, str]] = [
        (JOB | {"budget": {"trials": 0}}, "/budget/trials"),
        (JOB | {"oracle": "oracle of Delphi"}, "/oracle"),
        (JOB | {"goal": {"kind": "energy", "delta_p": "much"}}, "/goal/delta_p"),
        (JOB | {"colour": "red"}, "/colour"),
        ({name: value for name, value in JOB.items() if name != "model"}, "/model"),
    ]
    answers = run(node, script, {"schema": job_schema(), "specs": [*valid, *(spec for spec, _ in broken)]})
    assert answers[: len(valid)] == [[], [], []]
    for (_, pointer), faults in zip(broken, answers[len(valid) :], strict=True):
        assert pointer in [fault["pointer"] for fault in faults]


def test_the_short_form_of_a_job_means_the_same(node: Path) -> None:
    script = """
import { compact, pruned } from "./parts/spec.js";
console.log(JSON.stringify(input.specs.map((spec) => compact(pruned(spec), input.schema))));
"""
    jobs: list[Any] = [yaml.safe_load(path.read_text()) for path in sorted(EXAMPLES.glob("*.yaml"))]
    jobs += [JOB, JOB | {"goal": {"kind": "bits", "stress": 0.5}, "oracle": "hyperband", "objective": "f1"}]
    specs = [SearchSpec.model_validate(job) for job in jobs]
    stored = [spec.model_dump(mode="json") for spec in specs]
    for spec, full, short in zip(
        specs, stored, run(node, script, {"schema": job_schema(), "specs": stored}), strict=True
    ):
        assert SearchSpec.model_validate(short) == spec
        assert len(json.dumps(short)) < 0.7 * len(json.dumps(full))


def test_one_script_has_all_modules(node: Path) -> None:
    names = sorted(
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*.js")
        if not {"live_worker.js", "login.js", "docs.js", "dom.js", "report.js"} & {path.name}
        and "vendor" not in path.parts
    )
    text = bundle("app.js", ("vendor/echarts.js", "vendor/js-yaml.js"))
    assert [name for name in names if f'"{name}"($use, $load)' not in text] == []
    (node / "entry.js").write_text(ENTRY)
    (node / "one.js").write_text(bundle("entry.js", folder=node))
    done = subprocess.run(["node", "one.js"], cwd=node, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["1.50 nJ", [1, 0], "a\n'=x\n"]


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.js").write_text('import { b } from "./two.js";\nexport const a = b;\n')
    (tmp_path / "two.js").write_text('import { a } from "./one.js";\nexport const b = a;\n')
    with pytest.raises(ValueError, match=r"one\.js -> two\.js -> one\.js"):
        bundle("one.js", folder=tmp_path)


def test_modules_are_short() -> None:
    modules = [path for path in FOLDER.rglob("*.js") if "vendor" not in path.parts]
    assert len(modules) > 30
    assert {path.name: count for path in modules if (count := path.read_text().count("\n")) > MAX_LINES} == {}
