/**
 * What the command line adds to a sidecar file: the model service's command, after `--`. A command `outrider` is this
 * very program, wherever it is installed.
 */

import { defaultModelProcess } from '../config/build-parts.js';
import type { SidecarConfig } from '../config/model.js';
import { CommandFailure } from './failure.js';
import { SELF } from './self.js';

/** A command after `--` takes the place of the file's. */
export function withCommand(config: SidecarConfig, command: readonly string[], file: string): SidecarConfig {
  if (command.length === 0) {
    const { model } = config;
    return model === undefined ? config : { ...config, model: { ...model, command: found(model.command) } };
  }
  if (config.inbound === undefined) {
    throw new CommandFailure(
      `${file}: a model command needs an inbound block, which says where the model listens`,
    );
  }
  return { ...config, model: { ...defaultModelProcess(), ...config.model, command: found(command) } };
}

function found(command: readonly string[]): readonly string[] {
  return command[0] === 'outrider' ? [...SELF, ...command.slice(1)] : command;
}
