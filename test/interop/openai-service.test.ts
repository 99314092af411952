/**
 * The OpenAI service between stock clients (OpenAI's own, the AI SDK, curl) and an engine whose answers the test writes. It is installed and
 * built as services/openai/README.md says.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { END_OF_SEQUENCE } from '../../services/engine/greedy-model.js';
import {
  BEGIN_OF_SEQUENCE,
  byteTokens,
  LONG_TOKEN,
  tokenizerFiles,
} from '../../services/engine/tokenizer.js';
import { type EngineCall, type EngineServer, startEngineServer } from '../kit/engines/engine-server.js';
import {
  buildOpenAiService,
  OPENAI_PROGRAM,
  type OpenAiService,
  startOpenAiService,
} from '../kit/engines/openai-service.js';
import { afterTest } from '../kit/mocha/after-test.js';
import { scratchForTest } from '../kit/mocha/scratch.js';
import { until } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const run = promisify(execFile);

/** Of OpenAI's client, as far as it is used here. */
interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Readonly<Record<string, unknown>> | null;
}
interface Failure extends Error {
  readonly status?: number;
  readonly code?: string | null;
  readonly type?: string;
  readonly headers?: Headers;
}
interface Stream<Item> extends AsyncIterable<Item> {
  readonly controller: AbortController;
}
interface OpenAi {
  readonly models: {
    list(): Promise<{ readonly data: readonly { readonly id: string }[] }>;
    retrieve(id: string): Promise<object>;
  };
  readonly chat: {
    readonly completions: {
      create(body: object & { stream: true }): Promise<Stream<Chunk>>;
      create(body: object): Promise<Record<string, never>>;
    };
  };
  readonly completions: {
    create(
      body: object & { stream: true },
    ): Promise<Stream<{ readonly choices: readonly { readonly text: string }[] }>>;
    create(body: object): Promise<{ readonly choices: readonly { readonly text: string }[] }>;
  };
}

const MODEL = 'org/tiny';
const MESSAGES = [{ role: 'user', content: 'hello' }];

/** Answers with these tokens, some in each message. */
const answerWith =
  (ids: readonly number[], size = 1, reason = 'stop') =>
  async (call: EngineCall): Promise<void> => {
    for (let at = 0; at < ids.length; at += size) await call.send(ids.slice(at, at + size), 2);
    call.complete(reason);
  };

describe('the OpenAI service', function () {
  this.timeout(60_000);
  let engine: EngineServer;
  let service: OpenAiService;
  let clients: string;
  let openai: OpenAi;

  const packageOf = (...parts: readonly string[]) => import(pathToFileURL(path.join(clients, ...parts)).href);
  const post = (body: object | string, at = '/v1/chat/completions', headers = {}) =>
    fetch(`${service.url}${at}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  before(async function () {
    await buildOpenAiService(this);
    clients = await toolOrSkip(this, 'openai-clients');
    engine = await startEngineServer();
    service = await startOpenAiService(['--engine', engine.address, '--max-body-mib', '1']);
    const { OpenAI } = await packageOf('openai', 'index.mjs');
    openai = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: 'none', maxRetries: 0 }) as OpenAi;
  });
  after(async () => {
    engine?.close();
    await service?.program.stop();
  });

  describe("with OpenAI's client", () => {
    it('lists the model of the engine', async () => {
      const { data } = await openai.models.list();
      assert.deepEqual(
        data.map(({ id }) => id),
        [MODEL],
      );
      assert.deepEqual(await openai.models.retrieve(MODEL), {
        id: MODEL,
        object: 'model',
        created: 0,
        owned_by: 'outrider',
      });
    });

    it('answers a chat by the template and the tokens of the model', async () => {
      let call: EngineCall | undefined;
      engine.answer = (given) => {
        call = given;
        return answerWith([...byteTokens('Grüße 😀'), END_OF_SEQUENCE], 3)(given);
      };
      const answer = await openai.chat.completions.create({
        model: MODEL,
        messages: MESSAGES,
        temperature: 0,
        max_tokens: 9,
      });
      const { choices, usage } = answer as unknown as { choices: object[]; usage: object };
      const message = { role: 'assistant', content: 'Grüße 😀', refusal: null };
      assert.deepEqual(choices, [{ index: 0, message, logprobs: null, finish_reason: 'stop' }]);
      const prompt = call!.request.tokenized!.input_ids!;
      assert.deepEqual(usage, {
        ...{ prompt_tokens: prompt.length, completion_tokens: 13, total_tokens: prompt.length + 13 },
        prompt_tokens_details: { cached_tokens: 2 },
      });
      assert.equal(prompt[0], BEGIN_OF_SEQUENCE);
      const expected = await tokensOf('<user>hello</user><assistant>');
      assert.deepEqual(prompt.slice(1), expected.slice(1));
      const { temperature, max_tokens: maxTokens, stop } = call!.request.sampling_params!;
      assert.deepEqual([temperature, maxTokens, stop], [0, 9, []]);
    });

    it('streams text as its characters become whole, with what was used', async () => {
      engine.answer = answerWith([...byteTokens('a😀b'), END_OF_SEQUENCE]);
      const chunks: Chunk[] = [];
      const stream = await openai.chat.completions.create({
        ...{ model: MODEL, messages: MESSAGES, stream: true, stream_options: { include_usage: true } },
      } as object & { stream: true });
      for await (const chunk of stream) chunks.push(chunk);
      const texts = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? ''));
      assert.deepEqual(texts, ['', 'a', '😀', 'b', '']);
      assert.deepEqual(
        chunks.map(({ choices }) => choices[0]?.finish_reason),
        [null, null, null, null, 'stop', undefined],
      );
      assert.equal(chunks.at(-1)!.usage!['completion_tokens'], 7);
    });

    it('ends at a stop string across tokens, tells the engine nothing of it, and cancels its call', async () => {
      let call: EngineCall | undefined;
      engine.answer = async (given) => {
        call = given;
        for (const id of byteTokens('one\nHuman: two')) await given.send([id]);
      };
      const body = { model: MODEL, prompt: 'x', stop: ['\nHuman:'], stream: true } as const;
      let text = '';
      for await (const { choices } of await openai.completions.create(body)) text += choices[0]!.text;
      assert.equal(text, 'one');
      await call!.cancelled;
      assert.deepEqual(call!.request.sampling_params!['stop'], []);
    });

    it('takes token ids as the prompt', async () => {
      let ids: readonly number[] | undefined;
      engine.answer = (call) => {
        ids = call.request.tokenized!.input_ids;
        return answerWith(byteTokens('ok'), 9, 'length')(call);
      };
      const answer = await openai.completions.create({ model: MODEL, prompt: [5, 6, 7] });
      assert.deepEqual([ids, answer.choices[0]!.text], [[5, 6, 7], 'ok']);
    });

    it('throws what the mesh says, with the time to come back', async () => {
      engine.answer = (call) =>
        call.fail(8, 'too many calls', {
          'outrider-reason': 'rate-limited',
          'grpc-retry-pushback-ms': '1500',
        });
      for (const stream of [false, true]) {
        const failure = await failureOf(
          openai.chat.completions.create({ model: MODEL, messages: MESSAGES, stream }),
        );
        assert.deepEqual(
          [failure.status, failure.code, failure.type],
          [429, 'rate-limited', 'rate_limit_error'],
        );
        assert.match(failure.message, /too many calls/);
        assert.deepEqual(
          [failure.headers?.get('retry-after'), failure.headers?.get('retry-after-ms')],
          ['2', '1500'],
        );
      }
    });

    it('throws within a stream that the engine breaks', async () => {
      engine.answer = async (call) => {
        await call.send(byteTokens('half'));
        call.fail(13, 'EngineCore encountered an issue.');
      };
      let text = '';
      const failure = await failureOf(
        (async () => {
          const body = { model: MODEL, messages: MESSAGES, stream: true } as const;
          for await (const { choices } of await openai.chat.completions.create(body))
            text += choices[0]!.delta.content ?? '';
        })(),
      );
      assert.deepEqual([text, failure.type], ['half', 'server_error']);
      assert.match(failure.message, /EngineCore encountered an issue/);
    });

    it('throws a 400 that names what is missing', async () => {
      const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
      const failure = await failureOf(
        openai.chat.completions.create({ model: MODEL, messages: MESSAGES, tools }),
      );
      assert.equal(failure.status, 400);
      assert.match(failure.message, /'tools' is not supported: this service has no tool calls/);
    });

    it('throws a 400 for messages that the template refuses, and for prompts that are too long', async () => {
      const refused = { model: MODEL, messages: [{ role: 'user', content: 'refuse' }] };
      assert.match(
        (await failureOf(openai.chat.completions.create(refused))).message,
        /400.*no such content/,
      );
      const long = await failureOf(openai.completions.create({ model: MODEL, prompt: 'x '.repeat(5_000) }));
      assert.deepEqual([long.status, long.code], [400, 'context_length_exceeded']);
      const word = await failureOf(openai.completions.create({ model: MODEL, prompt: 'x'.repeat(200_000) }));
      assert.match(word.message, /^400 The prompt has more than 32768 letters/);
    });

    it('throws a 404 for a model that is not there', async () => {
      const failure = await failureOf(openai.completions.create({ model: 'gpt-4o', prompt: 'x' }));
      assert.deepEqual([failure.status, failure.code], [404, 'model_not_found']);
    });

    it('cancels the call to the engine when the client goes away', async () => {
      let call: EngineCall | undefined;
      engine.answer = async (given) => {
        call = given;
        await given.send(byteTokens('on'));
      };
      const body = { model: MODEL, messages: MESSAGES, stream: true } as const;
      const stream = await openai.chat.completions.create(body);
      for await (const _ of stream) break;
      stream.controller.abort();
      await call!.cancelled;
    });
  });

  it("answers Vercel's AI SDK", async () => {
    engine.answer = answerWith(byteTokens('hello world'), 4);
    const { createOpenAICompatible } = await packageOf('@ai-sdk', 'openai-compatible', 'dist', 'index.mjs');
    const { generateText, streamText } = await packageOf('ai', 'dist', 'index.mjs');
    const model = createOpenAICompatible({ name: 'mesh', baseURL: `${service.url}/v1`, includeUsage: true })(
      MODEL,
    );
    const { text, finishReason } = await generateText({ model, prompt: 'hi' });
    assert.deepEqual([text, finishReason], ['hello world', 'stop']);
    const streamed = streamText({ model, prompt: 'hi' });
    let pieces = '';
    for await (const piece of streamed.textStream) pieces += piece;
    assert.deepEqual([pieces, (await streamed.usage).outputTokens], ['hello world', 11]);
  });

  it('streams to curl, event by event', async () => {
    engine.answer = answerWith(byteTokens('ok'), 2);
    const body = JSON.stringify({ model: MODEL, messages: MESSAGES, stream: true });
    const json = 'content-type: application/json';
    const { stdout } = await run('curl', [
      '-sSN',
      '-H',
      json,
      '-d',
      body,
      `${service.url}/v1/chat/completions`,
    ]);
    const events = stdout.split('\n\n');
    assert.deepEqual([events.at(-2), events.at(-1)], ['data: [DONE]', '']);
    const deltas = events
      .slice(0, -2)
      .map((event) => JSON.parse(event.slice('data: '.length)).choices[0].delta);
    assert.deepEqual(deltas, [{ role: 'assistant', content: '' }, { content: 'ok' }, {}]);
  });

  it('tells the mesh who calls and in which trace', async () => {
    let metadata: Record<string, unknown> = {};
    engine.answer = (call) => {
      metadata = call.metadata.getMap();
      return answerWith(byteTokens('ok'))(call);
    };
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const body = { model: MODEL, messages: MESSAGES, user: 'Jürgen' };
    const { headers } = await post(body, undefined, { traceparent, 'x-request-id': 'r-1' });
    assert.deepEqual(
      ['traceparent', 'x-request-id', 'openai-caller'].map((key) => metadata[key]),
      [traceparent, 'r-1', 'anonymous'],
    );
    assert.match(String(metadata['openai-cache-key']), /^[0-9a-f]{32}$/);
    assert.equal(headers.get('x-request-id'), 'r-1');
  });

  it('refuses a body that is too large, no JSON, or of another type, in the form of OpenAI', async () => {
    const cases: readonly (readonly [body: string, headers: object, status: number])[] = [
      ['x'.repeat(1_048_577), {}, 413],
      ['{', {}, 400],
      ['model=tiny', { 'content-type': 'text/plain' }, 400],
      ['a=b', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
      ['[]', {}, 400],
    ];
    for (const [body, headers, status] of cases) {
      const response = await post(body, undefined, headers);
      const { error } = (await response.json()) as { error: { type: string; message: string } };
      assert.deepEqual([response.status, error.type], [status, 'invalid_request_error'], body.slice(0, 20));
    }
    const unknown = await fetch(`${service.url}/v1/embeddings`, { method: 'POST' });
    assert.equal(unknown.status, 404);
    assert.match(await unknown.text(), /There is no POST \/v1\/embeddings/);
  });

  it('holds back the engine while a client does not read, and loses nothing', async () => {
    const ids = Array.from({ length: 64 }, () => LONG_TOKEN.id);
    const MOST = 20_000;
    let sent = 0;
    let isHeld = false;
    engine.answer = async (call) => {
      for (; sent < MOST && !isHeld; sent++) await call.send(ids);
      call.complete('length');
    };
    const body = JSON.stringify({ model: MODEL, messages: MESSAGES, stream: true });
    const { port } = new URL(service.url);
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    socket.pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    let before = -1;
    await until('the engine to be held back', async () => {
      const isStill = sent > 0 && sent === before;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return isStill;
    });
    isHeld = true;
    assert.ok(sent < MOST, `${sent} messages`);
    let text = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    socket.resume();
    await new Promise((resolve) => socket.once('end', resolve));
    assert.equal(text.match(/==+/g)!.join('').length, sent * ids.length * LONG_TOKEN.text.length);
    assert.ok(text.includes('data: [DONE]'));
  });

  it('measures times and tokens by the names of OpenTelemetry', async () => {
    engine.answer = answerWith(byteTokens('ok'));
    await (await post({ model: MODEL, messages: MESSAGES })).text();
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    const labels = 'gen_ai_operation_name="chat",gen_ai_request_model="org/tiny"';
    for (const name of [
      'gen_ai_server_time_to_first_token_seconds',
      'gen_ai_server_time_per_output_token_seconds',
    ])
      assert.match(metrics, new RegExp(`${name}_count\\{${labels}\\} [1-9]`));
    assert.match(metrics, /outrider_openai_tokens_total\{caller="anonymous",type="output"\} [1-9]/);
    assert.match(metrics, /outrider_openai_requests_in_flight 0/);
  });

  it('counts an answer among the failures that breaks in its middle', async () => {
    engine.answer = async (call) => {
      await call.send(byteTokens('half'));
      call.fail(14, 'the engine ends');
    };
    const failures = async (): Promise<number> => {
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      const lines =
        metrics.match(/^gen_ai_server_request_duration_seconds_count\{.*error_type="503".*$/gm) ?? [];
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    };
    const before = await failures();
    const text = await (await post({ model: MODEL, messages: MESSAGES, stream: true })).text();
    assert.match(text, /the engine ends/);
    assert.equal(await failures(), before + 1);
  });

  /** Tokens of a completion's prompt, as the service sends them. */
  async function tokensOf(prompt: string): Promise<readonly number[]> {
    let ids: readonly number[] = [];
    engine.answer = (call) => {
      ids = call.request.tokenized!.input_ids!;
      return answerWith(byteTokens('.'))(call);
    };
    await openai.completions.create({ model: MODEL, prompt });
    return ids;
  }
});

/** Asks for the model `mine`. */
const askMine = ({ url }: OpenAiService, headers = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'mine', messages: MESSAGES, stream: true }),
  });

describe('the OpenAI service with keys, a name and a tokenizer from a folder', function () {
  this.timeout(60_000);

  it('knows its callers, and sends each through its own sidecar', async function () {
    await buildOpenAiService(this);
    const scratch = scratchForTest();
    const [engine, other] = await Promise.all([startEngineServer(Buffer.alloc(0)), startEngineServer()]);
    afterTest(() => [engine, other].map((each) => each.close()));
    const seen: unknown[] = [];
    other.answer = (call) => {
      seen.push(call.metadata.get('openai-caller')[0]);
      return answerWith(byteTokens('ok'), 2)(call);
    };
    const { stdout } = await run(process.execPath, [OPENAI_PROGRAM, 'new-key', 'shop']);
    const [, key] = /key for the caller: +(\S+)/.exec(stdout)!;
    const [, line] = /line for the file: +(.+)/.exec(stdout)!;
    const keys = path.join(scratch.path, 'keys');
    writeFileSync(keys, `# callers\n${line} ${other.address}\n`);
    for (const [name, content] of Object.entries(tokenizerFiles()))
      writeFileSync(path.join(scratch.path, name), content);
    const args = ['--engine', engine.address, '--model', 'mine', '--keys', keys, '--tokenizer', scratch.path];
    const service = await startOpenAiService(args);
    afterTest(() => service.program.stop());

    const refused = await askMine(service, { authorization: 'Bearer sk-wrong' });
    assert.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Bearer']);
    assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'invalid_api_key');
    assert.equal((await fetch(`${service.url}/metrics`)).status, 401);
    assert.equal((await fetch(`${service.url}/healthz`)).status, 200);
    const answered = await askMine(service, { authorization: `Bearer ${key}` });
    assert.equal(answered.status, 200);
    assert.match(await answered.text(), /"model":"mine".*"content":"ok".*\[DONE\]/s);
    assert.deepEqual(seen, ['shop']);
  });
});

describe('the OpenAI service, from its start to its end', function () {
  this.timeout(60_000);
  let engine: EngineServer;
  let service: OpenAiService;

  before(async function () {
    await buildOpenAiService(this);
    engine = await startEngineServer();
    engine.close();
    service = await startOpenAiService(['--engine', engine.address, '--model', 'mine'], { isLoading: true });
  });
  after(async () => {
    engine?.close();
    await service?.program.stop();
  });

  it('is alive and not ready while its engine is away', async () => {
    assert.equal((await fetch(`${service.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${service.url}/readyz`)).status, 503);
    const refused = await askMine(service);
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
    assert.match(await refused.text(), /model_loading/);
  });

  it('serves once its engine is there', async () => {
    engine = await startEngineServer(undefined, engine.address);
    engine.answer = answerWith(byteTokens('ok'), 2);
    await until('the service to be ready', async () => (await fetch(`${service.url}/readyz`)).status === 200);
    assert.match(await (await askMine(service)).text(), /"content":"ok"/);
  });

  it('on SIGTERM ends the answers in flight, takes no others, and ends', async () => {
    let finish = () => {};
    engine.answer = async (call) => {
      await call.send(byteTokens('be'));
      finish = () => {
        void call.send(byteTokens('gun')).then(() => call.complete('stop'));
      };
    };
    const { body } = await askMine(service);
    const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value!;
    const stopped = service.program.stop();
    await until('the drain', () => service.program.output.includes('draining'));
    await assert.rejects(askMine(service));
    finish();
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    assert.match(text, /"gun".*\[DONE\]/s);
    await stopped;
    assert.match(service.program.output, /"drained"/);
  });
});

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    return error as Failure;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
}
