/** A model server with one model of each kind, behind two sidecars with mutual TLS, for the tests of one describe block. */

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { type Pair, startPair } from '../process/sidecars.js';
import { ROOT } from '../process/tools.js';
import { temporaryDirectory } from '../service/model-server.js';
import { putIdentityModel, putLoopModel } from '../service/tiny-models.js';

const CODE = fileURLToPath(new URL('../service/counting-model.js', import.meta.url));
const SERVER = path.join(ROOT, 'dist', 'services', 'model-server', 'main.js');
const GOLDEN = 'golden: {inputs: {number: {shape: [1], values: [3]}}, outputs: {total: {values: [3]}}}\n';

export interface ModelPair {
  readonly pair: Pair;
  /** Where the application calls: `127.0.0.1:PORT`. */
  readonly target: string;
}

/**
 * `digits` (network, batched, labels), `text` (BYTES), `loop` (takes as long as it is told), and in code: `counting` (one
 * answer), `sums` (a sequence each), `counter` (decoupled: as many answers as the number says).
 */
export function suiteModels(): ModelPair {
  const suite = {} as { pair: Pair; target: string };
  let directory: string | undefined;
  before(async function () {
    this.timeout(60_000);
    directory = temporaryDirectory();
    const models = path.join(directory, 'models');
    putModels(models);
    const command = [process.execPath, SERVER, '--models', models, '--listen', '{socket}'];
    const local = { kind: 'unix', path: path.join(directory, 'model.sock') } as const;
    suite.pair = await startPair({ local, model: { command } });
    suite.target = writeAddress(suite.pair.target);
    await suite.pair.ready();
  });
  after(async () => {
    await suite.pair?.close();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });
  return suite;
}

function putModels(models: string): void {
  cpSync(path.join(ROOT, 'services', 'digits', 'models'), models, { recursive: true });
  putIdentityModel(models, 'text', 'BYTES', ['a', 'b']);
  putLoopModel(models);
  putCounting(models, 'counting', '');
  putCounting(models, 'sums', 'sequence: {max: 8, idle: 60s}\n');
  putCounting(models, 'counter', 'settings: {streams: true}\n');
}

function putCounting(models: string, name: string, card: string): void {
  const directory = path.join(models, name, '1');
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    path.join(directory, 'model.yaml'),
    `code: ${path.relative(directory, CODE)}\n${card}${GOLDEN}`,
  );
}
