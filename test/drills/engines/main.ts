/**
 * `npm run engines`: two engines under `outrider up`, whose processes are killed, stopped and frozen in the middle of answers, and what their
 * clients notice, as a table. `--help` says more.
 */
import { runProgram } from '../../kit/process/command-line.js';
import { Mesh } from '../../kit/process/outrider.js';
import { install, installed } from '../../kit/process/tools.js';
import { FAULTS } from './engine-processes.js';
import { type DrillOptions, readOptions } from './options.js';
import { isKept, killQuickly, quickTable } from './quick-kills.js';
import { EngineDrill, newRow, type Row } from './rounds.js';
import { tableOf } from './table.js';

const startMs = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${text}\n`);

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  const { engine, quickKills, seed } = options;
  if (quickKills > 0) {
    const result = await killQuickly(quickKills, seed, say);
    process.stdout.write(quickTable(result));
    return isKept(result) ? 0 : 1;
  }
  if (engine === 'vllm' && installed('vllm') === undefined) {
    say('installing vLLM into .cache/ (3 GB, some minutes)');
    const problem = await install('vllm');
    if (problem !== undefined) {
      say(problem);
      return 2;
    }
  }
  say(`starting two engines (${engine})${engine === 'vllm' ? '; this takes a minute or two' : ''}`);
  const drill = await EngineDrill.start((file) => Mesh.start(file), engine, installed('vllm'));
  const rows: Row[] = [];
  // Also of a run that is ended from outside, which may have lasted for an hour.
  process.once('exit', () => void process.stdout.write(tableOf(rows)));
  try {
    say('asking for answers while nothing fails');
    rows.push(await drill.undisturbed());
    await (options.byTurns > 0 ? killByTurns(drill, options.byTurns, rows) : runRounds(drill, options, rows));
  } finally {
    await drill.close();
  }
  return rows.some(({ lost, wrong, problems }) => lost + wrong + problems.size > 0) ? 1 : 0;
}

/** The front of an engine, then the core of one, and so on. */
async function killByTurns(drill: EngineDrill, kills: number, rows: Row[]): Promise<void> {
  const turns = (['front-killed', 'core-killed'] as const).map((fault) => ({ fault, row: newRow(fault) }));
  rows.push(...turns.map(({ row }) => row));
  const beganMs = performance.now();
  for (let i = 0; i < kills; i++) {
    const left = i === 0 ? '' : `, ${minutes(((performance.now() - beganMs) / i) * (kills - i))} left`;
    const { fault, row } = turns[i % turns.length]!;
    say(`kill ${i + 1} of ${kills}: ${fault}${left}`);
    await drill.strike(fault, row, say);
  }
}

const minutes = (ms: number): string => `${Math.ceil(ms / 60_000)} min`;

async function runRounds(drill: EngineDrill, { times, rounds }: DrillOptions, rows: Row[]): Promise<void> {
  for (const fault of FAULTS) {
    if (!rounds.includes(fault) || times[fault] === 0) continue;
    const row = newRow(fault);
    rows.push(row);
    for (let i = 0; i < times[fault]; i++) {
      say(`${fault} ${i + 1} of ${times[fault]}`);
      await drill.strike(fault, row, say);
    }
  }
  if (rounds.includes('aborted')) rows.push(await drill.abort());
  if (rounds.includes('cancelled')) rows.push(await drill.cancel());
}

runProgram('engines', main);
