/** kill -9 of replicas under streams of tokens: every caller gets every character once, in order, and no failure. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { protocols } from '../../../proto/load.js';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../proto/messages.js';
import { EFFORT } from '../../kit/mocha/effort.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin, REPOSITORY, reportOf, type SidecarFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';
import { TestClient } from '../../kit/service/model-server.js';

/** Two of each replica, and four by night. */
const STREAMS = EFFORT > 1 ? 12 : 6;
/** More than the windows on the way hold, so that no stream is over before its caller goes on reading. */
const CHARACTERS = 2_000;
/** So many characters are read before a replica is killed. */
const BEFORE = 20;

const FILE = `
services:
  tokens:
    models: ${join(REPOSITORY, 'services/tokens/models')}
    replicas: 3
    queue: { concurrency: 64 }
caller:
  name: app
  admin: "127.0.0.1:0"
  upstreams:
    tokens:
      listen: "127.0.0.1:0"
      # A replica may have more than its third of the streams, and all of them move at once.
      budget: { ratio: 1, per_second: 10 }
      routes:
        - methods: [/inference.GRPCInferenceService/ModelStreamInfer]
          idempotent: true
          resumable: true
          retry: { on: [unavailable] }
`;

function requestOf(seed: number): ModelInferRequest {
  const one = { shape: [1] };
  const prompt = Buffer.from('Call me ');
  return {
    model_name: 'tokens',
    inputs: [
      { name: 'prompt', datatype: 'BYTES', ...one, contents: { bytes_contents: [prompt] } },
      { name: 'max_tokens', datatype: 'INT32', ...one, contents: { int_contents: [CHARACTERS] } },
      { name: 'seed', datatype: 'INT64', ...one, contents: { int64_contents: [String(seed)] } },
    ],
  } as unknown as ModelInferRequest;
}

/** Character and index of one message. */
function answerOf({ error_message, infer_response }: ModelStreamInferResponse): readonly [string, number] {
  assert.equal(error_message ?? '', '');
  const { outputs, raw_output_contents: raw } = infer_response!;
  const output = (name: string): Buffer => Buffer.from(raw[outputs.findIndex((each) => each.name === name)]!);
  return [output('token').toString('utf8', 4), output('index').readInt32LE()];
}

describe('streams of tokens through a mesh', function () {
  this.timeout(120_000);
  const suite = new SuiteMesh(FILE);
  let client: TestClient | undefined;

  before(() => {
    client = new TestClient(suite.facts.call['tokens']!);
  });
  after(() => client?.close());

  class TokenStream {
    readonly answers: (readonly [string, number])[] = [];
    readonly ended: Promise<void>;
    /** Reads on. */
    readonly resume: () => void;

    constructor(readonly seed: number) {
      const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelStreamInfer;
      const stream = client!.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      this.ended = new Promise((resolve, reject) => {
        stream.on('data', (message: ModelStreamInferResponse) => {
          if (this.answers.push(answerOf(message)) === BEFORE) stream.pause();
        });
        stream.on('end', resolve);
        stream.on('error', reject);
      });
      this.resume = () => stream.resume();
      stream.write(requestOf(seed));
      stream.end();
    }

    get text(): string {
      return this.answers.map(([character]) => character).join('');
    }
  }

  const resumed = async (): Promise<number> => {
    const { body } = await admin(suite.caller.admin, '/metrics');
    return sumOfSamples(body, 'outrider_streams_resumed_total');
  };
  /** Streams of which every one is under way when `kill` is called. */
  const streamThrough = async (kill: () => Promise<void>): Promise<TokenStream[]> => {
    const streams = Array.from({ length: STREAMS }, (_, seed) => new TokenStream(seed));
    await until('all are under way', () => streams.every(({ answers }) => answers.length >= BEFORE));
    await kill();
    for (const stream of streams) stream.resume();
    const ends = await Promise.allSettled(streams.map(({ ended }) => ended));
    assert.deepEqual(
      ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : [])),
      [],
    );
    return streams;
  };
  const order = Array.from({ length: CHARACTERS }, (_, i) => i);

  /** The replica with most streams, but for `spared`. */
  const busiest = async (spared = ''): Promise<SidecarFacts> => {
    const { endpoints } = await reportOf(suite.caller.admin);
    const others = endpoints.filter(({ endpoint }) => endpoint !== spared);
    const most = others.reduce((a, b) => (b.inFlight > a.inFlight ? b : a));
    assert.ok(most.inFlight > 0);
    return suite.replicas.find(({ name }) => name === most.endpoint)!;
  };

  it('survive a model process, and then a whole replica', async () => {
    let texts: string[] | undefined;
    let first = '';
    for (const kill of [
      async () => {
        const { name, modelPid } = await busiest();
        first = name;
        process.kill(modelPid!, 'SIGKILL');
      },
      async () => {
        const { pid, modelPid } = await busiest(first);
        process.kill(pid, 'SIGKILL');
        process.kill(modelPid!, 'SIGKILL');
      },
    ]) {
      const before = await resumed();
      const streams = await streamThrough(kill);
      for (const { answers } of streams)
        assert.deepEqual(
          answers.map(([, index]) => index),
          order,
        );
      // Other streams are broken the second time, and each seed has one text.
      texts ??= streams.map(({ text }) => text);
      assert.deepEqual(
        streams.map(({ text }) => text),
        texts,
      );
      const moved = (await resumed()) - before;
      assert.ok(moved > 0, `${moved} streams went on elsewhere`);
    }
  });
});
