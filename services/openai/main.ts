#!/usr/bin/env node
/** The program: `node dist/main.js --help`. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineClient } from './engine/engine-client.js';
import { loadModel, type Model } from './engine/model.js';
import { GrpcHealth } from './http/grpc-health.js';
import { Keys, keyLine } from './http/keys.js';
import { Metrics } from './http/metrics.js';
import { createServer } from './http/server.js';
import { type Options, readOptions, USAGE } from './options.js';

/** Between two tries to load the model, at first and at most. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;

const log = (message: string): void => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), message })}\n`);
};

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function fail(message: string): never {
  log(message);
  process.exit(1);
}

async function serve(options: Options): Promise<void> {
  const keys = options.keyFile === undefined ? undefined : Keys.parse(readFileSync(options.keyFile, 'utf8'));
  const engine = new EngineClient(options.engine);
  const engines = new Map([
    [options.engine, engine],
    ...(keys?.engines ?? []).map((address) => [address, new EngineClient(address)] as const),
  ]);
  let model: Model | undefined;
  const server = createServer({
    keys,
    hosts: new Set(options.hosts),
    model: () => model,
    engineOf: (caller) => engines.get(caller.engine ?? options.engine) ?? engine,
    metrics: new Metrics(() => model?.names[0] ?? ''),
    maxBodyBytes: options.maxBodyBytes,
    maxInFlight: options.maxInFlight,
    log,
    date: Date.now,
    now: () => performance.now(),
  });
  const health = new GrpcHealth();
  if (options.health !== undefined) await health.listen(options.health);
  const address = await server.listen(options.listen);
  log(`listening at ${address}, engine at ${options.engine}`);

  let isDraining = false;
  const drain = async (): Promise<void> => {
    if (isDraining) return;
    isDraining = true;
    health.set('NOT_SERVING');
    log('draining');
    setTimeout(() => fail(`answers are left after ${options.drainMs} ms`), options.drainMs).unref();
    await server.close();
    health.close();
    for (const each of engines.values()) each.close();
    log('drained');
    process.exit(0);
  };
  process.on('SIGTERM', () => void drain());
  process.on('SIGINT', () => void drain());

  for (
    let waitMs = RETRY_MS;
    model === undefined && !isDraining;
    waitMs = Math.min(MAX_RETRY_MS, waitMs * 1.5)
  ) {
    try {
      model = await loadModel({
        engine,
        names: options.names,
        tokenizerFolder: options.tokenizerFolder,
        onThreadEnd: (error) => fail(`the tokenizer's thread ended: ${error.message}`),
      });
    } catch (error) {
      log(`the model cannot be loaded yet: ${textOf(error)}`);
      await sleep(waitMs);
    }
  }
  if (isDraining) return;
  health.set('SERVING');
  log(`serving ${model?.names.join(', ')}`);
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--help' || first === '-h') process.stdout.write(USAGE);
else if (first === 'new-key') {
  const [name = ''] = rest;
  const key = `sk-${randomBytes(32).toString('base64url')}`;
  const line = keyLine(name, key);
  try {
    Keys.parse(line);
  } catch {
    fail('new-key needs a NAME of letters, digits, dots, dashes and underscores');
  }
  process.stdout.write(`key for the caller:  ${key}\nline for the file:   ${line}\n`);
} else
  try {
    await serve(readOptions(process.argv.slice(2), process.env));
  } catch (error) {
    fail(textOf(error));
  }
