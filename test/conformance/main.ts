/**
 * `npm run conformance`: h2spec in strict mode against both listeners of a real pair of sidecars, and against a model server.
 *
 * Prints a table and exits 1 unless every case passed on every listener.
 */

import path from 'node:path';
import { startModelServer } from '../../services/model-server/server.js';
import { packageRoot } from '../kit/process/package-root.js';
import { type Pair, startPair } from '../kit/process/sidecars.js';
import { tool } from '../kit/process/tools.js';
import { startTestService } from '../kit/service/test-service.js';
import { type H2specResult, runH2spec, STRICT_CASES } from './h2spec.js';
import { tlsBridge } from './tls-bridge.js';

/** Every case connects anew: a quick machine begins more handshakes in a second than a listener takes by default. */
const LIMITS = { handshakes_per_second: 10_000 };

interface Row {
  readonly listener: string;
  readonly result: H2specResult;
}

/** The engine of a model server, which is started with a model of the repository. */
async function measureModelServer(binary: string): Promise<Row> {
  const server = await startModelServer({
    modelsDirectory: path.join(packageRoot, 'services/digits/models'),
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    server: 'engine',
    version: 'conformance',
    log: () => {},
    wallNow: Date.now,
    runNow: () => performance.now(),
  });
  try {
    await server.loaded;
    const [host, port] = server.target.split(':');
    return {
      listener: 'model server, cleartext',
      result: await runH2spec(binary, { host: host!, port: Number(port) }),
    };
  } finally {
    await server.stop();
  }
}

async function measureSidecars(binary: string, pair: Pair): Promise<Row[]> {
  const { target, inbound, bench } = pair;
  if (target.kind !== 'tcp') throw new Error('h2spec speaks TCP');
  const rows: Row[] = [{ listener: 'outbound, cleartext', result: await runH2spec(binary, target) }];
  for (const alpn of [['h2'], []]) {
    const bridge = await tlsBridge(inbound, await bench.material('app', alpn));
    try {
      const name = alpn.length > 0 ? 'inbound, mutual TLS, ALPN h2' : 'inbound, mutual TLS, no ALPN';
      rows.push({ listener: name, result: await runH2spec(binary, bridge) });
    } finally {
      await bridge.close();
    }
  }
  return rows;
}

function table(rows: readonly Row[]): string {
  const row = (listener: string, score: string, time: string): string =>
    listener.padEnd(32) + score.padStart(12) + time.padStart(9);
  const lines = [row('listener', 'passed', 'time')];
  for (const { listener, result } of rows) {
    const { passed, total, elapsedMs } = result;
    lines.push(row(listener, `${passed} of ${total}`, `${(elapsedMs / 1000).toFixed(1)} s`));
    for (const { section, title, detail } of result.failures)
      lines.push(`  ✗ ${section}: ${title}: ${detail}`);
  }
  return lines.join('\n');
}

async function main(): Promise<number> {
  const binary = await tool('h2spec');
  if (binary === undefined) return 1;
  const upstream = await startTestService();
  const pair = await startPair({ local: upstream.address, limits: LIMITS });
  try {
    const rows = [...(await measureSidecars(binary, pair)), await measureModelServer(binary)];
    process.stdout.write(`h2spec, strict, ${STRICT_CASES} cases\n\n${table(rows)}\n`);
    return rows.every(({ result: { passed, total } }) => passed === STRICT_CASES && total === STRICT_CASES)
      ? 0
      : 1;
  } finally {
    await pair.close();
    upstream.close();
  }
}

process.exitCode = await main();
