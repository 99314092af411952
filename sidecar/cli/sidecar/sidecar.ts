import { resolve } from 'node:path';
import type { Addresses, RunningSidecar } from '../../app/running-sidecar.js';
import { startSidecar } from '../../app/sidecar.js';
import { writeAddress } from '../../config/codecs/address.js';
import { loadSidecarFile } from '../../config/file/load.js';
import type { Address, SidecarConfig } from '../../config/model.js';
import type { ProxyAdoption } from '../../discovery/consul/registration/adoption.js';
import { attempt } from '../../runtime/attempt.js';
import { createLogger, type Logger } from '../../runtime/log/logger.js';
import { descriptorLimit, firstReserved } from '../../runtime/process/descriptors.js';
import { ListenSockets } from '../../runtime/process/listen-sockets.js';
import { processMemory } from '../../runtime/process/memory.js';
import { tuneSidecar } from '../../runtime/process/v8-tuning.js';
import { SYSTEM } from '../../runtime/system.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { endOrphans } from '../../supervise/guardian/orphans.js';
import type { Supervisor } from '../../supervise/supervisor.js';
import { CommandFailure, oneLine } from '../failure.js';
import { listenProblem } from '../listen-problem.js';
import { forgetOwner, ownGuardian } from '../own-guardian.js';
import { packageVersion } from '../package-info.js';
import { notifyServiceManager } from '../service-manager.js';
import { type EndRequests, endRequests, takeUncaught } from '../signals.js';
import { readWithAdoption } from './adopt.js';
import { inPlace, ofGeneration, ownsModel, withCommand } from './command-override.js';
import { removeModelSockets } from './model-sockets.js';
import { startModels } from './owned-models.js';
import { ParentChannel } from './parent-channel.js';
import { reportToParent } from './parent-reports.js';
import { watchConfiguration } from './reload.js';
import { ReloadRequests } from './reload-requests.js';
import { acceptWhenReady, Takeover } from './takeover.js';

/**
 * `outrider sidecar`: runs one sidecar in this process, with the model processes that it owns,
 * until a signal.
 *
 * Start: listeners first, then models. End: drain while the models still work, then the models,
 * then the rest, then the log is flushed. A second signal, or the end of the parent, ends everything at once.
 *
 * @param command the model's argv after `--`; empty: the file's.
 * @returns the exit code: 0 after the drain, 1 when a second signal came before, or an internal error made it end.
 * @throws CommandFailure when the file is invalid or an address cannot be bound.
 */
export async function sidecarCommand(file: string, command: readonly string[]): Promise<number> {
  tuneSidecar();
  forgetOwner(process.env);
  const ends = endRequests(['SIGHUP']);
  const requests = new ReloadRequests(resolve(file), systemTimers);
  process.on('SIGHUP', requests.hangUp);
  const takeovers = new EarlyTakeovers();
  process.on('SIGUSR2', takeovers.ask);
  const sockets = inheritedSockets();
  const parent = ParentChannel.open(process.env);
  const warnings: string[] = [];
  const warn = (line: string): void => void warnings.push(line);
  const read = await readWithAdoption(file, { warn, ended: ends.first, sockets });
  const { adoption } = read;
  // Sidecars of `up` are many in one environment, and get names of their own.
  const fileConfig = parent === undefined ? inPlace(read.config, process.env) : read.config;
  const ownConfig = withCommand(fileConfig, command, file);
  const { generation } = sockets;
  const config = ofGeneration(ownConfig, generation);
  const logger = createLogger({
    level: config.log.level,
    fields: { service: config.service, instance: config.instance },
  });
  for (const warning of warnings) logger.warn({}, warning);
  await parent?.identityArrived();
  const sidecar = await start(config, { logger, parent, sockets, adoption });
  const reports = parent && reportToParent(sidecar, parent);
  if (ownsModel(config)) await endLeftovers(config, logger);
  const guardian = ownGuardian(config.instance, (problem) =>
    logger.warn({ problem }, 'model processes are not guarded'),
  );
  const models = startModels(config, sidecar, logger, guardian);
  const watch = () =>
    watchConfiguration({
      ...{ file: resolve(file), requests, sidecar, logger, command, parent },
      ...{ generation, adoption, running: config, timers: systemTimers },
    });
  // Until a successor accepts, the ports that a change adds are its predecessor's. Requests are kept.
  if (!sockets.isSuccessor) watch();
  const fileNow = () => configNow(file, command, adoption);
  const takeover = new Takeover({ sidecar, sockets, parent, ends, logger, config: ownConfig, fileNow });
  takeovers.follow(() => void takeover.request());
  let isUnsafe = false;
  // The first asks for a drain, a second one for the end.
  sidecar.onUnsafe((why) => {
    isUnsafe = true;
    ends.ask(why);
  });
  const restoreUncaught = takeUncaught((error) => sidecar.uncaught(error));
  announce(sidecar, logger, parent);
  if (!sockets.isSuccessor && parent === undefined) notifyManager(logger);
  acceptWhenReady(sidecar, sockets, () => {
    watch();
    parent?.send({ event: 'accepting' });
    if (parent === undefined) notifyManager(logger);
  });
  parent?.onGone(() => {
    for (const model of models) model.kill();
    process.exit(1);
  });
  try {
    logger.info({ signal: await ends.first }, 'ending');
    await takeover.beforeDrain();
    parent?.send({ event: 'draining' });
    const code = await end(sidecar, models, ends);
    if (takeover.isHandedOver) await removeModelSockets(sidecar.hosts);
    return isUnsafe ? 1 : code;
  } finally {
    restoreUncaught();
    process.off('SIGUSR2', takeovers.ask);
    process.off('SIGHUP', requests.hangUp);
    requests.close();
    adoption?.close();
    reports?.cancel();
    logger.flush();
  }
}

/** The file as a successor will read it; undefined: it would refuse it. */
function configNow(
  file: string,
  command: readonly string[],
  adoption: ProxyAdoption | undefined,
): SidecarConfig | undefined {
  const loaded = loadSidecarFile(file, adoption?.proxy);
  return loaded.ok ? attempt(() => withCommand(loaded.config, command, file), undefined) : undefined;
}

/** SIGUSR2 while the sidecar starts, when there is nothing to take over yet: it is answered once there is. */
class EarlyTakeovers {
  private isAsked = false;
  private act: (() => void) | undefined;

  readonly ask = (): void => {
    if (this.act === undefined) this.isAsked = true;
    else this.act();
  };

  follow(act: () => void): void {
    this.act = act;
    if (this.isAsked) act();
  }
}

/** Before the first model starts, because they may have its port or the memory of its device. */
async function endLeftovers({ instance }: SidecarConfig, logger: Logger): Promise<void> {
  const pids = (await endOrphans(instance, SYSTEM)).map(({ pid }) => pid);
  if (pids.length > 0)
    logger.warn({ pids }, 'processes that a model of an earlier run of this sidecar had started were ended');
}

function notifyManager(logger: Logger): void {
  const problem = notifyServiceManager(process.env);
  if (problem !== undefined) logger.warn({ problem }, 'the service manager could not be told');
}

function inheritedSockets(): ListenSockets {
  try {
    return ListenSockets.fromEnvironment(process.env, process.pid);
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
}

interface StartInput {
  readonly logger: Logger;
  readonly parent: ParentChannel | undefined;
  readonly sockets: ListenSockets;
  readonly adoption: ProxyAdoption | undefined;
}

async function start(
  config: SidecarConfig,
  { logger, parent, sockets, adoption }: StartInput,
): Promise<RunningSidecar> {
  const deps = {
    ...SYSTEM,
    logger,
    version: packageVersion(),
    pid: process.pid,
    env: process.env,
    readMemory: processMemory,
    firstReservedDescriptor: firstReserved(descriptorLimit()),
    sockets,
    adoption,
    ...(parent === undefined ? {} : { identityFeed: parent.identity, restarts: parent.restarts }),
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

async function end(
  sidecar: RunningSidecar,
  models: ReadonlySet<Supervisor>,
  ends: EndRequests,
): Promise<number> {
  const orderly = async () => {
    await sidecar.drain();
    await Promise.all([...models].map((model) => model.stop()));
    await sidecar.stop();
    return 0;
  };
  const code = await Promise.race([orderly(), ends.second.then(() => 1)]);
  if (code !== 0) for (const model of models) model.kill();
  return code;
}

/** Publishes the addresses in the log, and to the parent or on standard output. */
function announce(
  { addresses, view }: RunningSidecar,
  logger: Logger,
  parent: ParentChannel | undefined,
): void {
  const { instance, version } = view;
  const texts = addressTexts(addresses);
  logger.info({ addresses: texts, version }, 'listening');
  if (parent !== undefined) return parent.send({ event: 'listening', addresses: texts });
  const listeners = Object.entries(texts).map(([name, address]) => `${name} on ${address}`);
  process.stdout.write(`outrider ${version} ${instance}: ${listeners.join(', ')}\n`);
}

function addressTexts({
  inbound,
  upstreams,
  shared,
  admin,
  observe,
  scaler,
}: Addresses): Record<string, string> {
  const all: [string, Address | undefined][] = [
    ['inbound', inbound],
    ...Object.entries(upstreams).map(([name, address]): [string, Address] => [`upstream ${name}`, address]),
    ['upstreams', shared],
    ['admin', admin],
    ['observe', observe],
    ['scaler', scaler],
  ];
  return Object.fromEntries(
    all.flatMap(([name, at]) => (at === undefined ? [] : [[name, writeAddress(at)]])),
  );
}
