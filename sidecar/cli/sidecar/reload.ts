/**
 * Takes over a changed sidecar file, on SIGHUP and when the file changes.
 *
 * A file that is not valid changes nothing: the configuration in force stays, and the log, the parent and a
 * counter say so. Changes that only a restart can take over are named.
 */

import type { RunningSidecar } from '../../app/sidecar.js';
import { loadSidecarFile } from '../../config/file/load.js';
import type { Logger } from '../../runtime/log/logger.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { oneLine } from '../failure.js';
import { problemsText } from '../settings.js';
import { ofGeneration, withCommand } from './command-override.js';
import { watchFile } from './file-watcher.js';
import type { ParentChannel } from './parent-channel.js';

export interface ReloadOptions {
  readonly file: string;
  readonly sidecar: RunningSidecar;
  readonly logger: Logger;
  /** The model's command from the command line, which a file does not change. */
  readonly command: readonly string[];
  readonly link: ParentChannel | undefined;
  /** Of this process: `ofGeneration`. */
  readonly generation: number;
}

export function watchConfiguration(options: ReloadOptions): { close(): void } {
  const { sidecar } = options;
  let work = Promise.resolve();
  let isIgnored = false;
  const reload = () => {
    if (isIgnored) return;
    work = work.then(() => reloadNow(options));
  };
  const onHangup = () => {
    sidecar.reopenLogs();
    reload();
  };
  process.on('SIGHUP', onHangup);
  const watch = watchFile(options.file, systemTimers, reload, (error) =>
    options.logger.warn(
      { problem: error.message },
      'the configuration file cannot be watched; SIGHUP reloads it',
    ),
  );
  if (options.link !== undefined) {
    options.link.onFile = (ignored) => {
      const isBack = isIgnored && !ignored;
      isIgnored = ignored;
      if (isBack) reload();
    };
  }
  return {
    close() {
      process.off('SIGHUP', onHangup);
      watch.close();
    },
  };
}

/** Never rejects. */
async function reloadNow(options: ReloadOptions): Promise<void> {
  const { file, sidecar, logger, command, link } = options;
  const refuse = (problem: string) => {
    sidecar.reloadRejected();
    logger.error({ problem }, 'the new configuration is refused; the old one stays in force');
    link?.send({ event: 'reload-refused', problem });
  };
  const loaded = loadSidecarFile(file);
  if (!loaded.ok) return refuse(problemsText(loaded.problems));
  try {
    const { needsRestart } = await sidecar.reload(
      ofGeneration(withCommand(loaded.config, command, file), options.generation),
    );
    logger.setLevel(loaded.config.log.level);
    if (needsRestart.length > 0)
      logger.warn({ needsRestart }, 'some changes take effect only after a restart');
    logger.info({ file }, 'configuration reloaded');
    link?.send({ event: 'reloaded', changes: needsRestart });
  } catch (error) {
    refuse(oneLine(error));
  }
}
