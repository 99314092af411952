/** The load of `engines`: an engine that makes tokens at a steady pace, and clients that read its answers, in one process on one core. */

import { connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { encodeRequest, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { cpuNs } from '../load/cpu.js';
import { Deframer } from '../load/deframer.js';
import { type EngineLoad, type EngineResult, GENERATE, PROMPT_TOKENS } from './protocol.js';

const COUNTS = { prompt_tokens: PROMPT_TOKENS, completion_tokens: 1, cached_tokens: 0 };
/** Ids of three bytes, as most of a large vocabulary have. */
const tokenAt = (index: number): number => 20_000 + (index % 100_000);

/** An answer under way. */
interface Answer {
  readonly stream: ServerHttp2Stream;
  made: number;
}

/** The answers of now, and how many tokens each has; set by the run. */
const answers = new Set<Answer>();
let tokensEach = 0;

const server = createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => stream.destroy());
  stream.resume();
  const isAnswer = headers[':path'] === GENERATE;
  stream.once('end', () => (isAnswer ? begin(stream) : refuse(stream)));
});

function begin(stream: ServerHttp2Stream): void {
  const answer = { stream, made: 0 };
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.once('close', () => answers.delete(answer));
  answers.add(answer);
}

/** What the sidecar asks besides. */
function refuse(stream: ServerHttp2Stream): void {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' },
    { endStream: true },
  );
}

function step(answer: Answer): void {
  const { stream } = answer;
  if (stream.destroyed || stream.writableEnded) return;
  const ids = [tokenAt(answer.made)];
  stream.write(grpcMessage(encodeResponse({ chunk: { token_ids: ids, ...COUNTS } })));
  answer.made++;
  if (answer.made < tokensEach) return;
  const complete = { output_ids: ids, finish_reason: 'length', ...COUNTS };
  stream.end(grpcMessage(encodeResponse({ complete })));
  answers.delete(answer);
}

/** Streams that are open all the time: one that has ended is followed by the next. */
async function run(load: EngineLoad): Promise<EngineResult> {
  const { port, streams, gapMs, isInSteps, warmMs, measureMs, pids } = load;
  tokensEach = load.tokensEach;
  const session = connect(`http://127.0.0.1:${port}`);
  const counts = { messages: 0, answers: 0, problem: '' };
  let isOver = false;
  const open = (id: number): void => {
    if (isOver) return;
    const request = {
      request_id: `r-${id}`,
      tokenized: { input_ids: Array.from({ length: PROMPT_TOKENS }, (_, i) => tokenAt(i * 7)) },
      sampling_params: { temperature: 0, max_tokens: tokensEach },
      stream: true,
    };
    const headers = {
      ':method': 'POST',
      ':path': GENERATE,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const stream = session.request(headers);
    const deframer = new Deframer();
    let status = '';
    stream.on('data', (chunk: Buffer) => {
      const before = deframer.messages;
      deframer.push(chunk, 0, chunk.length);
      counts.messages += deframer.messages - before;
    });
    stream.on('trailers', (trailers) => {
      status = String(trailers['grpc-status']);
    });
    stream.on('error', (error) => {
      counts.problem ||= error.message;
    });
    stream.once('close', () => {
      if (isOver) return;
      counts.answers++;
      if (status !== '0') counts.problem ||= `an answer ended with status ${status || 'none'}`;
      else if (deframer.messages !== tokensEach + 1)
        counts.problem ||= `an answer had ${deframer.messages - 1} of ${tokensEach} tokens`;
      open(id + streams);
    });
    stream.end(grpcMessage(encodeRequest(request)));
  };
  for (let id = 0; id < streams; id++) open(id);
  // In steps, all answers get a token at once, as an engine makes them; else each has a moment of its own.
  let turn = 0;
  const engine = setInterval(
    () => {
      const all = [...answers];
      if (isInSteps) for (const each of all) step(each);
      else if (all.length > 0) step(all[turn++ % all.length]!);
    },
    isInSteps ? gapMs : gapMs / streams,
  );
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await wait(warmMs);
  const [fromNs, fromMessages, fromMs] = [
    pids.map((pid) => cpuNs([pid])),
    counts.messages,
    performance.now(),
  ];
  const ownNs = cpuNs([process.pid]);
  await wait(measureMs);
  const messages = counts.messages - fromMessages;
  const result: EngineResult = {
    messages,
    perSecond: (messages * 1_000) / (performance.now() - fromMs),
    cpuNs: pids.map((pid, i) => cpuNs([pid]) - fromNs[i]!),
    loadCpuNs: cpuNs([process.pid]) - ownNs,
    problem: counts.problem || (messages === 0 ? 'no token came' : ''),
  };
  isOver = true;
  clearInterval(engine);
  answers.clear();
  session.destroy();
  await wait(100);
  return result;
}

await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
answerRequests<EngineLoad>(run, (server.address() as AddressInfo).port);
