/**
 * `npm run engines`: two engines under `outrider up`, whose processes are killed, stopped and frozen in the middle of answers, and what their
 * clients notice, as a table. The engines are real ones, vLLM for the CPU, installed in .cache/ the first time (3 GB); `--fake`: those of
 * services/engine. Ends with 1 if an answer was lost or was not the one of an undisturbed run.
 */
import { parseArgs } from 'node:util';
import { Mesh } from '../../kit/process/outrider.js';
import { install, installed } from '../../kit/process/tools.js';
import { EngineDrill, FAULTS, newRow, type Row } from './rounds.js';
import { tableOf } from './table.js';

const { values } = parseArgs({
  options: {
    fake: { type: 'boolean', default: false },
    /** Of the front, and as many of the core. */
    kills: { type: 'string', default: '2' },
    /** Stops of the front, and of the core. */
    stops: { type: 'string', default: '1' },
  },
});
const engine = values.fake ? 'fake' : 'vllm';
const startMs = performance.now();
const say = (text: string): void =>
  void process.stderr.write(`${((performance.now() - startMs) / 1000).toFixed(1)} s: ${text}\n`);

if (engine === 'vllm' && installed('vllm') === undefined) {
  say('installing vLLM into .cache/ (3 GB, some minutes)');
  const problem = await install('vllm');
  if (problem !== undefined) {
    say(problem);
    process.exit(2);
  }
}
say(`starting two engines (${engine}); vLLM takes a minute or two`);
const drill = await EngineDrill.start((file) => Mesh.start(file), engine, installed('vllm'));
const rows: Row[] = [];
try {
  rows.push(await drill.undisturbed());
  for (const fault of FAULTS) {
    const row = newRow(fault);
    rows.push(row);
    const times = Number(fault.endsWith('killed') ? values.kills : values.stops);
    for (let i = 0; i < times; i++) {
      say(`${fault} ${i + 1} of ${times}`);
      await drill.strike(fault, row);
    }
  }
  rows.push(await drill.abort(), await drill.cancel());
} finally {
  await drill.close();
  process.stdout.write(tableOf(rows));
}
const isWrong = rows.some(({ lost, wrong, problems }) => lost + wrong + problems.size > 0);
process.exit(isWrong ? 1 : 0);
