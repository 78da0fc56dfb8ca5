// Unit tests of what charts draw, run by `node --test` in a copy of the dashboard: numbers only, nothing is drawn. What the
// modules read of a page when they are loaded is stood in for.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Points } from "./lib/points.js";
import { scoring } from "./lib/score.js";

const silent = { addEventListener() {}, matches: false };
globalThis.window = { matchMedia: () => silent, ...silent };
globalThis.navigator ??= { userAgent: "Node.js" };
globalThis.document = { hidden: false, documentElement: { dataset: {} }, addEventListener() {} };

const { partsOf } = await import("./charts/energy.js");
const { frontOption, layout } = await import("./charts/front_option.js");
const { growth, improvement, improvementText } = await import("./charts/history.js");
const { kindOf, rampOf } = await import("./charts/bits.js");
const { references } = await import("./charts/front.js");
const { blockOf, blockRows, layersLeft } = await import("./lib/blocks.js");
const { otherReferences } = await import("./lib/references.js");
const { differences, waterfall } = await import("./parts/compare.js");
const { answer, overrides } = await import("./parts/whatif.js");

const JOB = { id: "x", metric_name: "accuracy", metric_is_share: true, metric_direction: "max", cost_unit: "energy_pj", reference_cost: 1000, reference_energy_pj: 1000, float_metric: null, reference: { bits: 100 }, spec: { goal: { kind: "energy", delta_p: 8, delta_n: 8, rate: 2, stress: 1 } } };
const COLOURS = new Proxy({ ramp: [] }, { get: (target, name) => target[name] ?? "rgb(0, 0, 0)" });

const pointsOf = (metrics, costs) => Points.from({
  version: 1, number: metrics.map((_, index) => index), status: metrics.map(() => "done"), metric: metrics, cost: costs,
  energy_pj: costs, bits: costs, finished_s: metrics.map((_, index) => 10 * index + 1),
});

test("the front is a staircase from each member to the next, and goes on to the end of the axis", () => {
  const points = pointsOf([0.5, 0.9, 0.8, 0.7], [10, 100, 50, 60]);
  const numbers = scoring(JOB);
  const front = points.front(1);
  assert.deepEqual(front, [0, 2, 1]);
  const groups = { done: [0, 1, 2, 3], pruned: [], infeasible: [], front };
  const made = layout({ job: JOB, points, rows: groups.done, measure: "cost", isLog: false, zoom: null, marks: [], isWhole: true, sign: 1 });
  const option = frontOption({ job: JOB, points, groups, running: [], numbers, best: 1, selected: -1, compared: [], budget: null, kneeRow: 2 }, made, COLOURS);
  const { data } = option.series.find(({ name }) => name === "front line");
  assert.deepEqual(data, [[10, 0.5], [50, 0.5], [50, 0.8], [100, 0.8], [100, 0.9], [made.xAxis.high, 0.9]]);
  const curve = option.series.find(({ name }) => name.startsWith("score "));
  const score = (metric, cost) => metric * (1 + (0.08 * Math.log(1000 / cost)) / Math.log(2));
  const scores = curve.data.map(([cost, metric]) => score(metric, cost));
  assert.ok(scores.length > 3 && scores.every((value) => Math.abs(value - score(0.9, 100)) < 1e-9)); // all of equal score
});

test("score and hypervolume grow trial by trial, by time, and by compute", () => {
  const points = pointsOf([0.5, 0.4, 0.9, 0.6], [100, 100, 100, 100]);
  const numbers = scoring(JOB);
  const analysis = { steps: [{ number: 0, hypervolume: 0.2 }, { number: 2, hypervolume: 0.7 }, { number: 3, hypervolume: 0.7 }] };
  const attempts = { trial: [0, 1, 2, 3, 4], started_s: [0, 1, 11, 20, 30], ended_s: [1, 11, 21, 31, null] };
  const places = (scale) => [...growth({ points, numbers, analysis, attempts, scale }).place];
  assert.deepEqual(places("trials"), [1, 2, 3, 4]);
  assert.deepEqual(places("time"), [1, 11, 21, 31]);
  assert.deepEqual(places("compute"), [1, 11, 21, 32]);
  const grown = growth({ points, numbers, analysis, attempts: null, scale: "trials" });
  assert.deepEqual([...grown.volume], [0.2, 0.2, 0.7, 0.7]);
  assert.deepEqual([...grown.best], [grown.score[0], grown.score[0], grown.score[2], grown.score[2]]);
  const state = improvement(grown, points);
  assert.deepEqual(state, { sinceScore: 1, bestTrial: 2, sinceVolume: 1, volumeTrial: 2, count: 4 });
  assert.match(improvementText(state, { status: "running" }), /^No better score for 1 trial \(since trial 2\); the front has not grown since trial 2\.$/);
  const stalled = { sinceScore: 40, bestTrial: 2, sinceVolume: 40, volumeTrial: 2, count: 50 };
  assert.match(improvementText(stalled, { status: "running" }), /you may stop it/);
  assert.match(improvementText(stalled, { status: "done" }), /more of the same will hardly help/);
});

test("a layer's bar consists of the parts that count", () => {
  const layer = { operations_pj: 5, parameters_pj: 3, inputs_pj: 2, outputs_pj: 1, included: ["operations", "inputs"], included_pj: 7 };
  assert.deepEqual(partsOf(layer), [{ part: "operations_pj", from: 0, to: 5 }, { part: "inputs_pj", from: 5, to: 7 }]);
  assert.deepEqual(partsOf({ ...layer, included: null }), [{ part: null, from: 0, to: 7 }]); // stored without its parts
  assert.deepEqual(partsOf(undefined), []);
});

const layers = (energies) => Object.entries(energies).map(([name, included_pj]) => ({ name, included_pj }));

test("a trial belongs to the block in whose range its number is, and a block's best trial is its own", () => {
  const blocks = [{ name: "conv.*", first: 0, trials: 2, layers: ["conv_0", "conv_1"] }, { name: "dense", first: 2, trials: 4, layers: ["dense"] }];
  const job = { ...JOB, blocks, reference: { layers: layers({ conv_0: 10, conv_1: 60, dense: 20, softmax: 10 }) } };
  assert.deepEqual([0, 1, 2, 5, 6].map((number) => blockOf(job, number)?.name), ["conv.*", "conv.*", "dense", "dense", undefined]);
  assert.equal(blockOf({ ...JOB }, 0), null); // a page of an older service
  const points = pointsOf([0.5, 0.9, 0.8], [100, 100, 100]);
  points.put(3, { status: "running" });
  points.put(4, { status: "failed" });
  points.revision++;
  const numbers = scoring(job, {});
  const rows = blockRows(job, points, numbers);
  assert.deepEqual(rows.map(({ share, ended, rows: measured, best }) => [share, ended, measured, best.number]), [[0.7, 2, [0, 1], 1], [0.2, 2, [2], 2]]);
  assert.equal(blockRows(job, pointsOf([], []), numbers)[0].best, null);
  assert.deepEqual(layersLeft(job), ["softmax"]);
});

test("a reference in other types is a line of its own, and told where it is beyond the axis", () => {
  const job = { ...JOB, reference_values: { int8: 1000, fp32: 4000 } };
  assert.deepEqual(otherReferences(job), [{ name: "model in fp32", value: 4000 }]);
  assert.deepEqual(otherReferences(JOB), []);
  const points = pointsOf([0.5, 0.9], [300, 600]);
  const state = { job, points, rows: [0, 1], isLog: true, marks: [], sign: 1 };
  const made = layout({ ...state, measure: "cost" });
  assert.equal(references(made), "reference at 1 nJ, model in fp32 at 4 nJ, beyond the right end →");
  assert.match(references(layout({ ...state, measure: "share" })), /^reference at 100 %, model in fp32 at 400 %/);
  const whole = layout({ ...state, measure: "cost", zoom: { x: [100, 1e4], y: [0, 1] } });
  assert.equal(references(whole), null);
  const drawn = frontOption({ job, points, groups: { done: [], pruned: [], infeasible: [], front: [] }, running: [], numbers: scoring(job, {}), best: -1, selected: -1, compared: [], budget: null, kneeRow: null }, whole, COLOURS);
  assert.deepEqual(drawn.series.find(({ name }) => name === "lines").markLine.data.map(({ label }) => label.formatter), ["reference 1.00 nJ", "model in fp32 4.00 nJ"]);
});

test("a waterfall leads from one trial's energy to the other's, the largest change first", () => {
  const { start, reached, steps, bars } = waterfall({ number: 1, layers: layers({ a: 10, b: 20, c: 5 }) }, { number: 2, layers: layers({ a: 30, b: 5, c: 5, d: 1 }) });
  assert.deepEqual([start, reached], [35, 41]);
  assert.deepEqual(steps, [{ name: "a", change: 20 }, { name: "b", change: -15 }, { name: "d", change: 1 }]);
  assert.deepEqual(bars.map(({ low, high, kind }) => [low, high, kind]), [[0, 35, "total"], [35, 55, "more"], [40, 55, "less"], [40, 41, "more"], [0, 41, "total"]]);
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`layer_${index}`, index + 1]));
  const long = waterfall({ number: 1, layers: [] }, { number: 2, layers: layers(many) });
  assert.equal(long.reached, 465); // what is not listed is one step
  assert.equal(long.steps.length, 21);
  assert.deepEqual(long.steps.at(-1), { name: "other layers", change: 55 });
});

test("a comparison lists only what differs", () => {
  const points = pointsOf([0.5, 0.9], [10, 100]);
  const trial = (number, choices) => ({ number, status: "done", metric: points.metric[number], energy_pj: points.cost[number], bits: 1, choices });
  const { list, same } = differences(JOB, [trial(0, { a: "x", b: 1 }), trial(1, { a: "x", b: 2, c: "z" })], points, scoring(JOB));
  assert.deepEqual(list.slice(4), [{ name: "b", cells: ["1", "2"] }, { name: "c", cells: ["–", "z"] }]);
  assert.equal(same, 1);
});

test("sliders replace numbers of the goal, and only with what makes sense", () => {
  assert.deepEqual(overrides({ dp: "2", rate: "4", stress: "0.5" }), { delta_p: 2, rate: 4, stress: 0.5 });
  assert.deepEqual(overrides({ dp: "-1", dn: "much", rate: "1", stress: "0" }), {});
  const points = pointsOf([0.90, 0.95, 0.80], [100, 400, 50]);
  const top = (numbers) => points.number[points.best(scoring(JOB, numbers), 1)[0]];
  assert.equal(top({}), 0);
  assert.equal(top({ delta_p: 0 }), 1); // nothing is forgiven: the best metric
  assert.equal(top({ delta_p: 30 }), 2); // much is forgiven: the cheapest
  const text = answer({ job: JOB, points, numbers: scoring(JOB), budget: 99, isOwn: true });
  assert.match(text.budget, /^Under 99\.0 pJ: take trial 2/);
  assert.match(answer({ job: JOB, points, numbers: scoring(JOB), budget: 1, isOwn: true }).budget, /no measured trial is that cheap/);
});

test("bits and kinds of quantizers have steps and marks", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 8, 9, 16].map(rampOf), [0, 1, 2, 2, 3, 3, 4, 4]);
  assert.deepEqual(["quantized_po2(4,1)", "quantized_relu_po2(4,4)", "stochastic_ternary()", "binary", "quantized_bits(4,0,1)", 0.5].map((label) => kindOf(label)?.mark), ["²", "²", "±", "±", undefined, undefined]);
});
