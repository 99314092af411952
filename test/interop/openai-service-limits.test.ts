/** The OpenAI service before clients that leave, pipeline, send much or come as web pages, and an engine whose answers the test writes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { byteTokens } from '../../services/engine/tokenizer.js';
import { type EngineCall, type EngineServer, startEngineServer } from '../kit/engines/engine-server.js';
import { buildOpenAiService, type OpenAiService, startOpenAiService } from '../kit/engines/openai-service.js';
import { until } from '../kit/process/processes.js';

const MODEL = 'org/tiny';
const AT_ONCE = 300;

describe('the OpenAI service', function () {
  this.timeout(60_000);
  let engine: EngineServer;
  let service: OpenAiService;
  let calls: EngineCall[];

  const bodyOf = (more: object): string =>
    JSON.stringify({ model: MODEL, prompt: 'hi', stream: true, ...more });
  const requestOf = (body: string, host = 'localhost'): string =>
    `POST /v1/completions HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  const post = (more: object): Promise<Response> =>
    fetch(`${service.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: bodyOf(more),
    });

  async function pipeline(...requests: readonly string[]): Promise<{ socket: Socket; text: () => string }> {
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    await once(socket, 'connect');
    let text = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    socket.write(requests.join(''));
    return { socket, text: () => text };
  }

  /** A value of `/metrics`. */
  async function metric(line: string): Promise<number> {
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    const found = metrics.split('\n').find((each) => each.startsWith(`${line} `));
    return found === undefined ? 0 : Number(found.split(' ').at(-1));
  }
  const outputTokens = () => metric('outrider_openai_tokens_total{caller="anonymous",type="output"}');

  before(async function () {
    await buildOpenAiService(this);
    engine = await startEngineServer(undefined, undefined, { 'grpc.max_concurrent_streams': 256 });
    service = await startOpenAiService(['--engine', engine.address]);
  });
  beforeEach(() => {
    calls = [];
    engine.answer = async (call) => {
      calls.push(call);
      await call.send(byteTokens('on'));
    };
  });
  after(async () => {
    engine?.close();
    await service?.program.stop();
  });

  it('notices that a client has left with requests that it had pipelined, and counts what they have used', async () => {
    const before = await outputTokens();
    const { socket, text } = await pipeline(requestOf(bodyOf({})), requestOf(bodyOf({})));
    await until(
      'both are at the engine, and the first is answered',
      () => calls.length === 2 && text().includes('"text":"on"'),
    );
    socket.destroy();
    await Promise.all(calls.map(({ cancelled }) => cancelled));
    await until(
      'their places are free',
      async () => (await metric('outrider_openai_requests_in_flight')) === 0,
    );
    // Two of the first; those of the second have been read, or not.
    const used = (await outputTokens()) - before;
    assert.ok(used >= 2 && used <= 4, `${used}`);
  });

  it('answers pipelined requests one after the other', async () => {
    engine.answer = async (call) => {
      const nth = calls.push(call);
      await call.send(byteTokens(`answer ${nth}`));
      if (nth === 2) {
        for (const each of [call, calls[0]!]) each.complete('stop');
      }
    };
    const { socket, text } = await pipeline(requestOf(bodyOf({})), requestOf(bodyOf({})));
    await until('both answers', () => text().split('[DONE]').length === 3);
    assert.match(text(), /"answer 1".*\[DONE\].*"answer 2".*\[DONE\]/s);
    socket.destroy();
  });

  it('counts the tokens of an answer that breaks', async () => {
    const before = await outputTokens();
    engine.answer = async (call) => {
      await call.send(byteTokens('half'));
      call.fail(14, 'the engine ends');
    };
    for (const stream of [true, false]) await (await post({ stream })).text();
    assert.equal(await outputTokens(), before + 8);
  });

  it('refuses what its tokenizer would take minutes for, and encodes the prompts of others', async () => {
    const slow = [' ', '=', 'x'].map((letter) => post({ prompt: letter.repeat(200_000) }));
    const answered = await post({ prompt: 'hello' });
    assert.equal(answered.status, 200);
    await answered.body!.cancel();
    for (const refused of await Promise.all(slow)) {
      assert.equal(refused.status, 400);
      assert.match(await refused.text(), /does not cut/);
    }
    const long = await post({ prompt: 'word '.repeat(500_000) });
    assert.match(await long.text(), /context_length_exceeded/);
  });

  it(`has ${AT_ONCE} answers at a time, more than one connection to a sidecar carries`, async () => {
    const answers = Array.from({ length: AT_ONCE }, () => post({}));
    await until('all are at the engine', () => calls.length === AT_ONCE, 45_000);
    for (const call of calls) call.complete('stop');
    for (const answer of await Promise.all(answers)) assert.match(await answer.text(), /\[DONE\]/);
  });

  it('refuses web pages, as it has no keys', async () => {
    const { socket, text } = await pipeline(requestOf(bodyOf({}), 'evil.example'));
    await until('an answer', () => text().includes('}'));
    socket.destroy();
    assert.match(text(), /^HTTP\/1\.1 403 .*Found Host 'evil\.example'/s);
    assert.equal(calls.length, 0);
    const page = await fetch(`${service.url}/v1/models`, { headers: { origin: 'http://evil.example' } });
    assert.equal(page.status, 403);
    assert.equal(
      (await fetch(`${service.url}/healthz`, { headers: { origin: 'http://evil.example' } })).status,
      200,
    );
  });
});
