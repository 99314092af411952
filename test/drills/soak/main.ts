/** `npm run soak`: a mesh under load and faults for long, what it loses, and what grows. `--help` says more. */

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { markdownTable } from '../../../tools/markdown-table.js';
import { runProgram } from '../../kit/process/command-line.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, Mesh, Scratch, type SidecarFacts, type UpFacts } from '../../kit/process/outrider.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { SoakCalls } from './calls.js';
import { FAULTS, SoakFaults } from './faults.js';
import { byProcess, coursesOf, type Sample, sampleOf } from './gauges.js';
import { meshFile, putModels, SERVICE } from './mesh-file.js';
import { readOptions, type SoakOptions } from './options.js';

const SAMPLE_MS = 10_000;
/** What is held may grow at first, for so long at most, and for this share of a short run. */
const GROWTH = { longestMs: 600_000, share: 0.25 };
/** What has to be given back once nothing is called. */
const HELD = ['outrider_calls_in_flight', 'outrider_buffered_bytes', 'outrider_queue_waiting'] as const;
const REST_MS = 30_000;

const startMs = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`${Math.round((performance.now() - startMs) / 1000)} s: ${text}\n`);

/** Samples of each sidecar, by its name. */
type Samples = Map<string, Sample[]>;

/** Exit code. */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  const scratch = new Scratch();
  const models = join(scratch.path, 'models');
  putModels(models);
  const text = (reload: number) => meshFile(options.place, models, scratch.path, reload);
  const path = scratch.write('soak.yaml', text(0));
  const mesh = Mesh.open(path, options.place === 'consul' ? ['--consul', 'dev'] : []);
  try {
    const facts = await mesh.ready();
    const faults = await SoakFaults.of(mesh, facts, { path, text }, seeded(options.seed));
    return await soak(options, facts, faults);
  } finally {
    await mesh.discard();
    scratch.remove();
  }
}

async function soak(options: SoakOptions, facts: UpFacts, faults: SoakFaults): Promise<number> {
  const { minutes, rate, every, seed } = options;
  const calls = await SoakCalls.start(facts.call[SERVICE]!, rate, seed);
  const samples: Samples = new Map(facts.sidecars.map(({ name }) => [name, []]));
  const beganMs = performance.now();
  const endMs = beganMs + minutes * 60_000;
  let strikeMs = every === 0 ? Number.POSITIVE_INFINITY : beganMs + every * 1_000;
  let shown = 0;
  while (performance.now() < endMs) {
    await delay(Math.max(0, Math.min(SAMPLE_MS, endMs - performance.now())));
    await Promise.all(facts.sidecars.map((sidecar) => look(sidecar, samples)));
    if (performance.now() >= strikeMs) {
      say(await faults.strike());
      strikeMs = performance.now() + every * 1_000;
    }
    const { failures } = calls;
    for (const failure of failures.slice(shown)) say(`FAILED ${failure}`);
    shown = failures.length;
  }
  await faults.whole();
  await calls.stop();
  const held = await heldAtRest(facts.sidecars);
  const growthMs = Math.min(GROWTH.longestMs, GROWTH.share * minutes * 60_000);
  return report({ options, calls, faults, samples, held, growthMs });
}

/** A sidecar that is away has no sample. */
async function look({ name, admin: address }: SidecarFacts, samples: Samples): Promise<void> {
  const page = await admin(address, '/metrics').catch(() => undefined);
  if (page?.status === 200) samples.get(name)!.push(sampleOf(page.body, performance.now()));
}

/** What sidecars hold although nothing is called, a line each. */
async function heldAtRest(sidecars: readonly SidecarFacts[]): Promise<readonly string[]> {
  const endMs = performance.now() + REST_MS;
  for (;;) {
    const held: string[] = [];
    for (const { name, admin: address } of sidecars) {
      const { body } = await admin(address, '/metrics');
      for (const gauge of HELD) {
        const value = sumOfSamples(body, gauge);
        if (value !== 0) held.push(`${name}: ${gauge} ${value}`);
      }
    }
    if (held.length === 0 || performance.now() > endMs) return held;
    await delay(1_000);
  }
}

interface Result {
  readonly options: SoakOptions;
  readonly calls: SoakCalls;
  readonly faults: SoakFaults;
  readonly samples: Samples;
  readonly held: readonly string[];
  /** For so long what a process holds may grow. */
  readonly growthMs: number;
}

/** Prints the tables. @returns the exit code */
function report({ options, calls, faults, samples, held, growthMs }: Result): number {
  const { failures } = calls;
  const struck = FAULTS.flatMap((fault) => {
    const count = faults.counts.get(fault);
    return count === undefined ? [] : [`${count} ${fault}`];
  });
  const rows = [...samples].flatMap(([name, of]) =>
    byProcess(of).flatMap((process) =>
      coursesOf(process, process[0]!.atMs + growthMs).map((course) => ({ name, ...course })),
    ),
  );
  const grown = rows.filter(({ isFlat }) => !isFlat);
  const lines = [
    `${options.minutes} min on ${options.place}, seed ${options.seed}: ${calls.counts}; ${failures.length} failed`,
    `faults: ${struck.join(', ') || 'none'}`,
    '',
    markdownTable([
      ['sidecar', 'gauge', 'first half', 'second half', ''],
      ...rows.map(({ name, gauge, first, last, isFlat }) => [
        ...[name, gauge, String(Math.round(first)), String(Math.round(last)), isFlat ? 'flat' : 'GROWS'],
      ]),
    ]),
    '',
    ...(rows.length === 0 ? ['No sidecar lived for long enough to say whether anything grows.'] : []),
    ...held.map((line) => `HELD AT REST ${line}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return failures.length + grown.length + held.length > 0 || rows.length === 0 ? 1 : 0;
}

runProgram('soak', main);
