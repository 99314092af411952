/**
 * The program that connectconformance starts as the client or the server under test: a client or a server of its own, with two
 * sidecars between that and the other end.
 *
 *   peer.js client|server PROGRAM…
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { type Pair, startPair } from '../../kit/process/sidecars.js';
import { delimited, fieldOf, messagesOf, withFields } from './delimited.js';

/** Fields of ClientCompatRequest and ServerCompatResponse. */
const CLIENT = { host: 6, port: 7 } as const;
const SERVER = { host: 1, port: 2 } as const;

const pairs = new Map<number, Promise<Pair>>();

/** Two sidecars before the server on this port; started once. */
function pairFor(port: number): Promise<Pair> {
  let pair = pairs.get(port);
  if (pair === undefined) {
    pair = startPair({ local: { kind: 'tcp', host: '127.0.0.1', port } });
    pairs.set(port, pair);
  }
  return pair;
}

async function closePairs(): Promise<void> {
  const all = [...pairs.values()];
  pairs.clear();
  await Promise.all(all.map(async (pair) => (await pair).close()));
}

/** The message with the address of the sidecar at the caller instead of the server's. */
async function moved(message: Buffer, { host, port }: typeof CLIENT | typeof SERVER): Promise<Buffer> {
  const { target } = await pairFor(fieldOf(message, port) as number);
  if (target.kind !== 'tcp') throw new Error('connectconformance speaks TCP');
  return withFields(
    message,
    new Map<number, number | Buffer>([
      [host, Buffer.from(target.host)],
      [port, target.port],
    ]),
  );
}

async function beClient(stdin: Writable): Promise<void> {
  for await (const request of messagesOf(process.stdin)) {
    const whole = delimited(await moved(request, CLIENT));
    if (!stdin.write(whole)) await once(stdin, 'drain');
  }
  stdin.end();
}

async function beServer(stdin: Writable, stdout: Readable): Promise<void> {
  process.stdin.pipe(stdin);
  for await (const response of messagesOf(stdout))
    process.stdout.write(delimited(await moved(response, SERVER)));
}

async function main([role, program, ...args]: readonly string[]): Promise<void> {
  const isClient = role === 'client';
  const child: ChildProcess = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const { stdin, stdout } = child as ChildProcess & { stdin: Writable; stdout: Readable };
  // Its end is what `ended` says.
  stdin.on('error', () => {});
  if (isClient) stdout.pipe(process.stdout, { end: false });
  const work = isClient ? beClient(stdin) : beServer(stdin, stdout);
  work.catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    child.kill('SIGTERM');
  });
  const [code] = (await ended) as [number | null];
  await closePairs();
  process.exit(code ?? 1);
}

await main(process.argv.slice(2));
