/**
 * The program that connectconformance starts as the client or the server under test: a client or a server of its own, with two
 * sidecars between that and the other end.
 *
 *   peer.js client PROGRAM                     starts two sidecars before each server that it is told to call
 *   peer.js server PROGRAM PORT SIDECAR_PORT   serves at PORT, and says that it does so at the sidecar
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Address } from '../../../sidecar/config/model.js';
import { until } from '../../kit/process/processes.js';
import { type Pair, startPair } from '../../kit/process/sidecars.js';
import { framedCall } from '../../kit/service/framed-client.js';
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

/** The message with another address. */
function moved(message: Buffer, fields: typeof CLIENT | typeof SERVER, to: Address): Buffer {
  if (to.kind !== 'tcp') throw new Error('connectconformance speaks TCP');
  return withFields(
    message,
    new Map<number, number | Buffer>([
      [fields.host, Buffer.from(to.host)],
      [fields.port, to.port],
    ]),
  );
}

async function beClient(stdin: Writable): Promise<void> {
  for await (const request of messagesOf(process.stdin)) {
    const { target } = await pairFor(fieldOf(request, CLIENT.port) as number);
    const whole = delimited(moved(request, CLIENT, target));
    if (!stdin.write(whole)) await once(stdin, 'drain');
  }
  stdin.end();
}

async function beServer(stdin: Writable, stdout: Readable, sidecar: Address): Promise<void> {
  process.stdin.pipe(stdin);
  for await (const response of messagesOf(stdout)) {
    // The sidecars may still find that the server before this one is gone.
    const isServed = async () => (await framedCall(sidecar, UNKNOWN)).status === UNIMPLEMENTED;
    await until('the server answers through the sidecars', isServed, SERVED_MS);
    process.stdout.write(delimited(moved(response, SERVER, sidecar)));
  }
}

/** A call that every server knows an answer to. */
const UNKNOWN = { path: '/unknown.Service/Method', body: Buffer.alloc(5) };
const UNIMPLEMENTED = 12;
/** The suite waits ten seconds. */
const SERVED_MS = 8000;

async function main([role, program = '', port = '', sidecarPort = '']: readonly string[]): Promise<void> {
  const isClient = role === 'client';
  const args = isClient ? [] : ['--port', port];
  const sidecar: Address = { kind: 'tcp', host: '127.0.0.1', port: Number(sidecarPort) };
  const child: ChildProcess = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const { stdin, stdout } = child as ChildProcess & { stdin: Writable; stdout: Readable };
  // Its end is what `ended` says.
  stdin.on('error', () => {});
  if (isClient) stdout.pipe(process.stdout, { end: false });
  const work = isClient ? beClient(stdin) : beServer(stdin, stdout, sidecar);
  work.catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    child.kill('SIGTERM');
  });
  const [code] = (await ended) as [number | null];
  await closePairs();
  process.exit(code ?? 1);
}

await main(process.argv.slice(2));
