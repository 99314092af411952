import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { protocols } from '../../../../../proto/load.js';
import { HealthTable } from '../../../../../services/model-server/protocol/health.js';
import { startModelServer } from '../../../../../services/model-server/server.js';
import {
  describeOverServers,
  failure,
  type Harness,
  type TestClient,
  temporaryDirectory,
} from '../../../../kit/service/model-server.js';
import { identityModel, putModel } from '../../../../kit/service/tiny-models.js';

const golden = { inputs: { x: { shape: [1], values: [1] } }, outputs: { y: { values: [1] } } };

/** A Watch, read one status at a time. */
function watch(client: TestClient, service: string) {
  const { Watch } = protocols().health;
  const stream = client.client.makeServerStreamRequest(
    Watch.path,
    Watch.requestSerialize,
    Watch.responseDeserialize,
    { service },
    {},
  );
  const seen: string[] = [];
  let wake = () => {};
  stream.on('data', (message) => {
    seen.push(message.status);
    wake();
  });
  const ended = endOf(stream);
  const next = async () => {
    while (seen.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return seen.shift();
  };
  return { next, ended, cancel: () => stream.cancel() };
}

/** The status that ends a stream. */
function endOf(stream: Readable): Promise<number> {
  return new Promise((resolve) => {
    stream.on('error', (error) => resolve((error as unknown as { code: number }).code));
    stream.on('end', () => resolve(0));
  });
}

const check = (client: TestClient, service = '') => client.call(protocols().health.Check, { service });

const reflect = ({ client }: TestClient, version: string) => {
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  return client.makeBidiStreamRequest(
    path,
    (b: Buffer) => b,
    (b: Buffer) => b,
  );
};

describeOverServers('health of a model server', (startHarness) => {
  let models: string;
  let harness: Harness;

  beforeEach(async () => {
    models = temporaryDirectory();
    putModel(models, 'm', identityModel('FP32'), { golden });
    harness = await startHarness(models);
  });
  afterEach(async () => {
    await harness.stop();
    rmSync(models, { recursive: true });
  });

  it('is NOT_SERVING before the golden input passed, then SERVING, then NOT_SERVING when it stops', async () => {
    const socket = join(temporaryDirectory(), 's');
    const server = await startModelServer({
      modelsDirectory: models,
      listen: { kind: 'unix', path: socket },
      version: '0',
      log: () => {},
      wallNow: Date.now,
      runNow: () => performance.now(),
    });
    assert.equal(server.health.get('m'), 'NOT_SERVING');
    const states: string[] = [];
    for (const service of ['', 'm'])
      server.health.watch(service, (state) => states.push(`${service}:${state}`));
    await server.loaded;
    await server.stop();
    const began = [':NOT_SERVING', 'm:NOT_SERVING', 'm:SERVING', ':SERVING'];
    assert.deepEqual(states, [...began, ':NOT_SERVING', 'm:NOT_SERVING']);
  });

  it('answers Check for the whole, for each model, and NOT_FOUND for anything else', async () => {
    for (const service of ['', 'm'])
      assert.deepEqual(await check(harness.client, service), { status: 'SERVING' });
    assert.equal((await failure(check(harness.client, 'x'))).code, status.NOT_FOUND);
  });

  it('streams the state at once, then each change, and ends the stream when it stops', async () => {
    const whole = watch(harness.client, '');
    assert.equal(await whole.next(), 'SERVING');
    harness.server.health.set('', 'NOT_SERVING');
    assert.equal(await whole.next(), 'NOT_SERVING');
    harness.server.health.set('', 'NOT_SERVING');
    harness.server.health.set('', 'SERVING');
    assert.equal(await whole.next(), 'SERVING');
    const stopped = harness.server.stop();
    assert.equal(await whole.next(), 'NOT_SERVING');
    assert.equal(await whole.ended, status.UNAVAILABLE);
    await stopped;
  });

  it('says SERVICE_UNKNOWN to a Watch for what does not exist, and goes on watching', async () => {
    const unknown = watch(harness.client, 'later');
    assert.equal(await unknown.next(), 'SERVICE_UNKNOWN');
    harness.server.health.set('later', 'SERVING');
    assert.equal(await unknown.next(), 'SERVING');
    unknown.cancel();
  });

  it('forgets a watcher whose caller has gone', async () => {
    const watchers = [watch(harness.client, ''), watch(harness.client, 'm')];
    for (const watcher of watchers) await watcher.next();
    assert.equal(harness.server.health.watcherCount, 2);
    for (const watcher of watchers) watcher.cancel();
    await Promise.all(watchers.map((w) => w.ended));
    // The server learns of it with the reset; a call behind it on the same connection comes after.
    while (harness.server.health.watcherCount > 0) await check(harness.client);
  });

  it('ends a Watch that was on its way when it was told to stop', async () => {
    await check(harness.client);
    const stopping = harness.server.stop();
    const late = watch(harness.client, '');
    assert.equal(await late.ended, status.UNAVAILABLE);
    await stopping;
  });

  it('answers new calls with UNAVAILABLE once it is stopping', async () => {
    await harness.server.stop();
    assert.equal((await failure(check(harness.client))).code, status.UNAVAILABLE);
  });

  it('lists and describes its services by reflection, in both versions of that protocol', async () => {
    for (const version of ['v1', 'v1alpha']) {
      const ask = async (request: Buffer) => {
        const stream = reflect(harness.client, version);
        stream.write(request);
        const answer = await new Promise<Buffer>((resolve, reject) =>
          stream.on('data', resolve).on('error', reject),
        );
        await new Promise<void>((resolve) => {
          stream.on('end', resolve);
          stream.end();
        });
        return answer.toString('latin1');
      };
      const listed = await ask(Buffer.from([0x3a, 0x00])); // list_services
      for (const name of ['inference.GRPCInferenceService', 'grpc.health.v1.Health'])
        assert.ok(listed.includes(name));
      const symbol = Buffer.from('inference.GRPCInferenceService');
      const file = await ask(Buffer.concat([Buffer.from([0x22, symbol.length]), symbol])); // file_containing_symbol
      for (const name of ['ModelInferRequest', 'raw_input_contents', 'InferTensorContents'])
        assert.ok(file.includes(name));
    }
  });
});

describeOverServers('reflection of a model server', (startHarness) => {
  it('ends a stream that asks for a name of more than 64 KiB, and goes on', async () => {
    const models = temporaryDirectory();
    putModel(models, 'm', identityModel('FP32'), { golden });
    const harness = await startHarness(models);
    const stream = reflect(harness.client, 'v1');
    const ended = endOf(stream);
    stream.on('data', () => {});
    stream.write(Buffer.alloc(64 * 1024 + 2, Buffer.from([0x3a, 0x00])));
    assert.equal(await ended, status.INVALID_ARGUMENT);
    assert.deepEqual(await check(harness.client), { status: 'SERVING' });
    await harness.stop();
    rmSync(models, { recursive: true });
  });
});

describe('the health table', () => {
  it('tells a watcher nothing twice, and nothing after it stopped watching', () => {
    const table = new HealthTable();
    const seen: string[] = [];
    table.set('m', 'NOT_SERVING');
    const unwatch = table.watch('m', (s) => seen.push(s));
    table.set('m', 'NOT_SERVING');
    table.set('m', 'SERVING');
    unwatch();
    table.set('m', 'NOT_SERVING');
    assert.deepEqual(seen, ['NOT_SERVING', 'SERVING']);
    assert.equal(table.watcherCount, 0);
  });

  it('stays NOT_SERVING once stopped, even when a model finishes loading later', () => {
    const table = new HealthTable();
    table.set('m', 'SERVING');
    table.stop();
    table.set('m', 'SERVING');
    assert.equal(table.get('m'), 'NOT_SERVING');
  });
});
