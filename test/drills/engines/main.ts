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
  try {
    await runRounds(drill, options, rows);
  } finally {
    await drill.close();
    process.stdout.write(tableOf(rows));
  }
  return rows.some(({ lost, wrong, problems }) => lost + wrong + problems.size > 0) ? 1 : 0;
}

async function runRounds(drill: EngineDrill, { times, rounds }: DrillOptions, rows: Row[]): Promise<void> {
  say('asking for answers while nothing fails');
  rows.push(await drill.undisturbed());
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
