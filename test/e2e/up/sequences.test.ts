/** Sequences of a stock client stay at one replica each, and move only with the replica that goes away. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';
import { Mesh } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { TestClient } from '../../kit/service/model-server.js';

const PROGRAM = fileURLToPath(new URL('../../kit/service/chain-process.js', import.meta.url));
const SEQUENCES = 100;
const { path, requestSerialize } = protocols().inference.ModelInfer;
const asIs = (bytes: Buffer): Buffer => bytes;

/** What a busy machine does to the times of one of three replicas, and the ejection of it, is not what this is about. */
const UPSTREAM =
  'balance: {kind: ring-hash, hash_on: {parameter: sequence_id}}, ejection: {detectors: {latency: {mode: observe}}}';

function meshFile(log: string, replicas: number): string {
  const words = [process.execPath, PROGRAM, 'r{replica}', '{address}', log];
  return [
    `services: {s: {replicas: ${replicas}, queue: {concurrency: 32}, command: ${JSON.stringify(words)}}}`,
    `caller: {name: app, admin: "127.0.0.1:0", upstreams: {s: {listen: "127.0.0.1:0", ${UPSTREAM}}}}`,
  ].join('\n');
}

describe('sequences of a client', function () {
  this.timeout(120_000);
  const scratch = scratchForEach();
  let mesh: Mesh | undefined;
  let client: TestClient | undefined;

  afterEach(async () => {
    client?.close();
    await mesh?.discard();
  });

  /** One request of a sequence; its number is the trace id too, by which the log of the replicas names it. */
  function call(sequence: number, inputBytes = 100): Promise<void> {
    const request = requestSerialize({
      ...{ model_name: 'm', model_version: '', id: 'of a client' },
      // tritonclient sends numbers as int64 and texts as string.
      parameters: {
        sequence_start: { bool_param: false },
        sequence_id:
          sequence % 2 === 0 ? { int64_param: String(sequence) } : { string_param: `s${sequence}` },
      },
      inputs: [{ name: 'x', datatype: 'UINT8', shape: [inputBytes] }],
      raw_input_contents: [Buffer.alloc(inputBytes)],
    } as never);
    const metadata = new Metadata();
    metadata.set('traceparent', `00-${String(sequence).padStart(32, '0')}-b7ad6b7169203331-01`);
    const options = { deadline: Date.now() + 20_000 };
    return new Promise((resolve, reject) => {
      client!.client.makeUnaryRequest(path, asIs, asIs, request, metadata, options, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  async function load(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++)
      for (let i = 1; i <= SEQUENCES; i += 20)
        await Promise.all(
          Array.from({ length: 20 }, (_, k) => call(i + k, round === 0 && k === 0 ? 600_000 : 100)),
        );
  }

  it('stay at one of three replicas each, and move only from the one that goes away', async () => {
    const log = join(scratch.path, 'calls.log');
    /** The replicas that had requests of each sequence. */
    const homes = (): Map<number, Set<string>> => {
      const found = new Map<number, Set<string>>();
      for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
        const [replica, , trace] = line.split(' ') as [string, string, string];
        const sequence = Number(trace.split('-')[1]);
        found.set(sequence, (found.get(sequence) ?? new Set()).add(replica));
      }
      return found;
    };
    mesh = Mesh.start(meshFile(log, 3));
    const { call: targets } = await mesh.ready();
    client = new TestClient(targets['s']!);
    await load(4);
    const before = homes();
    assert.equal(before.size, SEQUENCES);
    assert.ok([...before.values()].every((replicas) => replicas.size === 1));
    assert.equal(new Set([...before.values()].flatMap((replicas) => [...replicas])).size, 3);

    writeFileSync(log, '');
    writeFileSync(join(mesh.temporary, 'mesh.yaml'), meshFile(log, 2));
    const isTaken = () => mesh!.events.find(({ event }) => event === 'mesh-taken');
    await until('the third replica has ended', isTaken, 60_000);
    await load(2);
    for (const [sequence, replicas] of homes()) {
      const [now] = replicas;
      const [was] = before.get(sequence)!;
      assert.equal(replicas.size, 1);
      if (was !== 'r3') assert.equal(now, was, `sequence ${sequence}`);
    }
  });
});
