/** A real sidecar in which exceptions are thrown: what goes on, and how it ends. */

import assert from 'node:assert/strict';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { REQUEST } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';
import { SidecarProcess } from '../../kit/process/sidecars.js';

const PLANTED = new URL('../../kit/process/planted-throws.js', import.meta.url).href;
/** Of characters for which HPACK's Huffman code is longer than they are, so that a client sends them as they are. */
const MARK = '{}{}{}{}{}{}';
/** As many within a minute are too many (core/health/defect-policy.ts). */
const MOST = 5;

describe('a sidecar in which exceptions are thrown', function () {
  this.timeout(60_000);

  const scratch = scratchForEach();
  let model: Model;
  let sidecar: SidecarProcess;
  const clients: Client[] = [];

  beforeEach(async () => {
    model = await Model.start({ serviceMs: 500 });
    const file = scratch.write(
      'sidecar.yaml',
      `service: web
admin: 127.0.0.1:0
drain_timeout: 10s
log: { level: warn }
outbound:
  upstreams:
    far: { listen: "127.0.0.1:0", tls: plaintext, endpoints: ["127.0.0.1:${model.port}"] }
`,
    );
    sidecar = await SidecarProcess.start(file, {
      env: { NODE_OPTIONS: `--import ${PLANTED}`, PLANTED_MARK: MARK },
    });
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await sidecar.stop();
    await model.kill();
  });

  /** A connection of its own. */
  function connect(): Client {
    const where = writeAddress(sidecar.address('upstream far'));
    const own = { 'grpc.use_local_subchannel_pool': 1 };
    const client = new Client(where, credentials.createInsecure(), own);
    clients.push(client);
    return client;
  }

  /** Resolves with the status of one call. */
  function call(client: Client, value = 'harmless'): Promise<status> {
    const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelInfer;
    const metadata = new Metadata();
    metadata.set('x-planted', value);
    return new Promise((resolve) => {
      const done = (error: ServiceError | null): void => resolve(error === null ? status.OK : error.code);
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, REQUEST, metadata, done);
    });
  }

  it('ends the connection that each concerns, and at the fifth in a minute drains and exits with 1, loudly', async () => {
    const canary = connect();
    assert.equal(await call(canary), status.OK);
    for (let i = 1; i < MOST; i++) {
      assert.notEqual(await call(connect(), MARK), status.OK);
      assert.equal(await sidecar.metric('outrider_defects_total'), i);
      assert.equal(await call(canary), status.OK, `the calls of others, after ${i}`);
      assert.equal((await sidecar.page('/ready')).status, 200);
    }
    assert.match(sidecar.output, /planted in a read/);
    const underWay = call(canary);
    await until('it is at the model', async () => (await sidecar.metric('outrider_calls_in_flight')) === 1);
    void call(connect(), MARK);
    assert.equal(await underWay, status.OK, 'a call under way ends well');
    assert.equal(await sidecar.exited, 1);
    assert.match(sidecar.output, /there are too many, and this process ends/);
  });

  it('drains and exits with 1 at the first that belongs to nothing, with its stack in the log', async () => {
    const underWay = call(connect());
    await until('it is at the model', async () => (await sidecar.metric('outrider_calls_in_flight')) === 1);
    sidecar.child.kill('SIGWINCH');
    assert.equal(await underWay, status.OK, 'a call under way ends well');
    assert.equal(await sidecar.exited, 1);
    assert.match(sidecar.output, /it could not be contained, and this process ends/);
    assert.match(sidecar.output, /planted without an owner.*planted-throws\.js/s);
  });
});
