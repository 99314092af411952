/**
 * connectconformance, the conformance suite of ConnectRPC: its cases for gRPC, between a client and a server of its own, directly or with
 * two sidecars in between.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../kit/process/free-port.js';
import { startPair } from '../../kit/process/sidecars.js';

const PEER = fileURLToPath(new URL('peer.js', import.meta.url));
const LIMIT_MS = 540_000;

/** Which end is the program under test: the suite brings the other one. */
export type Mode = 'client' | 'server';

/** One of the suite's own programs, what it can do, and the cases that it fails by itself. */
export interface Program {
  readonly mode: Mode;
  /** In the folder of `connectconformance`. */
  readonly name: string;
  readonly codecs: readonly string[];
  readonly compressions: readonly string[];
  /** Patterns of cases. */
  readonly fails: readonly string[];
}

const COMPRESSIONS = ['IDENTITY', 'GZIP', 'BR', 'ZSTD', 'DEFLATE', 'SNAPPY'];
const ALL = { codecs: ['PROTO', 'JSON'], compressions: COMPRESSIONS, fails: [] };
const GO = { codecs: ['PROTO'], compressions: ['IDENTITY', 'GZIP'] };

/** grpc-go answers a wrong number of messages with another status than the suite expects. */
const cardinality = (messages: string, kinds: readonly string[]): string[] =>
  kinds.flatMap((kind) => [`**/${kind}/multiple-${messages}s`, `**/${kind}/${NONE[messages]}`]);
const NONE: Readonly<Record<string, string>> = { response: 'ok-but-no-response', request: 'no-request' };

export const PROGRAMS: readonly Program[] = [
  { mode: 'client', name: 'referenceclient', ...ALL },
  { mode: 'client', name: 'grpcclient', ...GO, fails: cardinality('response', ['unary', 'client-stream']) },
  { mode: 'server', name: 'referenceserver', ...ALL },
  { mode: 'server', name: 'grpcserver', ...GO, fails: cardinality('request', ['unary', 'server-stream']) },
];

export interface Failure {
  readonly name: string;
  readonly detail: string;
}

export interface Result {
  readonly total: number;
  readonly passed: number;
  /** Those that the program fails by itself. */
  readonly known: number;
  readonly failures: readonly Failure[];
  readonly elapsedMs: number;
}

/** Runs the cases of one program; throws when the suite could not run. `binary`: connectconformance, beside its programs. */
export async function runSuite(
  binary: string,
  program: Program,
  way: 'direct' | 'sidecars',
): Promise<Result> {
  const directory = await mkdtemp(path.join(tmpdir(), 'connectconformance-'));
  try {
    const config = path.join(directory, 'config.yaml');
    await writeFile(config, JSON.stringify({ features: featuresOf(program) }));
    const own = path.join(path.dirname(binary), program.name);
    if (way === 'direct') return await report(binary, program, config, [own]);
    const peer = [process.execPath, PEER, program.mode, own];
    if (program.mode === 'client') return await report(binary, program, config, peer);
    // The suite gives a server ten seconds to start: the sidecars are there before.
    const port = await freePort();
    const pair = await startPair({ local: { kind: 'tcp', host: '127.0.0.1', port } });
    try {
      const { target } = pair;
      const ports = [port, target.kind === 'tcp' ? target.port : 0].map(String);
      return await report(binary, program, config, [...peer, ...ports]);
    } finally {
      await pair.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function report(
  binary: string,
  { mode, fails }: Program,
  config: string,
  command: readonly string[],
): Promise<Result> {
  const known = fails.flatMap((pattern) => ['--known-failing', pattern]);
  const startedMs = performance.now();
  // One server at a time: they have the same port.
  const args = ['--conf', config, '--mode', mode, '--max-servers', '1', ...known, '--', ...command];
  const output = await execute(binary, args);
  return { ...parseReport(output), elapsedMs: performance.now() - startedMs };
}

/** JSON is YAML. */
function featuresOf({ codecs, compressions }: Program): unknown {
  return {
    versions: ['HTTP_VERSION_2'],
    protocols: ['PROTOCOL_GRPC'],
    codecs: codecs.map((name) => `CODEC_${name}`),
    compressions: compressions.map((name) => `COMPRESSION_${name}`),
    supportsTls: false,
  };
}

/** Its exit code says no more than the report does. */
function execute(binary: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(binary, args, { timeout: LIMIT_MS, maxBuffer: 64 << 20 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

function parseReport(output: string): Omit<Result, 'elapsedMs'> {
  const total = /^Total cases: (\d+)$/m.exec(output);
  const counts = /^(\d+) passed, (\d+) failed$/m.exec(output);
  if (total === null || counts === null)
    throw new Error(`connectconformance did not finish:\n${output.slice(-2000)}`);
  const known = /^\(Another (\d+) failed as expected/m.exec(output);
  const failures = [...output.matchAll(/^FAILED: (.+):\n((?:\t.*\n?)*)/gm)].map(
    ([, name = '', detail = '']) => ({ name, detail: detail.trim().replace(/\s+/g, ' ') }),
  );
  return { total: Number(total[1]), passed: Number(counts[1]), known: Number(known?.[1] ?? 0), failures };
}
