/** MLServer (Seldon): its stubs and its command as clients of ours, and its server behind our sidecars. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { mlserverCommand, prepareMlserver } from '../../kit/interop/mlserver.js';
import { suiteModels } from '../../kit/interop/model-pair.js';
import { accepts, loopback, Program } from '../../kit/interop/programs.js';
import { outcomesOf, run } from '../../kit/interop/python-cases.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { freePort } from '../../kit/process/free-port.js';
import { OUTRIDER } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { startPair } from '../../kit/process/sidecars.js';
import { ROOT, toolOrSkip } from '../../kit/process/tools.js';

const DIGITS = path.join(ROOT, 'services/digits/models');
const SERVER = path.join(ROOT, 'dist/services/model-server/main.js');
const CASES = ['health', 'infer_raw', 'infer_contents', 'requested_outputs', 'refusals'];
/** A stroke down the middle. */
const PIXELS = Array.from({ length: 784 }, (_, i) => (i % 28 > 12 && i % 28 < 16 ? 1 : 0));

describe('MLServer', function () {
  this.timeout(60_000);
  const suite = suiteModels();
  let python: string;

  before(async function () {
    python = await toolOrSkip(this, 'mlserver');
  });

  it('its gRPC stubs, types and codecs are a client, through two sidecars with mutual TLS', async () => {
    const outcomes = await outcomesOf(python, 'mlserver/mlserver_client.py', suite.target, ...CASES);
    assert.deepEqual(outcomes, new Map(CASES.map((name) => [name, 'ok'])));
  });

  if (EFFORT > 1)
    it('`mlserver infer` takes the REST half of the protocol', async () => {
      const scratch = scratchForTest();
      const [grpc, rest] = [await freePort(), await freePort()];
      const listen = ['--listen', `127.0.0.1:${grpc}`, '--rest', `127.0.0.1:${rest}`];
      const server = new Program('serve', [process.execPath, SERVER, '--models', DIGITS, ...listen]);
      afterTest(() => server.stop());
      await server.started('the model is loaded', () => server.output.includes('golden input matched'));
      const request = { inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 784], data: PIXELS }] };
      const lines = ['a', 'b', 'c'].map((id) => JSON.stringify({ id, ...request }));
      const input = scratch.write('requests.jsonl', `${lines.join('\n')}\n`);
      const output = path.join(scratch.path, 'answers.jsonl');
      const files = ['-i', input, '-o', output];
      const args = ['infer', '-u', `127.0.0.1:${rest}`, '-m', 'digits', ...files, '-s', '2', '-w', '2'];
      const { code, stderr, stdout } = await run(mlserverCommand(python), ...args);
      assert.equal(code, 0, stderr + stdout);
      const answers = readFileSync(output, 'utf8').trim().split('\n');
      const ids = answers.map((line) => {
        const { id, outputs } = JSON.parse(line) as {
          id: string;
          outputs: { name: string; data: number[] }[];
        };
        assert.deepEqual([outputs[0]!.name, outputs[0]!.data.length], ['probabilities', 10]);
        return id;
      });
      assert.deepEqual(ids.sort(), ['a', 'b', 'c']);
    });

  if (EFFORT > 1)
    it('its server answers `outrider infer`, behind two sidecars', async () => {
      const directory = scratchForTest().path;
      const network = path.join(DIGITS, 'digits/1/model.onnx');
      const { port, command, env } = await prepareMlserver(python, { name: 'digits', network, directory });
      const server = new Program('mlserver', command, env);
      afterTest(() => server.stop());
      await until('MLServer listens', () => accepts(port), 30_000);
      const pair = await startPair({ local: loopback(port) });
      afterTest(() => pair.close());
      await pair.ready();
      const target = ['--target', writeAddress(pair.target)];
      const [program, ...own] = OUTRIDER as [string, ...string[]];
      const ask = ['infer', 'digits', '--input', `pixels=[${JSON.stringify(PIXELS)}]`, '--json', ...target];
      const { stdout } = await until('MLServer serves the model', async () => {
        const done = await run(program, ...own, ...ask);
        return done.code === 0 && done;
      });
      const { outputs } = JSON.parse(stdout) as { outputs: { name: string; shape: number[] }[] };
      assert.deepEqual(
        outputs.map(({ name, shape }) => [name, shape]),
        [['probabilities', [1, 10]]],
      );
    });
});
