/**
 * Our own sidecar, compiled, with every decision of the design on: deadlines on each call, least-loaded balancing,
 * ejection, attempt timeouts, replay for retries, response holding; in the pair also intentions and the queue.
 */

import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { YOUNG_HEAP_FLAG } from '../../../sidecar/runtime/heap.js';
import { PATHS } from '../load/protocol.js';
import {
  freePort,
  joined,
  type Running,
  type Subject,
  scratch,
  startProcess,
  type Target,
} from './subject.js';
import { gitRevision } from './tools.js';

/** Of the same build as the benchmark. */
const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../../sidecar/main.js');

const ROUTES = `
      routes:
        - methods: ["${PATHS.unary}"]
          kind: unary
          idempotent: true
          timeout: 15s
          attempt_timeout: 5s
          retry: { attempts: 2, on: [unavailable] }
        - methods: ["${PATHS.stream}"]
          kind: streaming
          idle_timeout: 5m`;

function outbound(port: number, endpoint: number, tls: 'mesh' | 'plaintext'): string {
  return `
outbound:
  upstreams:
    echo:
      listen: 127.0.0.1:${port}
      tls: ${tls}
      endpoints: ["127.0.0.1:${endpoint}"]
      balance: { kind: least-loaded }
      ejection: { mode: enforce }${ROUTES}
`;
}

function inbound(port: number, local: number): string {
  return `
inbound:
  listen: 127.0.0.1:${port}
  mtls: strict
  local: 127.0.0.1:${local}
  default_intention: deny
  intentions:
    - { from: caller, to: echo, action: allow }
  queue: { concurrency: 256, max_waiting: 1024 }
  routes:
    - { methods: ["${PATHS.unary}"], kind: unary }
    - { methods: ["${PATHS.stream}"], kind: streaming }
`;
}

function identity(certs: string, service: string): string {
  return `
identity:
  cert: ${certs}/${service}.crt
  key: ${certs}/${service}.key
  roots: ${certs}/roots.crt
`;
}

async function start(
  port: number,
  service: string,
  blocks: string,
  flags: readonly string[],
): Promise<Running> {
  const dir = scratch();
  const file = join(dir, `${service}.yaml`);
  writeFileSync(
    file,
    `service: ${service}\nlog: { level: warn }\nlimits: { max_concurrent_streams: 512 }\n${blocks}`,
  );
  return startProcess({
    command: [process.execPath, YOUNG_HEAP_FLAG, ...flags, MAIN, 'sidecar', '-c', file],
    port,
    dir,
  });
}

async function startPair(target: Target, flags: readonly string[]): Promise<Running> {
  const entry = await freePort();
  const between = await freePort();
  const echo = identity(target.certs, 'echo') + inbound(between, target.backendPort);
  const caller = identity(target.certs, 'caller') + outbound(entry, between, 'mesh');
  const second = await start(between, 'echo', echo, flags);
  const first = await start(entry, 'caller', caller, flags);
  return joined(first, second);
}

/** `flags`: for Node, such as those that make it leave a profile. */
export function outrider(flags: readonly string[] = []): Subject {
  return {
    name: 'outrider',
    isPeer: false,
    version: existsSync(MAIN) ? { found: gitRevision() } : { missing: 'run `npm run build`' },
    start: async (target) => {
      const port = await freePort();
      return start(port, 'caller', outbound(port, target.backendPort, 'plaintext'), flags);
    },
    startPair: (target) => startPair(target, flags),
  };
}
