/**
 * `outrider sidecar`: one sidecar in this process, and the model service it owns, until it is told to end.
 *
 * Start: listeners, then the model. End: the drain while the model still works, then the model, then the rest; a
 * second signal, or the death of the parent that started it, ends everything at once.
 */

import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Addresses, type OwnedModel, type RunningSidecar, startSidecar } from '../../app/sidecar.js';
import { writeAddress } from '../../config/codecs/address.js';
import type { Address, ModelProcessConfig, SidecarConfig } from '../../config/model.js';
import { createLogger, type Logger } from '../../runtime/log/logger.js';
import { descriptorLimit, firstReserved } from '../../runtime/process/descriptors.js';
import { disableIneffectiveGcCheck, raiseTrimThreshold } from '../../runtime/process/heap-tuning.js';
import { ListenSockets } from '../../runtime/process/listen-sockets.js';
import { processMemory } from '../../runtime/process/memory.js';
import { portOwner } from '../../runtime/process/port-owner.js';
import { systemRandom } from '../../runtime/random.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers, type Timer } from '../../runtime/time/timers.js';
import { modelProcess } from '../../supervise/model-process.js';
import type { Supervisor } from '../../supervise/supervisor.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { CommandFailure, oneLine } from '../failure.js';
import { notifyServiceManager } from '../service-manager.js';
import { readSidecarFile } from '../settings.js';
import { type EndRequests, endRequests } from '../signals.js';
import { packageVersion } from '../version.js';
import { ofGeneration, withCommand } from './command-override.js';
import { IDENTITY_MARK, PARENT_MARK, ParentChannel, RESTARTS_MARK } from './parent-channel.js';
import { watchConfiguration } from './reload.js';
import { acceptWhenReady, Takeover } from './succession.js';

/** How soon a change of readiness is told to a parent that waits for it, and later. */
const READINESS_MS = { starting: 100, later: 2_000 };

/** Resolves with the exit code: 0 drained, 1 ended before that. */
export async function sidecarCommand(file: string, command: readonly string[]): Promise<number> {
  raiseTrimThreshold();
  disableIneffectiveGcCheck();
  const ends = endRequests(['SIGHUP']);
  const sockets = socketsOf(process.env);
  const link = ParentChannel.open(process.env);
  const warnings: string[] = [];
  const { generation } = sockets;
  const said = withCommand(
    readSidecarFile(file, (line) => warnings.push(line)),
    command,
    file,
  );
  const config = ofGeneration(said, generation);
  const logger = createLogger({
    level: config.log.level,
    fields: { service: config.service, instance: config.instance },
  });
  for (const warning of warnings) logger.warn({}, warning);
  await link?.identityArrived();
  const sidecar = await start(config, logger, link, sockets);
  const readiness = link === undefined ? undefined : tellReadiness(sidecar, link);
  if (link !== undefined) tellModels(sidecar, link, () => readiness?.tell());
  const models = ownModels(config, sidecar, logger);
  const follow = watchConfiguration({ file: resolve(file), sidecar, logger, command, link, generation });
  const succession = new Takeover({
    sidecar,
    sockets,
    link,
    ends,
    logger,
    config: said,
  });
  const onTakeover = () => void succession.ask();
  process.on('SIGUSR2', onTakeover);
  announce(sidecar, logger, link);
  if (!sockets.isSuccessor && link === undefined) tellManager(logger);
  acceptWhenReady(sidecar, sockets, () => {
    link?.send({ event: 'accepting' });
    if (link === undefined) tellManager(logger);
  });
  link?.onGone(() => {
    for (const model of models) model.kill();
    process.exit(1);
  });
  try {
    logger.info({ signal: await ends.first }, 'ending');
    await succession.beforeDrain();
    link?.send({ event: 'draining' });
    const code = await end(sidecar, models, ends);
    if (succession.isHandedOver) removeSockets(sidecar);
    return code;
  } finally {
    process.off('SIGUSR2', onTakeover);
    follow.close();
    readiness?.cancel();
    logger.flush();
  }
}

/** Those of models that have ended, at which no other will listen. */
function removeSockets({ hosts }: RunningSidecar): void {
  for (const { address } of hosts) if (address.kind === 'unix') rmSync(address.path, { force: true });
}

function tellManager(logger: Logger): void {
  const problem = notifyServiceManager(process.env);
  if (problem !== undefined) logger.warn({ problem }, 'the service manager could not be told');
}

function socketsOf(env: NodeJS.ProcessEnv): ListenSockets {
  try {
    return ListenSockets.fromEnvironment(env, process.pid);
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
}

async function start(
  config: SidecarConfig,
  logger: Logger,
  link: ParentChannel | undefined,
  sockets: ListenSockets,
): Promise<RunningSidecar> {
  const deps = {
    clock: systemClock,
    random: systemRandom,
    timers: systemTimers,
    logger,
    version: packageVersion(),
    env: process.env,
    readMemory: processMemory,
    firstReservedDescriptor: firstReserved(descriptorLimit()),
    sockets,
    ...(link === undefined ? {} : { identityFeed: link.identity, restarts: link.restarts }),
  };
  try {
    const sidecar = await startSidecar(config, deps);
    for (const name of sockets.dropUnused())
      logger.warn({ name }, 'an inherited socket that no listener of the configuration uses is closed');
    return sidecar;
  } catch (error) {
    throw new CommandFailure(listenProblem(error));
  }
}

function listenProblem(error: unknown): string {
  const { code, address, port, message } = error as NodeJS.ErrnoException & {
    address?: string;
    port?: number;
  };
  const where = port === undefined || port < 0 ? address : `${address}:${port}`;
  if (code === 'EADDRINUSE') {
    const holder = port === undefined || port < 0 ? undefined : portOwner(port);
    return `cannot listen on ${where}: already taken${holder === undefined ? '' : ` by ${holder}`}`;
  }
  if (code === 'EACCES') return `cannot listen on ${where}: not permitted`;
  return message;
}

/** Nothing when the model service is started by somebody else. */
function ownModels(config: SidecarConfig, sidecar: RunningSidecar, logger: Logger): Supervisor[] {
  const { model, inbound } = config;
  if (model === undefined || model.command.length === 0 || inbound === undefined) return [];
  const withheld = withheldOnce(logger);
  return sidecar.hosts.map((host) => ownModel(model, host, logger, withheld));
}

function ownModel(
  config: ModelProcessConfig,
  host: OwnedModel,
  logger: Logger,
  onWithheld: (names: readonly string[]) => void,
): Supervisor {
  const {
    [PARENT_MARK]: _mark,
    [IDENTITY_MARK]: _identity,
    [RESTARTS_MARK]: _restarts,
    ...env
  } = process.env;
  const model = modelProcess(config, host.address, {
    clock: systemClock,
    random: systemRandom,
    timers: systemTimers,
    env,
    stdout: process.env[PARENT_MARK] === undefined ? 1 : 2, // with a parent, standard output carries events
    stderr: 2,
    model: host.model,
    activity: () => host.activity(),
    onChange: (report) => {
      host.processChanged(report);
      logChange(report, host.model, logger);
    },
    onEnd: (end) => host.processEnded(end),
    onWithheld,
  });
  host.superviseBy(() => model.report());
  model.start();
  return model;
}

/** The processes of one sidecar get the same environment. */
function withheldOnce(logger: Logger): (names: readonly string[]) => void {
  let isTold = false;
  return (names) => {
    if (isTold) return;
    isTold = true;
    logger.info(
      { names },
      'environment variables that the model does not get; `inherit` names those it should',
    );
  };
}

function logChange(
  { state, why, pid, restarts }: ModelReport,
  model: string | undefined,
  logger: Logger,
): void {
  const isBad = state === 'backoff' || state === 'unresponsive';
  const level = state === 'given-up' ? 'error' : isBad ? 'warn' : 'info';
  const which = model === undefined ? {} : { model };
  logger[level]({ ...which, state, why, modelPid: pid, restarts }, `model ${state}`);
}

async function end(
  sidecar: RunningSidecar,
  models: readonly Supervisor[],
  ends: EndRequests,
): Promise<number> {
  const orderly = sidecar
    .drain()
    .then(() => Promise.all(models.map((model) => model.stop())))
    .then(() => sidecar.stop())
    .then(() => 0);
  const atOnce = ends.second.then(() => 1);
  const code = await Promise.race([orderly, atOnce]);
  if (code !== 0) for (const model of models) model.kill();
  return code;
}

function announce(
  { addresses, instance, version }: RunningSidecar,
  logger: Logger,
  link: ParentChannel | undefined,
): void {
  logger.info({ addresses: spelled(addresses), version }, 'listening');
  if (link === undefined) process.stdout.write(`outrider ${version} ${instance}: ${describe(addresses)}\n`);
  else link.send({ event: 'listening', addresses: spelled(addresses) });
}

function describe(addresses: Addresses): string {
  return Object.entries(spelled(addresses))
    .map(([name, address]) => `${name} on ${address}`)
    .join(', ');
}

function spelled({ inbound, upstreams, shared, admin }: Addresses): Record<string, string> {
  const all: [string, Address | undefined][] = [
    ['inbound', inbound],
    ...Object.entries(upstreams).map(([name, address]): [string, Address] => [`upstream ${name}`, address]),
    ['upstreams', shared],
    ['admin', admin],
  ];
  return Object.fromEntries(
    all.flatMap(([name, at]) => (at === undefined ? [] : [[name, writeAddress(at)]])),
  );
}

/** The parent hears of every change of a model, and of all of them each time. */
function tellModels(sidecar: RunningSidecar, link: ParentChannel, onTold: () => void): void {
  let told = '';
  sidecar.onModel(() => {
    const report = sidecar.model();
    if (report === undefined) return;
    const models = sidecar.models();
    const text = JSON.stringify([report, models]);
    if (text === told) return;
    told = text;
    link.send({ event: 'model', report, models });
    onTold();
  });
}

/** Readiness has many causes, and none of them calls: it is looked at, often only until it is reached. */
function tellReadiness(sidecar: RunningSidecar, link: ParentChannel): { tell(): void; cancel(): void } {
  let told = 'nothing yet';
  let timer: Timer;
  const tell = () => {
    const notReady = sidecar.notReady();
    const text = notReady.join('\n');
    if (text !== told) link.send({ event: 'readiness', notReady });
    told = text;
  };
  const look = () => {
    tell();
    const delayMs = told === '' ? READINESS_MS.later : READINESS_MS.starting;
    timer = systemTimers.after(delayMs, look, { unref: true });
  };
  look();
  return { tell, cancel: () => timer.cancel() };
}
