/** What the command line adds to a sidecar file: the model service's command, after `--`. */

import { defaultModelProcess } from '../config/build-parts.js';
import type { SidecarConfig } from '../config/model.js';
import { CommandFailure } from './failure.js';

/** A command after `--` takes the place of the file's. */
export function withCommand(config: SidecarConfig, command: readonly string[], file: string): SidecarConfig {
  if (command.length === 0) return config;
  if (config.inbound === undefined) {
    throw new CommandFailure(
      `${file}: a model command needs an inbound block, which says where the model listens`,
    );
  }
  if (config.model?.isolation === 'process' && !command.some((word) => word.includes('{model}'))) {
    throw new CommandFailure(`${file}: with isolation: process the model command needs a word with {model}`);
  }
  return { ...config, model: { ...defaultModelProcess(), ...config.model, command } };
}
