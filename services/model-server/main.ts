/**
 * The process of one model service: `--models DIR [--model NAME]… --listen ADDR [--server NAME] [--exit-with-stdin]`, or with `--golden` what
 * its models answer to their golden inputs. With `--json` events and golden blocks are JSON objects on stdout, one a line.
 * Exit codes: 0 stopped as told, 1 it failed, 2 the command line was wrong. Says what it does on stderr; whether it is
 * ready is asked through grpc.health.
 */

import { existsSync, readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseModels, findModels } from './models/repository.js';
import type { ControlMode } from './protocol/serving.js';
import { messageOf } from './rpc.js';
import type { RunLog } from './runs/run-log.js';
import { startWatcher } from './runs/watcher.js';
import type { ModelServer } from './server.js';
import { type ListenAddress, parseListen } from './transport/listen.js';
import { DEFAULT_SERVER, parseServer, type ServerName } from './transport/servers.js';
import { MAX_MESSAGE_BYTES } from './transport/transport.js';

const DEFAULT_LISTEN = '127.0.0.1:8001';
const DEFAULT_DRAIN_MS = 30_000;
const STDOUT = 1;
const STDERR = 2;

/** It is there to compare the engine with. It hands on a message when it is complete, so that what callers have begun cannot be counted. */
const NO_BUDGET =
  '--server grpc-js has no memory budget for gRPC calls: callers may send as many messages of 64 MiB as they like; --server engine has one';

interface Arguments {
  readonly models: string;
  /** Names of the models to serve; empty: every model of the directory. */
  readonly only: readonly string[];
  readonly listen: ListenAddress;
  /** What carries the calls: our own HTTP/2 engine, or @grpc/grpc-js. */
  readonly server: ServerName;
  /** Where the REST half of the protocol is served; undefined: nowhere. */
  readonly rest: ListenAddress | undefined;
  /** Names that the REST half is known by. */
  readonly restHosts: readonly string[];
  /** Whether models are loaded and unloaded on command. */
  readonly control: ControlMode;
  /** What calls may hold, bytes; undefined: the default of the server. */
  readonly memoryBytes: number | undefined;
  /** Longest time calls in flight may take once told to stop, and a stream may go unread while its model is unloaded. */
  readonly drainTimeoutMs: number;
  /** Stop when stdin ends: the parent process has died. */
  readonly exitWithStdin: boolean;
  /** Print the golden block of each model instead of serving. */
  readonly golden: boolean;
  /** Events and golden blocks are JSON objects on stdout; what is for people stays on stderr. */
  readonly json: boolean;
}

async function main(): Promise<void> {
  let args: Arguments;
  try {
    args = readArguments(process.argv.slice(2));
  } catch (error) {
    log(messageOf(error));
    process.stderr.write('(outrider serve --help says how it is used)\n');
    process.exit(2);
  }
  try {
    if (args.golden) return await printGolden(args);
    const runLog = await watcher();
    // Loaded only now: the runtime is 69 MB, and a wrong command line should not wait for it.
    const { startModelServer } = await import('./server.js');
    const server = await startModelServer({
      modelsDirectory: args.models,
      only: args.only,
      listen: args.listen,
      server: args.server,
      rest: args.rest,
      restHosts: args.restHosts,
      control: args.control,
      memoryBytes: args.memoryBytes,
      version: packageVersion(),
      log,
      wallNow: Date.now,
      runNow: () => performance.now(),
      runLog,
      unreadMs: args.drainTimeoutMs,
      environment: process.env,
    });
    stopOnSignals(server, args);
    if (args.server === 'grpc-js') log(NO_BUDGET);
    log(`listening on ${server.target}`);
    const { target, restTarget: rest } = server;
    if (rest !== undefined) log(`REST on ${rest}`);
    if (args.json) print({ event: 'listening', target, ...(rest === undefined ? {} : { rest }) });
  } catch (error) {
    log(messageOf(error));
    process.exit(1);
  }
}

async function printGolden({ models, only, json }: Arguments): Promise<void> {
  const { checksumProblem, goldenBlock } = await import('./authoring/golden-of.js');
  const { goldenIn } = await import('./authoring/renewed-card.js');
  for (const found of chooseModels(models, findModels(models), only)) {
    const { name, version, directory } = found;
    const file = `${directory}/model.yaml`;
    const block = await goldenBlock(found);
    const other = await checksumProblem(found);
    if (other !== undefined) log(`${name} version ${version}: ${other}`);
    if (json) print({ model: name, version, file, golden: goldenIn(block) });
    else process.stdout.write(`# ${name}, version ${version}: ${file}\n${block}`);
  }
  process.exitCode = 0;
}

/** Where a supervisor asks for it. Without it the server serves all the same. */
async function watcher(): Promise<RunLog | undefined> {
  const address = process.env['OUTRIDER_WATCHER'];
  if (address === undefined || address === '') return undefined;
  try {
    return await startWatcher(address, log);
  } catch (error) {
    log(`no watcher thread: ${messageOf(error)}`);
    return undefined;
  }
}

function readArguments(argv: string[]): Arguments {
  const { values } = parseArgs({
    args: argv,
    options: {
      models: { type: 'string' },
      model: { type: 'string', multiple: true, default: [] },
      listen: { type: 'string', default: DEFAULT_LISTEN },
      server: { type: 'string', default: DEFAULT_SERVER },
      rest: { type: 'string' },
      'rest-host': { type: 'string', multiple: true, default: [] },
      control: { type: 'string', default: 'none' },
      'memory-budget': { type: 'string' },
      'drain-timeout-ms': { type: 'string', default: String(DEFAULT_DRAIN_MS) },
      'exit-with-stdin': { type: 'boolean', default: false },
      golden: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (!values.models) throw new Error('--models DIR is missing');
  const drainTimeoutMs = Number(values['drain-timeout-ms']);
  if (!Number.isInteger(drainTimeoutMs) || drainTimeoutMs < 0 || drainTimeoutMs > 2 ** 31 - 1) {
    throw new Error(`--drain-timeout-ms: found '${values['drain-timeout-ms']}', expected whole milliseconds`);
  }
  const listen = parseListen(values.listen);
  const server = parseServer(values.server);
  if (server === 'grpc-js' && values['memory-budget'] !== undefined && values.rest === undefined)
    throw new Error(`--memory-budget: ${NO_BUDGET}`);
  return {
    models: values.models,
    only: values.model,
    server,
    listen,
    rest: restAddress(values.rest, listen),
    restHosts: values['rest-host'],
    control: controlMode(values.control),
    memoryBytes: memoryBudget(values['memory-budget']),
    drainTimeoutMs,
    exitWithStdin: values['exit-with-stdin'],
    golden: values.golden,
    json: values.json,
  };
}

function controlMode(text: string): ControlMode {
  if (text === 'none' || text === 'explicit') return text;
  throw new Error(`--control: found '${text}', expected none or explicit`);
}

/** One of the largest messages has to fit. */
function memoryBudget(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})(MiB|GiB)$/.exec(text) ?? [];
  const bytes = Number(count) * (unit === 'GiB' ? 1024 : 1) * 1024 * 1024;
  if (bytes > MAX_MESSAGE_BYTES) return bytes;
  throw new Error(`--memory-budget: found '${text}', expected a size above 65MiB, such as 512MiB or 2GiB`);
}

/** Beside a gRPC server on a Unix socket, which a sidecar stands in front of, nothing is opened to the network. */
function restAddress(text: string | undefined, listen: ListenAddress): ListenAddress | undefined {
  if (text === undefined) return undefined;
  const rest = parseListen(text);
  if (listen.kind === 'unix' && rest.kind === 'tcp')
    throw new Error(
      `--rest: found '${text}', expected unix:/path as for --listen: a port would be a way around the sidecar and its intentions`,
    );
  return rest;
}

/** The first signal drains; a second one, or a drain that takes too long, ends what is in flight and exits 1. */
function stopOnSignals(server: ModelServer, args: Arguments): void {
  let draining = false;
  const giveUp = (why: string) => {
    log(`${why}: ending calls in flight`);
    server.abort();
    process.exit(1);
  };
  const stop = (why: string) => {
    if (draining) return giveUp(`${why} again`);
    draining = true;
    if (args.json) print({ event: 'stopping', why });
    log(`${why}: not serving any more, finishing calls in flight`);
    const limit = setTimeout(
      () => giveUp(`not drained after ${args.drainTimeoutMs} ms`),
      args.drainTimeoutMs,
    );
    void server.stop().then(() => {
      clearTimeout(limit);
      log('stopped');
      if (args.json) print({ event: 'stopped' });
      process.exit(0);
    });
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  if (!args.exitWithStdin) return;
  const ended = () => {
    if (!draining) stop('stdin ended');
  };
  process.stdin.on('end', ended).on('close', ended).on('error', ended).resume();
}

function packageVersion(): string {
  // Runs as services/model-server/main.ts or as dist/services/model-server/main.js.
  const near = fileURLToPath(new URL('../../package.json', import.meta.url));
  const file = existsSync(near) ? near : fileURLToPath(new URL('../../../package.json', import.meta.url));
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** One object on a line. Written at once, since the process may end right after it. */
function print(event: object): void {
  try {
    writeSync(STDOUT, `${JSON.stringify(event)}\n`);
  } catch {
    // the reader left
  }
}

/** A line that cannot be written, as on a full disk, is lost: the models go on. */
function log(line: string): void {
  try {
    writeSync(STDERR, `outrider serve: ${line}\n`);
  } catch {
    // ENOSPC, or EAGAIN of a pipe that is not read
  }
}

await main();
