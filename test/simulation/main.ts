/** `npm run simulate`: simulated meshes from random seeds; prints what broke an invariant, and the smallest case of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.js';
import { drawPlan } from './plan/draw.js';
import { FEATURES } from './plan/features.js';
import { optionTable } from './plan/options.js';
import type { Plan } from './plan/plan.js';
import { type RunResult, run } from './run.js';
import { failsBy, shrink } from './shrink.js';
import { PRESENT, type Release, releaseIn } from './world/release.js';

const HELP = `npm run simulate -- [OPTIONS]

  --seed N        the first seed; the ones after it follow. Default: by the clock. N,M,O: these and no others
  --runs N        so many runs; with --seed alone, 1
  --minutes M     as many runs as go into this time; default 1
  --cpu-time      the minutes are of CPU time
  --features A,B  chosen from these only; default all
  --having A,B    seeds whose runs have not all of these are passed over
  --before DIR    half of the processes of sidecars are of the version built in DIR. What it breaks alone as well is passed over
  --plan FILE     one plan from a file, such as those in test/simulation/corpus
  --trace FILE    what happened in the last run, a line each
  --until-found   ends with the first run that broke an invariant
  --options       which options of a sidecar file runs have, and why not the others
  --coverage      what of the call path has run, and each function that has not
  --hash          prints a hash of each run's trace
  --shrink FILE   the first failing plan, made as small as it goes

Features: ${Object.keys(FEATURES).join(' ')}`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    runs: { type: 'string' },
    minutes: { type: 'string' },
    'cpu-time': { type: 'boolean' },
    features: { type: 'string' },
    having: { type: 'string' },
    before: { type: 'string' },
    plan: { type: 'string' },
    trace: { type: 'string' },
    shrink: { type: 'string' },
    options: { type: 'boolean' },
    coverage: { type: 'boolean' },
    hash: { type: 'boolean' },
    'until-found': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});

class Totals {
  runs = 0;
  passed = 0;
  calls = 0;
  failed = 0;
  readonly features = new Map<string, number>();
  readonly pairs = new Set<string>();
  private readonly beganMs = performance.now();

  add({ plan, calls, findings }: RunResult): void {
    this.runs++;
    this.calls += calls;
    if (findings.length > 0) this.failed++;
    for (const [i, one] of plan.features.entries()) {
      this.features.set(one, (this.features.get(one) ?? 0) + 1);
      for (const other of plan.features.slice(i + 1)) this.pairs.add([one, other].sort().join(' '));
    }
  }

  get line(): string {
    const seconds = (performance.now() - this.beganMs) / 1000;
    const all = Object.keys(FEATURES).length;
    const pairs = (all * (all - 1)) / 2;
    return (
      `${this.runs} runs, ${this.passed > 0 ? `${this.passed} passed over, ` : ''}${this.calls} calls in ${seconds.toFixed(1)} s, ${(cpuMs() / 1000).toFixed(1)} s of CPU ` +
      `(${(this.calls / seconds).toFixed(0)} a second); ` +
      `${this.features.size} of ${all} features, ${this.pairs.size} of ${pairs} pairs of them; ${this.failed} runs broke an invariant`
    );
  }
}

/** CPU time of this process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** @param firstSeed of the `runs` of this process. */
function report({ plan, findings }: RunResult, firstSeed: number, runs: number): void {
  console.log(`seed ${plan.seed} broke ${findings.length} invariants; features: ${plan.features.join(' ')}`);
  for (const { invariant, what, atMs } of findings.slice(0, 5))
    console.log(`  ${invariant}, ${atMs} ms: ${what}`);
  console.log(`  again: npm run simulate -- --seed ${plan.seed} --trace trace.txt --shrink case.json`);
  // The header codecs of an earlier version learn from run to run, which changes the sizes of headers.
  if (runs > 1 && values.before !== undefined)
    console.log(`  if it does not come again alone: npm run simulate -- --seed ${firstSeed} --runs ${runs}`);
}

/** Both versions in one mesh. An invariant that the version before breaks alone says nothing of the two. */
async function runBeside(before: Release, plan: Plan, trace: boolean): Promise<RunResult> {
  const result = await run(plan, { trace, releases: [PRESENT, before] });
  if (result.findings.length === 0) return result;
  const alone = await run(plan, { releases: [before] });
  const known = new Set(alone.findings.map(({ invariant }) => invariant));
  const findings = result.findings.filter(({ invariant }) => !known.has(invariant));
  if (findings.length < result.findings.length)
    console.log(`seed ${plan.seed}: the version before alone breaks ${[...known].join(', ')}`);
  return { ...result, findings };
}

async function shrunk(result: RunResult, file: string): Promise<void> {
  const [first] = result.findings;
  const small = await shrink(result.plan, failsBy(first!));
  const again = await run(small, { trace: true });
  writeFileSync(file, `${JSON.stringify(small, null, 1)}\n`);
  console.log(`  smallest case: ${small.calls.length} calls, ${small.faults.length} faults, in ${file}`);
  for (const line of again.trace.slice(-60)) console.log(`    ${line.slice(0, 400)}`);
  for (const { invariant, what, atMs } of again.findings.slice(0, 3))
    console.log(`  ${invariant}, ${atMs} ms: ${what}`);
}

function* plans(totals: Totals): Iterable<Plan> {
  if (values.plan !== undefined) {
    const { plan } = JSON.parse(readFileSync(values.plan, 'utf8')) as { plan?: Plan };
    yield plan ?? (JSON.parse(readFileSync(values.plan, 'utf8')) as Plan);
    return;
  }
  const [first = 0, ...more] = (values.seed ?? `${Date.now() % 1_000_000_000}`).split(',').map(Number);
  if (more.length > 0)
    return yield* [first, ...more].map((seed) => drawPlan(seed, values.features?.split(',')));
  const isByTime = values.minutes !== undefined || (values.runs === undefined && values.seed === undefined);
  const spentMs = values['cpu-time'] === true ? cpuMs : () => performance.now();
  const untilMs = spentMs() + Number(values.minutes ?? 1) * 60_000;
  const most = Number(values.runs ?? (isByTime ? Number.POSITIVE_INFINITY : 1));
  const having = values.having?.split(',') ?? [];
  for (let i = 0; i < most && (!isByTime || spentMs() < untilMs); i++) {
    const plan = drawPlan(first + i, values.features?.split(','));
    if (having.every((each) => plan.features.includes(each))) yield plan;
    else totals.passed++;
  }
}

async function main(): Promise<void> {
  const coverage = values.coverage === true ? new Coverage() : undefined;
  await coverage?.start();
  if (values.before !== undefined && values.shrink !== undefined)
    throw new Error(
      'found --shrink beside --before; expected one of them: a case is made smaller with one version',
    );
  const totals = new Totals();
  const before = values.before === undefined ? undefined : await releaseIn(values.before);
  let toldMs = performance.now();
  let hasShrunk = false;
  let firstSeed: number | undefined;
  for (const plan of plans(totals)) {
    const trace = values.trace !== undefined;
    const result = before === undefined ? await run(plan, { trace }) : await runBeside(before, plan, trace);
    totals.add(result);
    firstSeed ??= plan.seed;
    if (values.hash === true)
      console.log(`seed ${plan.seed}: trace ${result.traceHash}, ${result.turns} turns`);
    if (values.trace !== undefined) writeFileSync(values.trace, `${result.trace.join('\n')}\n`);
    if (result.findings.length > 0) {
      report(result, firstSeed, totals.runs);
      if (values.shrink !== undefined && !hasShrunk) await shrunk(result, values.shrink);
      hasShrunk = true;
      if (values['until-found'] === true) break;
    }
    if (performance.now() - toldMs < 10_000) continue;
    toldMs = performance.now();
    console.log(totals.line);
  }
  console.log(totals.line);
  if (coverage !== undefined) console.log(await coverage.report());
  process.exitCode = totals.failed > 0 ? 1 : 0;
}

if (values.help === true) console.log(HELP);
else if (values.options === true) console.log(optionTable(1_000));
else await main();
