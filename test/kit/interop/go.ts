/** grpc-go and ghz as the interop tests use them: a server to stand behind a sidecar, and callers that count by status. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodeInferRequest } from '../../../sidecar/codec/inference.js';
import { readAddress, writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { ROOT } from '../process/tools.js';

export const MODEL_INFER = 'inference.GRPCInferenceService/ModelInfer';
export const SERVER_READY = 'inference.GRPCInferenceService/ServerReady';
export const HEALTH_CHECK = 'grpc.health.v1.Health/Check';

/** A run of calls: so many, so many of them in flight, each with so many floats of input. */
export interface Run {
  readonly method: string;
  readonly calls: number;
  readonly width: number;
  readonly floats: number;
}

/** How many calls ended with which status, by its name in Go (`OK`, `Unavailable`), and the words of some that failed. */
export interface Outcome {
  readonly calls: number;
  readonly byCode: Counts;
  readonly samples: readonly string[];
}

/**
 * A server on grpc-go: ModelInfer answers with its input, ModelStreamInfer with its messages, every other method says yes. `binary`: the
 * client too. `every`: of so many unary calls one fails with UNAVAILABLE, and another one takes 200 ms.
 */
export async function startGoServer(binary: string, every = 0) {
  const child = spawn(binary, ['serve', '127.0.0.1:0', `${every}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const address = readAddress(line.toString('utf8').trim());
  if (!address.ok) throw new Error(`the Go server said: ${line.toString('utf8')}`);
  return {
    binary,
    address: address.value,
    async close() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

/** Our own client: one channel, `width` goroutines. */
export async function callByGo(binary: string, target: Address, run: Run, limitMs: number): Promise<Outcome> {
  const numbers = ['-n', run.calls, '-c', run.width, '-floats', run.floats].map(String);
  const args = ['call', '-method', `/${run.method}`, ...numbers, writeAddress(target)];
  return JSON.parse(await output(binary, args, limitMs)) as Outcome;
}

/** What came of calls whose answers were compared. `wrong`: ended well, with other bytes than they should have. */
export interface ExactOutcome extends Outcome {
  readonly wrong: number;
  readonly streams: number;
}

/** Our own client: unary calls and streams of random bytes, some compressed, whose answers are compared byte by byte. */
export async function exactByGo(
  binary: string,
  target: Address,
  { seconds, width, seed }: { readonly seconds: number; readonly width: number; readonly seed: number },
): Promise<ExactOutcome> {
  const numbers = ['-seconds', seconds, '-c', width, '-channels', 4, '-seed', seed].map(String);
  const args = ['exact', ...numbers, writeAddress(target)];
  return JSON.parse(await output(binary, args, (seconds + 90) * 1_000)) as ExactOutcome;
}

/** `ghz`, with the request in a file, because a large one is no argument. */
export async function callByGhz(
  binary: string,
  target: Address,
  run: Run,
  directory: string,
  limitMs: number,
): Promise<Outcome> {
  const proto = run.method === HEALTH_CHECK ? 'health.proto' : 'inference.proto';
  const file = path.join(directory, `request-${run.method.replace('/', '-')}-${run.floats}.bin`);
  await writeFile(file, run.method === MODEL_INFER ? inferRequest(run.floats) : AN_EMPTY_NAME);
  const args = [
    ...['--insecure', '--proto', path.join(ROOT, 'proto', proto), '--call', run.method, '-B', file],
    ...['-n', run.calls, '-c', run.width, '-t', '60s', '-O', 'json', writeAddress(target)].map(String),
  ];
  const report = JSON.parse(await output(binary, args, limitMs)) as Report;
  const samples = Object.keys(report.errorDistribution ?? {});
  return { calls: report.count, byCode: report.statusCodeDistribution, samples };
}

type Counts = Readonly<Record<string, number>>;
type Report = { count: number; statusCodeDistribution: Counts; errorDistribution?: Counts };

/** Field 1 with no bytes: ghz cannot send a message of none. */
const AN_EMPTY_NAME = Buffer.from([0x0a, 0]);

function inferRequest(floats: number): Buffer {
  const raw = Buffer.alloc(4 * floats);
  return encodeInferRequest('echo', '1', [{ name: 'input', datatype: 'FP32', shape: [1, floats], raw }], []);
}

/** What it wrote on its standard output; fails with what it wrote on the other when it fails. */
function output(command: string, args: readonly string[], timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${path.basename(command)}: ${error.message}\n${stderr}`));
    });
  });
}
