/** `npm run simulate`: runs simulated meshes from random seeds, and prints what broke an invariant. */
import { parseArgs } from 'node:util';
import { drawPlan } from './plan/draw.js';
import { run } from './run.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    runs: { type: 'string' },
    minutes: { type: 'string' },
    features: { type: 'string' },
    trace: { type: 'string' },
  },
});

const firstSeed = Number(values.seed ?? Date.now() % 1_000_000);
const runs = Number(values.runs ?? (values.minutes === undefined && values.seed !== undefined ? 1 : 1e9));
const untilMs = performance.now() + Number(values.minutes ?? 1) * 60_000;
let calls = 0;
let failed = 0;
const beganMs = performance.now();
for (let i = 0; i < runs && (values.runs !== undefined || performance.now() < untilMs); i++) {
  const seed = firstSeed + i;
  const plan = drawPlan(seed, values.features?.split(','));
  const result = await run(plan, { trace: values.trace !== undefined });
  calls += result.calls;
  if (result.findings.length > 0) {
    failed++;
    console.log(`seed ${seed}: ${plan.features.join(' ')}`);
    for (const { invariant, what, atMs } of result.findings.slice(0, 5))
      console.log(`  ${invariant} at ${atMs}: ${what}`);
  } else if (runs <= 3)
    console.log(
      `seed ${seed}: ${result.calls} calls`,
      result.byStatus,
      `${result.turns} turns, trace ${result.traceHash}`,
    );
  if (values.trace !== undefined) for (const line of result.trace) console.log(line);
}
const seconds = (performance.now() - beganMs) / 1000;
console.log(
  `${calls} calls in ${seconds.toFixed(1)} s, ${(calls / seconds).toFixed(0)} a second; ${failed} runs with findings`,
);
process.exitCode = failed > 0 ? 1 : 0;
