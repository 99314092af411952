import type { RunningSidecar } from '../../app/running-sidecar.js';
import { loadSidecarFile } from '../../config/file/load.js';
import type { SidecarConfig } from '../../config/model.js';
import { formatProblems } from '../../config/problem.js';
import type { ProxyAdoption } from '../../discovery/consul/registration/adoption.js';
import type { Logger } from '../../runtime/log/logger.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import { oneLine } from '../failure.js';
import { movedProblem } from './adopt.js';
import { inPlace, ofGeneration, withCommand } from './command-override.js';
import type { ParentChannel } from './parent-channel.js';
import type { ReloadRequests } from './reload-requests.js';

export interface ReloadOptions {
  readonly file: string;
  /** SIGHUP and changes of the file, from before it was read. */
  readonly requests: ReloadRequests;
  readonly sidecar: RunningSidecar;
  readonly logger: Logger;
  readonly timers: Timers;
  /** The model's command from the command line; it replaces the one of each new file. */
  readonly command: readonly string[];
  readonly parent: ParentChannel | undefined;
  /** Number of takeovers before this process, plus 1. */
  readonly generation: number;
  /** What the process was started with. */
  readonly running: SidecarConfig;
  /** The registration that fills what the file leaves out; followed from now on. */
  readonly adoption?: ProxyAdoption | undefined;
}

/** A port that is taken is tried again so long after, and twice as long each time, for some four minutes. */
const TAKEN = { firstMs: 1_000, mostMs: 30_000, times: 12 } as const;

/**
 * Reloads the sidecar file on SIGHUP, when its content changes, and when an adopted registration does, until `requests` is closed. SIGHUP also
 * reopens log files.
 *
 * An invalid file changes nothing: the log, the parent and `outrider_config_reloads_rejected_total`
 * report it. Changed options that only a restart takes over are named. Reloads follow each other. While another process has a port that
 * the file adds, such as the sidecar before this one as it drains, the file is tried again. A sidecar that is leaving reads no file any more:
 * what is new is for its successor.
 */
export function watchConfiguration(options: ReloadOptions): void {
  const { file, requests, sidecar, logger, parent, adoption, timers } = options;
  let work = Promise.resolve();
  let isIgnored = false;
  let again: Timer | undefined;
  const read = (taken: number) => {
    again?.cancel();
    again = undefined;
    if (isIgnored) return;
    work = work.then(async () => {
      if ((await reloadNow(options, taken > 0)) !== 'taken' || taken === TAKEN.times) return;
      const waitMs = Math.min(TAKEN.mostMs, TAKEN.firstMs * 2 ** taken);
      again ??= timers.after(waitMs, () => read(taken + 1), { unref: true });
    });
  };
  const reload = () => read(0);
  adoption?.follow(reload);
  requests.follow({
    onChange: reload,
    onHangup: () => {
      sidecar.reopenLogs();
      reload();
    },
    onGone: () => logger.warn({ file }, 'the configuration file is gone; what it said stays in force'),
    onProblem: ({ message }) =>
      logger.warn(
        { problem: message },
        'the configuration file cannot be watched; it is compared every 10 s',
      ),
  });
  if (parent !== undefined)
    parent.onFile = (ignored) => {
      const isBack = isIgnored && !ignored;
      isIgnored = ignored;
      if (isBack) reload();
    };
}

/**
 * Never rejects.
 *
 * @param isRepeated the same file was refused for a taken port and reported: a further refusal is not
 * @returns `taken`: a port that it adds is
 */
async function reloadNow(options: ReloadOptions, isRepeated: boolean): Promise<'done' | 'taken'> {
  const { file, sidecar, logger, command, parent, generation, adoption } = options;
  if (sidecar.isLeaving) {
    parent?.send({ event: 'reload-refused', problem: 'it is draining' });
    logger.info({ file }, 'the configuration file is not read any more: this sidecar is leaving');
    return 'done';
  }
  const refuse = (problem: string) => {
    sidecar.reloadRejected(problem);
    logger.error({ problem }, 'the new configuration is refused; the old one stays in force');
    parent?.send({ event: 'reload-refused', problem });
  };
  const loaded = loadSidecarFile(file, adoption?.proxy);
  if (!loaded.ok) {
    refuse(formatProblems(loaded.problems));
    return 'done';
  }
  try {
    const own = parent === undefined ? inPlace(loaded.config, process.env) : loaded.config;
    const config = ofGeneration(withCommand(own, command, file), generation);
    const { needsRestart } = await sidecar.reload(config);
    adoption?.recordMoved(movedProblem(options.running, config, adoption.proxy.id));
    logger.setLevel(loaded.config.log.level);
    if (needsRestart.length > 0)
      logger.warn({ needsRestart }, 'some changes take effect only after a restart');
    logger.info({ file }, 'configuration reloaded');
    parent?.send({ event: 'reloaded', changes: needsRestart });
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (!(isTaken && isRepeated)) refuse(oneLine(error));
    return isTaken ? 'taken' : 'done';
  }
  return 'done';
}
