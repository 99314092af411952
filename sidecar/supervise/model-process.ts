import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeAddress } from '../config/codecs/address.js';
import { versionPolicyText } from '../config/codecs/version-policy.js';
import type { Address, ModelProcessConfig } from '../config/model.js';
import { upstreamVariables } from '../config/upstream-variable.js';
import type { MemorySuspicion } from '../core/foresight/memory-trend.js';
import { MinimumUptime } from '../core/health/minimum-uptime.js';
import type { ProcessEnd } from '../core/health/process-end.js';
import { RestartLimit } from '../core/health/restart-limit.js';
import { RestartBackoff } from '../core/retry/backoff.js';
import { HealthProbe } from '../health/model/health-probe.js';
import { requestedChange } from '../health/model/repository-query.js';
import type { RuntimeDeps } from '../runtime/deps.js';
import { makeDirectory } from '../runtime/process/directory.js';
import { removeSocket } from '../runtime/process/left-socket.js';
import { processMemory } from '../runtime/process/memory.js';
import { isOwnOrLeft } from '../runtime/process/owned-processes.js';
import { socketOwner } from '../runtime/process/port-owner.js';
import type { ModelReport } from '../telemetry/reports.js';
import { ChildProcessHandle } from './child-process.js';
import type { Guardian } from './guardian/guardian.js';
import { HangDetector, type ModelWork } from './hang-detector.js';
import { MemoryWatch } from './memory-watch.js';
import { modelEnvironment } from './model-environment.js';
import { OomKills } from './oom-kills.js';
import { ProcessSigns } from './process-state.js';
import { Supervisor } from './supervisor.js';
import { WatcherClient } from './watcher-client.js';

/** What a model process needs of its sidecar. */
export interface ModelProcessDeps extends RuntimeDeps {
  /** Environment of the sidecar; `modelEnvironment` selects what the model gets. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Descriptors for the model's standard output and error. */
  readonly stdout: number;
  readonly stderr: number;
  /** Ends what the process started. */
  readonly guardian?: Guardian | undefined;
  /** Name for `{model}` in the command. */
  readonly model?: string | undefined;
  /** For `{version}` in the command. */
  readonly version?: string | undefined;
  /** A sidecar before this one had given it up. */
  readonly wasGivenUp?: boolean;
  /** Where the sidecar listens for each upstream, by name; asked at each start of the process. */
  upstreams(): Readonly<Record<string, Address>>;
  activity(): ModelWork;
  onChange(report: ModelReport): void;
  onEnd(end: ProcessEnd): void;
  /** Its memory grows without end; undefined: it does not any more, or has ended. Absent: its memory is not looked at. */
  onMemorySuspicion?(suspicion: MemorySuspicion | undefined): void;
  /**
   * Called once, before the first start, with the names of variables that the model does not get.
   */
  onWithheld(names: readonly string[]): void;
}

/**
 * The supervisor of a model process: command, environment, health probe, hang detector, backoff and
 * restart limit, put together. Nothing is started yet.
 *
 * @param address where the model has to listen; it replaces `{socket}` in the command.
 */
export function modelProcess(
  config: ModelProcessConfig,
  address: Address,
  deps: ModelProcessDeps,
): Supervisor {
  const { clock, timers } = deps;
  const probe = new HealthProbe(address, { timers });
  const { baseMs, maxMs, limit: given, retryAfterMs } = config.restart;
  const backoff = new RestartBackoff({ baseMs, maxMs }, deps.random);
  const limit = given.starts === 0 ? undefined : new RestartLimit({ ...given, retryAfterMs });
  if (deps.wasGivenUp === true) limit?.resume();
  const argv = config.command.map((part) =>
    part
      .replaceAll('{socket}', writeAddress(address))
      .replaceAll('{model}', deps.model ?? '')
      .replaceAll('{version}', deps.version ?? ''),
  );
  const watcherPath = watcherSocket(address);
  const owner = address.kind === 'unix' ? address.owner : undefined;
  const environment = () =>
    modelEnvironment(deps.env, config, {
      ...upstreamVariables(deps.upstreams()),
      OUTRIDER_MODEL_LISTEN: writeAddress(address),
      ...versionsVariable(config),
      ...(watcherPath === undefined ? {} : { OUTRIDER_WATCHER: `unix:${watcherPath}` }),
    });
  const { withheld } = environment();
  if (withheld.length > 0) deps.onWithheld(withheld);
  const oomKills = new OomKills(clock.now());
  const activity = (): ModelWork => {
    oomKills.update(clock.now());
    return deps.activity();
  };
  return new Supervisor(config, {
    clock,
    timers,
    probe,
    start: (onExit) => {
      makeRoomForSocket(address);
      if (watcherPath !== undefined) freePath(watcherPath);
      const { env } = environment();
      const { stdout, stderr, guardian } = deps;
      return new ChildProcessHandle(argv, { env, stdout, stderr, guardian, onExit });
    },
    monitor: (events, pid) => {
      const signs = pid === undefined ? undefined : new ProcessSigns(pid);
      const watcher = watcherPath === undefined ? undefined : new WatcherClient(watcherPath, clock, owner);
      const { longestRunMs } = config;
      const hang = new HangDetector({ clock, timers, probe, signs, watcher, longestRunMs, activity }, events);
      const memory = signs === undefined ? undefined : memoryWatch(signs, deps);
      return {
        stop: () => {
          hang.stop();
          memory?.stop();
        },
      };
    },
    restartDelayMs: (readyForMs) => backoff.next(readyForMs),
    ...(limit === undefined ? {} : { limit }),
    uptime: new MinimumUptime(),
    requestedChange: () => requestedChange(address, timers),
    isOutOfMemory: () => oomKills.hasKilled(),
    onEnd: deps.onEnd,
    onChange: deps.onChange,
  });
}

function memoryWatch(
  signs: ProcessSigns,
  { timers, onMemorySuspicion }: ModelProcessDeps,
): MemoryWatch | undefined {
  if (onMemorySuspicion === undefined) return undefined;
  return new MemoryWatch({
    timers,
    residentBytes: () => signs.residentBytes(),
    limitBytes: () => processMemory().limitBytes,
    onSuspicion: onMemorySuspicion,
  });
}

/** Longest path the kernel takes for a socket (108 bytes with the closing zero). */
const MAX_SOCKET_PATH = 107;

/**
 * Socket of the watcher thread: `PATH.w` beside the model's own. Undefined for a TCP address or a
 * path that is too long: the process is then judged without a watcher.
 */
function watcherSocket(address: Address): string | undefined {
  if (address.kind !== 'unix') return undefined;
  const path = `${address.path}.w`;
  return Buffer.byteLength(path) > MAX_SOCKET_PATH ? undefined : path;
}

/** Creates the private folder of the socket, and removes the socket that a killed model left. */
function makeRoomForSocket(address: Address): void {
  if (address.kind !== 'unix') return;
  makeDirectory(dirname(address.path), 0o700);
  freePath(address.path);
}

/**
 * @throws Error for a file that is no socket: it is somebody's, and named here by mistake. The same for a socket at which another process
 * listens, such as the model of a second sidecar with the same file: its callers would come to this model from here on. What an earlier start
 * of this sidecar has left there is in nobody's use.
 */
function freePath(path: string): void {
  const owner = existsSync(path) ? socketOwner(path) : undefined;
  if (owner !== undefined && (owner.pid === undefined || !isOwnOrLeft(owner.pid)))
    throw new Error(
      `${path}: ${owner.text} listens on this socket; expected a socket of this model alone. Stop that process, or give this sidecar another path (does a second sidecar run with the same file?)`,
    );
  if (!removeSocket(path))
    throw new Error(`${path}: found a file that is no socket; expected a socket, or nothing`);
}

/** A process that serves one of several versions says of all of them that they are served. */
function versionsVariable({ versions }: ModelProcessConfig): Record<string, string> {
  if (versions === undefined || (versions.kind === 'latest' && versions.count === 1)) return {};
  return { OUTRIDER_MODEL_VERSIONS: versionPolicyText(versions) };
}
