/** Series that one sidecar has in Prometheus: counted on the page of a real one whose calls are answered. */

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../kit/process/free-port.js';
import { scratch, startProcess } from '../subjects/subject.js';
import type { SeriesCount } from './fit.js';

type Shape = Omit<SeriesCount, 'series'>;

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../../sidecar/main.js');
/** One of each; then one of the three more often; the last one checks what follows from the others. */
export const SHAPES = [
  { upstreams: 1, endpoints: 1, methods: 1 },
  { upstreams: 2, endpoints: 1, methods: 1 },
  { upstreams: 1, endpoints: 11, methods: 1 },
  { upstreams: 1, endpoints: 1, methods: 11 },
  { upstreams: 2, endpoints: 10, methods: 5 },
] as const satisfies readonly Shape[];
const MOST_PAGES = 20;
/** A gRPC message of no bytes. */
const EMPTY = Buffer.alloc(5);

/** Each shape counted. */
export async function countSeries(): Promise<SeriesCount[]> {
  const most = Math.max(...SHAPES.map(({ endpoints }) => endpoints));
  const servers = Array.from({ length: most }, () => createServer().on('stream', answer));
  try {
    const ports: number[] = [];
    for (const server of servers) ports.push(await portOf(server));
    const counted: SeriesCount[] = [];
    for (const shape of SHAPES) counted.push({ ...shape, series: await seriesOfSidecar(shape, ports) });
    return counted;
  } finally {
    for (const server of servers) server.close();
  }
}

async function portOf(server: Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function answer(stream: ServerHttp2Stream): void {
  stream.on('error', () => {}).resume();
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(EMPTY);
}

async function seriesOfSidecar(
  { upstreams, endpoints, methods }: Shape,
  backends: readonly number[],
): Promise<number> {
  const first = await freePort(upstreams + 1);
  const ports = Array.from({ length: upstreams }, (_, i) => first + 1 + i);
  const paths = Array.from({ length: methods }, (_, i) => `/scale.Echo/Method${i}`);
  const blocks = ports.map((port, i) => {
    const hosts = backends.slice(0, endpoints).map((backend) => `"127.0.0.1:${backend}"`);
    const routes = `[{ methods: [${paths.map((path) => `"${path}"`).join(', ')}] }]`;
    return `    up-${i}: { listen: "127.0.0.1:${port}", tls: plaintext, endpoints: [${hosts.join(', ')}], routes: ${routes} }`;
  });
  const file = join(scratch(), 'caller.yaml');
  const head = ['service: caller', 'log: { level: warn }', `observe: "127.0.0.1:${first}"`];
  writeFileSync(file, [...head, 'outbound:', '  upstreams:', ...blocks, ''].join('\n'));
  const command = [process.execPath, MAIN, 'sidecar', '-c', file];
  const sidecar = await startProcess({ command, port: ports.at(-1)!, dir: dirname(file) });
  try {
    for (const port of ports) await callEach(port, paths);
    return await settledSeries(first);
  } finally {
    await sidecar.stop();
  }
}

async function callEach(port: number, paths: readonly string[]): Promise<void> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    for (const path of paths) {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const trailers = new Promise<Record<string, unknown>>((resolve, reject) => {
        stream.on('trailers', resolve).on('error', reject);
        stream.on('response', (head) => 'grpc-status' in head && resolve(head));
      });
      stream.resume().end(EMPTY);
      const status = (await trailers)['grpc-status'];
      if (status !== '0') throw new Error(`a call of ${path} ended with status ${String(status)}`);
    }
  } finally {
    session.close();
  }
}

/** Those of two pages in a row that have as many. */
async function settledSeries(port: number): Promise<number> {
  let before = -1;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    await sleep(1_000);
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    if (series === before) return series;
    before = series;
  }
  throw new Error('the number of series does not settle');
}
