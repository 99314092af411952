import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { protocols } from '../../../proto/load.js';
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from '../../../proto/messages.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { type Harness, startHarness } from '../../kit/service/model-server.js';

const ALL = 4096;

function request(id: string, maxTokens: number, prompt = 'Call me '): ModelInferRequest {
  const one = { shape: [1] };
  return {
    model_name: 'tokens',
    id,
    inputs: [
      { name: 'prompt', datatype: 'BYTES', ...one, contents: { bytes_contents: [Buffer.from(prompt)] } },
      { name: 'max_tokens', datatype: 'INT32', ...one, contents: { int_contents: [maxTokens] } },
    ],
  };
}

/** Of the one output `token`; the first of four bytes is its length. */
function textOf({ outputs, raw_output_contents: raw }: ModelInferResponse): string {
  const at = outputs.findIndex(({ name }) => name === 'token');
  const bytes = Buffer.from(raw[at]!);
  let text = '';
  for (let i = 0; i < bytes.length; i += 4 + bytes.readUInt32LE(i))
    text += bytes.toString('utf8', i + 4, i + 4 + bytes.readUInt32LE(i));
  return text;
}

function indexOf({ outputs, raw_output_contents: raw }: ModelInferResponse): number {
  return Buffer.from(raw[outputs.findIndex(({ name }) => name === 'index')]!).readInt32LE();
}

describe('tokens, streamed to a stock client', function () {
  this.timeout(60_000);
  let harness: Harness;
  const texts: string[] = [];
  const streams: ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>[] = [];

  before(async () => {
    harness = await startHarness(join(packageRoot, 'services/tokens/models'));
  });
  after(() => harness.stop());
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.cancel();
    texts.length = 0;
  });

  function openStream(metadata = new Metadata()) {
    const { path, requestSerialize, responseDeserialize } = protocols().inference.ModelStreamInfer;
    const stream = harness.client.client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
    );
    stream.on('error', () => {}); // cancelled at the end of the test
    streams.push(stream);
    return stream;
  }

  /** Answers as they come; `seen` is called with each. Resolves with all of them at the end of the stream. */
  function answersOf(
    stream: ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>,
    seen: (answers: readonly ModelInferResponse[]) => void = () => {},
  ): Promise<ModelInferResponse[]> {
    const answers: ModelInferResponse[] = [];
    stream.on('data', ({ error_message, infer_response }: ModelStreamInferResponse) => {
      assert.equal(error_message ?? '', '');
      answers.push(infer_response!);
      seen(answers);
    });
    return new Promise((resolve, reject) => {
      stream.on('end', () => resolve(answers));
      stream.on('error', reject);
    });
  }

  const untilSeen = (stream: ReturnType<typeof openStream>, count: number): Promise<void> =>
    new Promise((resolve, reject) => {
      void answersOf(stream, ({ length }) => length === count && resolve()).catch(reject);
    });

  it('comes one character a message, in order, the first long before the last', async () => {
    const stream = openStream();
    let runsAtFirst = 0;
    const before = harness.server.counters.runs;
    const all = answersOf(stream, ({ length }) => {
      if (length === 1) runsAtFirst = harness.server.counters.runs - before;
    });
    stream.write(request('s', 1000));
    stream.end();
    const answers = await all;
    assert.deepEqual(
      answers.map(indexOf),
      Array.from({ length: 1000 }, (_, i) => i),
    );
    assert.ok(answers.every(({ id }) => id === 's'));
    assert.ok(runsAtFirst < 100, `${runsAtFirst} runs before the first answer was there`);
    const whole = await harness.client.infer(request('', 1000));
    assert.equal(answers.map(textOf).join(''), textOf(whole));
  });

  it('goes on after the answers that the caller has, and says so', async () => {
    const metadata = new Metadata();
    metadata.set('outrider-resume-after', '15');
    const stream = openStream(metadata);
    let from: unknown;
    stream.on('metadata', (headers: Metadata) => {
      from = headers.get('outrider-resumed-from')[0];
    });
    const all = answersOf(stream);
    stream.write(request('s', 20));
    stream.end();
    const answers = await all;
    assert.deepEqual([from, answers.map(indexOf)], ['15', [15, 16, 17, 18, 19]]);
    const whole = textOf(await harness.client.infer(request('', 20)));
    assert.equal(answers.map(textOf).join(''), whole.slice(15));
  });

  it('lets a unary call in between: it waits one answer of the stream, not all of them', async () => {
    const stream = openStream();
    let streamed = 0;
    const begun = new Promise<void>((resolve, reject) => {
      void answersOf(stream, ({ length }) => {
        streamed = length;
        if (length === 10) resolve();
      }).catch(reject);
    });
    stream.write(request('s', ALL));
    await begun;
    const before = streamed;
    assert.equal(textOf(await harness.client.infer(request('', 1, 'Ahab'))).length, 1);
    assert.ok(streamed - before < 200, `${streamed - before} answers of the stream meanwhile`);
  });

  it('gives two streams a turn each', async () => {
    const counts = [0, 0];
    const ends = counts.map((_, i) => {
      const stream = openStream();
      const end = answersOf(stream, ({ length }) => {
        counts[i] = length;
      });
      stream.write(request(String(i), 500, `${i} `));
      stream.end();
      return end.then(() => counts[1 - i]!);
    });
    const atFirstEnd = await Promise.race(ends);
    assert.ok(atFirstEnd > 400, `the other stream had ${atFirstEnd} of 500 when the first was done`);
    await Promise.all(ends);
  });

  it('ends its work when it is cancelled', async () => {
    const stream = openStream();
    stream.write(request('s', ALL));
    const gone = untilSeen(stream, 10);
    await gone;
    stream.cancel();
    // The cancellation is on the same connection, before these calls.
    await harness.client.infer(request('', 1));
    const before = harness.server.counters.runs;
    for (let i = 0; i < 20; i++) await harness.client.infer(request('', 1));
    assert.equal(harness.server.counters.runs - before, 20);
    assert.ok(before < ALL, String(before));
  });
});
