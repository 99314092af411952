/**
 * OpenAI's clients, the OpenAI service with its sidecar, and two engines with theirs: an engine is killed in the middle of answers, and the
 * client notices nothing.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { buildOpenAiService } from '../../kit/engines/openai-service.js';
import { freePort } from '../../kit/process/free-port.js';
import { Mesh, REPOSITORY, type SidecarFacts } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { toolOrSkip } from '../../kit/process/tools.js';

const run = promisify(execFile);
const STREAMS = 12;
const TOKENS = 200;
/** The example, on free ports, with paths that hold from any folder and engines in a hurry. */
const fileOn = (port: number): string =>
  readFileSync(join(REPOSITORY, 'services/openai/mesh.yaml'), 'utf8')
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replaceAll(/127\.0\.0\.1:8[89]\d\d/g, '127.0.0.1:0')
    .replaceAll(/(dist|services)\/\S+\.js/g, `${REPOSITORY}/$&`)
    .replace('"50"', '"10"');

interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string };
    readonly finish_reason: string | null;
  }[];
}

/** OpenAI's client for Python: prints the answer to a question as it streams. */
const PYTHON = `
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
stream = client.chat.completions.create(
    model="fake", messages=[{"role": "user", "content": sys.argv[2]}], temperature=0, max_tokens=int(sys.argv[3]),
    stream=True, stream_options={"include_usage": True}, extra_body={"ignore_eos": True})
usage = None
for chunk in stream:
    usage = chunk.usage or usage
    for choice in chunk.choices:
        sys.stdout.write(choice.delta.content or "")
assert usage.completion_tokens == int(sys.argv[3]), usage
`;

interface Whole {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly usage: { readonly completion_tokens: number };
}

describe('the OpenAI service in a mesh', function () {
  this.timeout(120_000);
  let mesh: Mesh | undefined;
  let sidecars: readonly SidecarFacts[];
  let baseURL: string;
  /** OpenAI's client for Node; its types are not installed. */
  let openai: { chat: { completions: { create(body: object): Promise<unknown> } } };

  before(async function () {
    await buildOpenAiService(this);
    const clients = await toolOrSkip(this, 'openai-clients');
    const port = await freePort();
    mesh = Mesh.start(fileOn(port));
    ({ sidecars } = await mesh.ready());
    baseURL = `http://127.0.0.1:${port}/v1`;
    const { OpenAI } = await import(pathToFileURL(join(clients, 'openai', 'index.mjs')).href);
    openai = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
  });
  after(() => mesh?.discard());

  const bodyOf = (question: string) => ({
    ...{ model: 'fake', messages: [{ role: 'user', content: question }] },
    ...{ temperature: 0, max_tokens: TOKENS, ignore_eos: true },
  });
  /** Greedy answers: the same prompt has the same tokens. */
  const wholeAnswer = async (question: string): Promise<string> => {
    const { choices, usage } = (await openai.chat.completions.create(bodyOf(question))) as Whole;
    assert.equal(usage.completion_tokens, TOKENS);
    return choices[0]!.message.content;
  };

  it('hides from a stock client that an engine was killed in the middle of its answers', async () => {
    const texts = Array.from({ length: STREAMS }, () => '');
    const answers = texts.map(async (_, index) => {
      const body = { ...bodyOf(`question ${index}`), stream: true };
      let reason: string | null = null;
      for await (const { choices } of (await openai.chat.completions.create(body)) as AsyncIterable<Chunk>) {
        texts[index] += choices[0]!.delta.content ?? '';
        reason = choices[0]!.finish_reason;
      }
      return reason;
    });
    await until('all are under way', () => texts.every((text) => text.length > 50));
    process.kill(sidecars.find(({ service }) => service === 'chat')!.modelPid!, 'SIGKILL');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['length']));
    assert.deepEqual(texts, await Promise.all(texts.map((_, index) => wholeAnswer(`question ${index}`))));
  });

  it("streams the same answer to OpenAI's client for Python", async function () {
    const python = await toolOrSkip(this, 'openai-python');
    const { stdout } = await run(python, ['-c', PYTHON, baseURL, 'another question', String(TOKENS)]);
    assert.equal(stdout, await wholeAnswer('another question'));
  });
});
