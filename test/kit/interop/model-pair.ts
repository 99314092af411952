/** Models of each kind behind two sidecars with mutual TLS, for the tests of one describe block. */

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { REPOSITORY_LOAD, REPOSITORY_UNLOAD } from '../../../sidecar/codec/repository.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { Mesh } from '../process/outrider.js';
import { startPair } from '../process/sidecars.js';
import { ROOT } from '../process/tools.js';
import { temporaryDirectory } from '../service/model-server.js';
import { putIdentityModel, putLoopModel } from '../service/tiny-models.js';

const CODE = fileURLToPath(new URL('../service/counting-model.js', import.meta.url));
const SERVER = path.join(ROOT, 'dist', 'services', 'model-server', 'main.js');
const CONTROL = [REPOSITORY_LOAD, REPOSITORY_UNLOAD];
const GOLDEN = 'golden: {inputs: {number: {shape: [1], values: [3]}}, outputs: {total: {values: [3]}}}\n';

/** What runs: where the application calls, `127.0.0.1:PORT`. */
interface Started {
  readonly target: string;
  close(): Promise<unknown>;
}

/** One process that serves all models, passed through by its sidecar; or `outrider up`, with a process for each model. */
export type Serving = 'one process' | 'a process per model';

/**
 * `digits` (network, batched, labels), `text` (BYTES), `loop` (takes as long as it is told), and in code: `counting` (one
 * answer), `sums` (a sequence each), `counter` (decoupled: as many answers as the number says).
 */
export function suiteModels(serving: Serving = 'one process'): { readonly target: string } {
  const suite = {} as Started;
  let directory: string | undefined;
  before(async function () {
    this.timeout(60_000);
    directory = temporaryDirectory();
    const models = path.join(directory, 'models');
    putModels(models);
    const start = serving === 'one process' ? onePair : oneMesh;
    Object.assign(suite, await start(directory, models));
  });
  after(async () => {
    await suite.close?.();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });
  return suite;
}

async function onePair(directory: string, models: string): Promise<Started> {
  const command = [
    process.execPath,
    SERVER,
    '--models',
    models,
    '--listen',
    '{socket}',
    '--control',
    'explicit',
  ];
  const local = { kind: 'unix', path: path.join(directory, 'model.sock') } as const;
  const pair = await startPair({ local, model: { command }, controlMethods: CONTROL });
  await pair.ready();
  return { target: writeAddress(pair.target), close: () => pair.close() };
}

async function oneMesh(_: string, models: string): Promise<Started> {
  const file = {
    services: { testing: { models, replicas: 1, repository: { control: 'explicit' } } },
    caller: { name: 'app', upstreams: { testing: { listen: '127.0.0.1:0' } } },
    intentions: [{ from: 'app', to: 'testing', action: 'allow', control_methods: CONTROL }],
  };
  const mesh = Mesh.start(JSON.stringify(file));
  const { call } = await mesh.ready();
  return { target: call['testing']!, close: () => mesh.discard() };
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
