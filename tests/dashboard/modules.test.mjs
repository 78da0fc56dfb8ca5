// Unit tests of the dashboard's modules, run by `node --test` in a copy of the dashboard that is marked as modules.

import assert from "node:assert/strict";
import { test } from "node:test";
import { firstPointsPath, firstQuestions, jobPath } from "./lib/ahead.js";
import * as format from "./lib/format.js";
import { orderBy } from "./lib/order.js";
import { Points, knee } from "./lib/points.js";
import { build, parse } from "./lib/route.js";
import { domain, linear, logarithmic, usualRange } from "./lib/scale.js";
import { factor, metricOf, score } from "./lib/score.js";
import { faults, fieldsAt, pruned } from "./parts/spec.js";

const NUMBERS = { deltaP: 8, deltaN: 8, rate: 2, stress: 1, budget: 1000, sign: 1 };

const columns = (metrics, costs, statuses = metrics.map(() => "done")) => ({
  version: 1, number: metrics.map((_, index) => index), status: statuses, metric: metrics, cost: costs,
  energy_pj: costs, bits: costs, finished_s: metrics.map((_, index) => index),
});

test("addresses are read back as they were built", () => {
  const address = build(["jobs", "ab/c"], { trial: 8, vs: "8,9", none: null, empty: "" });
  assert.equal(address, "#/jobs/ab%2Fc?trial=8&vs=8,9");
  assert.deepEqual(parse(address), { parts: ["jobs", "ab/c"], parameters: { trial: "8", vs: "8,9" } });
  assert.deepEqual(parse("#/jobs/abc/trials/5"), { parts: ["jobs", "abc"], parameters: { trial: "5" } });
  assert.deepEqual(parse(""), { parts: [], parameters: {} });
});

test("energies are written and read", () => {
  assert.equal(format.energy(0), "0 pJ");
  assert.equal(format.energy(622.4), "622 pJ");
  assert.equal(format.energy(18_300), "18.3 nJ");
  assert.equal(format.energy(NaN), "–");
  assert.equal(format.tidyEnergy(5000), "5 nJ");
  for (const text of ["1 nJ", "1nJ", "1000", "1000 pJ", "0.001 µJ", "0.001uJ"]) assert.equal(format.readEnergy(text), 1000, text);
  for (const text of ["", "nJ", "-1 nJ", "one", "0"]) assert.equal(format.readEnergy(text), null, text);
});

test("numbers have commas between thousands and no needless digits", () => {
  for (const [value, text] of [[0, "0"], [999, "999"], [1000, "1,000"], [-1234567, "-1,234,570"], [1234.5, "1,234.5"], [0.0005, "0.0005"], [-0.25, "-0.25"], [1e-9, "1e-9"], [100000, "100,000"]]) assert.equal(format.plain(value), text);
  assert.equal(format.whole(1234567.4), "1,234,567");
  assert.equal(format.whole(-999.6), "-1,000");
  assert.equal(format.whole(null), "–");
  assert.equal(format.size("123456789"), "123,456,789");
  assert.equal(format.size("1234567890"), "1.23 × 10^9");
});

test("a page asks ahead for what its address names", () => {
  assert.deepEqual(firstQuestions("#/jobs/a%2Fb?trial=3"), ["/v1/jobs/a%2Fb", "/v1/jobs/a%2Fb/points?fields=number%2Cstatus%2Cmetric%2Ccost"]);
  assert.deepEqual(firstQuestions("#/jobs/x"), [jobPath("x"), firstPointsPath("x")]);
  for (const hash of ["", "#/", "#/?status=done"]) assert.deepEqual(firstQuestions(hash), ["/v1/jobs?limit=50"]);
  for (const hash of ["#/new", "#/jobs", "#/account?x=1"]) assert.deepEqual(firstQuestions(hash), []);
});

test("running trials have the metric of their latest epoch", () => {
  const points = Points.from(columns([0.9, null, null], [100, null, null], ["done", "running", "queued"]));
  const epoch = (id, trial, number, value) => ({ id, type: "trial.epoch", trial, data: { epoch: number, metrics: { val_accuracy: value } } });
  points.note(epoch(1, 1, 0, 0.4)); // older than the columns
  const before = points.epochs;
  points.apply(epoch(2, 1, 1, 0.5), 0);
  points.apply(epoch(3, 0, 1, 0.7), 0); // of a trial that is done
  points.apply(epoch(4, 2, 0, null), 0);
  assert.notEqual(points.epochs, before);
  assert.deepEqual(points.running("accuracy"), [{ number: 1, epoch: 1, value: 0.5 }]);
  assert.deepEqual(points.running("f1"), []);
  points.apply({ id: 5, type: "trial.ended", trial: 1, data: { status: "failed" }, created_at: new Date().toISOString() }, 0);
  assert.deepEqual(points.running("accuracy"), []);
});

test("the metric of a score is the one that has it", () => {
  for (const metric of [0.2, 0.9, -0.5]) {
    for (const cost of [10, 500, 1000, 5000]) {
      assert.ok(Math.abs(metricOf(score(metric, cost, NUMBERS), cost, NUMBERS) - metric) < 1e-9);
    }
  }
  assert.equal(factor(1000, NUMBERS), 1);
  assert.ok(Math.abs(factor(500, NUMBERS) - 1.08) < 1e-12);
});

test("events give the same columns as reading everything", () => {
  const points = Points.from(columns([0.9], [100]));
  const at = (seconds) => new Date(seconds * 1000).toISOString();
  points.apply({ id: 2, type: "trial.queued", trial: 1, data: { attempt: 0 }, created_at: at(1) }, 0);
  points.apply({ id: 3, type: "trial.claimed", trial: 1, data: {}, created_at: at(2) }, 0);
  assert.equal(points.statusOf(1), "running");
  points.apply({ id: 4, type: "trial.ended", trial: 1, data: { status: "done", metric: 0.8, cost: 50, energy_pj: 50, bits: 7 }, created_at: at(9) }, 0);
  assert.equal(points.apply({ id: 4, type: "trial.ended", trial: 1, data: { status: "failed" }, created_at: at(9) }, 0), false);
  assert.deepEqual([points.statusOf(1), points.metric[1], points.cost[1], points.bits[1], points.finished_s[1]], ["done", 0.8, 50, 7, 9]);
  assert.deepEqual(points.front(1), [1, 0]);
  points.apply({ id: 5, type: "trial.ended", trial: 2, data: { status: "failed", reason: "NaN" }, created_at: at(9) }, 0);
  assert.equal(points.reasons.get(2), "NaN");
  assert.deepEqual(points.counts(), { done: 2, running: 0, queued: 0, pruned: 0, infeasible: 0, failed: 1, cancelled: 0 });
});

test("what changed is merged into what is there, also between numbers", () => {
  const points = Points.from(columns([0.9, 0.8], [100, 50]));
  points.merge({ version: 9, number: [7, 1, 4], status: ["done", "failed", "running"], metric: [0.5, null, null], cost: [10, null, null], energy_pj: [10, null, null], bits: [1, null, null], finished_s: [3, 2, null] });
  assert.deepEqual([...points.number.subarray(0, points.length)], [0, 1, 4, 7]);
  assert.deepEqual([points.statusOf(1), points.statusOf(2), points.metric[3]], ["failed", "running", 0.5]);
  assert.equal(points.row(7), 3);
  assert.equal(points.row(5), -1);
});

test("the front keeps ties and drops what is dominated", () => {
  const points = Points.from(columns([0.5, 0.9, 0.9, 0.8, 0.9, 0.7], [10, 100, 100, 50, 200, 60], ["done", "done", "done", "done", "done", "infeasible"]));
  assert.deepEqual(points.front(1), [0, 3, 1, 2]);
  assert.equal(points.isOnFront(5, 1), false);
  assert.equal(knee(points, points.front(1), 1), 3);
});

/** Numbers from 0 to 1, the same in every run. */
function generator(seed) {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

test("rows are ordered as a comparison orders them, few and many, with ties and signs", () => {
  const random = generator(3);
  for (const count of [0, 1, 40, 5000]) {
    for (const make of [random, () => Math.round(6 * random()) - 3, () => (random() - 0.5) * 10 ** Math.round(40 * random() - 20), () => 7, () => (random() < 0.1 ? Infinity : -random())]) {
      const values = Float64Array.from({ length: 2 * count }, make);
      const rows = Uint32Array.from({ length: count }, (_, index) => 2 * index + 1).reverse();
      const places = new Map([...rows].map((row, place) => [row, place]));
      assert.deepEqual([...orderBy(values, rows)], [...rows].sort((a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : places.get(a) - places.get(b))));
    }
  }
});

test("a front that grows trial by trial is the one that sorting finds", () => {
  const random = generator(5);
  for (const make of [random, () => Math.round(8 * random()) / 8]) {
    for (const sign of [1, -1]) {
      const points = Points.from(columns(Array.from({ length: 600 }, make), Array.from({ length: 600 }, () => 1 + make())));
      assert.deepEqual([...points.growFront(sign)].sort((a, b) => a - b), [...points.sortedFront(sign)].sort((a, b) => a - b));
    }
  }
  const steep = Array.from({ length: 3000 }, (_, index) => index);
  assert.equal(Points.from(columns(steep, steep)).front(1).length, 3000); // too many to grow
});

test("columns that come later complete the first ones", () => {
  const { energy_pj: energy, bits, finished_s: ends, ...drawn } = columns([0.9, 0.8], [100, 50]);
  const points = Points.from({ ...drawn, cost_unit: "energy_pj" });
  assert.deepEqual([[...points.energy_pj], points.bits[0]], [[100, 50], NaN]);
  points.put(1, { bits: 5 }); // an event came before
  points.complete({ number: [0, 1, 2], energy_pj: [1, 2, 3], bits, finished_s: ends });
  assert.deepEqual([[...points.energy_pj], [...points.bits], [...points.finished_s]], [[100, 50], [100, 5], [0, 1]]);
  assert.equal(energy.length, 2);
});

test("the best rows are the first of the ranking", () => {
  const count = 2000;
  const random = generator(1);
  const points = Points.from(columns(Array.from({ length: count }, random), Array.from({ length: count }, () => 10 + 5000 * random())));
  assert.deepEqual(points.best(NUMBERS, 25), [...points.ranking(NUMBERS).subarray(0, 25)]);
  assert.deepEqual([...points.ranking(NUMBERS)].map((row) => points.ranks(NUMBERS)[row]), Array.from({ length: count }, (_, place) => place + 1));
  const isEven = (row) => row % 2 === 0;
  assert.deepEqual(points.best(NUMBERS, 5, isEven), [...points.ranking(NUMBERS, isEven).subarray(0, 5)]);
});

test("a specification is checked by its schema", () => {
  const schema = {
    type: "object", additionalProperties: false, required: ["model"],
    properties: { model: { anyOf: [{ enum: ["a", "b"] }, { discriminator: { mapping: { zoo: "#/$defs/Zoo" } }, oneOf: [{ $ref: "#/$defs/Zoo" }] }] }, trials: { type: "integer", minimum: 1 } },
    $defs: { Zoo: { type: "object", additionalProperties: false, required: ["kind", "name"], properties: { kind: { const: "zoo" }, name: { type: "string" } } } },
  };
  assert.deepEqual(faults({ model: "a", trials: 3 }, schema), []);
  assert.deepEqual(faults({ model: { kind: "zoo", name: "x" } }, schema), []);
  assert.deepEqual(faults({ model: { kind: "zoo" } }, schema).map((fault) => fault.pointer), ["/model/name"]);
  assert.deepEqual(faults({ trials: 0, other: 1 }, schema).map((fault) => fault.pointer), ["/model", "/trials", "/other"]);
  assert.deepEqual(faults({ model: { kind: "moon" } }, schema)[0].pointer, "/model/kind");
  assert.deepEqual(fieldsAt([], schema).map((field) => field.name), ["model", "trials"]);
  assert.deepEqual(fieldsAt(["model"], schema).map((field) => field.name), ["kind", "name"]);
});

test("what is null is not written", () => {
  assert.deepEqual(pruned({ a: null, b: {}, c: [], d: { e: null, f: 0 }, data: { kind: "uploaded", id: "x", sha256: "y" } }), { b: {}, c: [], d: { f: 0 }, data: { kind: "uploaded", id: "x" } });
});

test("ticks lie on round numbers inside the range, one label for each", () => {
  assert.deepEqual(linear([0, 1], [0, 1]).ticks(5), [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1]);
  assert.deepEqual(logarithmic([1, 1000], [0, 1]).ticks(9), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]);
  assert.deepEqual(logarithmic([1, 1e9], [0, 1]).ticks(6), [1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000]);
  const random = generator(9);
  for (let turn = 0; turn < 300; turn++) {
    const low = 10 ** (12 * random() - 4);
    const high = low * (1.01 + 10 ** (4 * random()));
    for (const ticks of [linear([low, high], [0, 1]).ticks(6), logarithmic([low, high], [0, 1]).ticks(6)]) {
      assert.ok(ticks.length >= 3 && ticks.length <= 24, `${low} ${high}: ${ticks}`); // an axis over a decade has more than two labels
      assert.ok(ticks.every((tick, index) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9) && (index === 0 || tick > ticks[index - 1])));
    }
  }
});

test("scales map the ends of a range to its places", () => {
  for (const [scale, middle] of [[linear([2, 6], [10, 50]), 4], [logarithmic([1, 100], [10, 50]), 10]]) {
    assert.deepEqual(scale.domain.map(scale), [10, 50]);
    assert.equal(scale(middle), 30);
  }
  const [low, high] = domain([5, 5]);
  assert.ok(low < 5 && high > 5); // never empty
  assert.ok(domain([10, 1000], { isLog: true })[0] < 10);
});

test("the usual range leaves out what lies far below, but nothing that must be seen", () => {
  const most = Array.from({ length: 30 }, (_, index) => 0.9 + index / 1000);
  assert.deepEqual(usualRange([...most, 0.1]), [0.9, 0.929]);
  assert.deepEqual(usualRange([...most, 0.1], [0.1])[0], 0.1);
  assert.deepEqual(usualRange([0.1, 0.9]), [0.1, 0.9]); // few
});
