/** What the command line adds to a sidecar file: the model service's command, after `--`. */

import type { ModelProcessConfig, SidecarConfig } from '../config/model.js';
import { CommandFailure } from './failure.js';

/** For a file without a model block; the same as the file's own defaults. */
const MODEL_DEFAULTS: Omit<ModelProcessConfig, 'command'> = {
  env: {},
  startTimeoutMs: 60_000,
  restartBaseMs: 100,
  restartMaxMs: 30_000,
  stopTimeoutMs: 10_000,
};

/** A command after `--` takes the place of the file's. */
export function withCommand(config: SidecarConfig, command: readonly string[], file: string): SidecarConfig {
  if (command.length === 0) return config;
  if (config.inbound === undefined) {
    throw new CommandFailure(
      `${file}: a model command needs an inbound block, which says where the model listens`,
    );
  }
  return { ...config, model: { ...MODEL_DEFAULTS, ...config.model, command } };
}
