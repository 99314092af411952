/**
 * What the command line adds to a sidecar file: the model service's command, after `--`. A command `outrider` is this
 * very program, wherever it is installed.
 */

import type { SidecarConfig } from '../../config/model.js';
import { defaultModelProcess } from '../../config/options/model-process.js';
import { CommandFailure } from '../failure.js';
import { SELF } from '../self.js';

/**
 * Where the models of a successor listen: at a socket of its own, because those of its predecessor still do at theirs.
 * `generation`: 1 for a process that took over from none.
 */
export function ofGeneration(config: SidecarConfig, generation: number): SidecarConfig {
  const { inbound } = config;
  if (generation === 1 || inbound?.local.kind !== 'unix' || !ownsModel(config)) return config;
  const local = { ...inbound.local, path: `${inbound.local.path}.${generation}` };
  return { ...config, inbound: { ...inbound, local } };
}

export function ownsModel({ model, inbound }: SidecarConfig): boolean {
  return inbound !== undefined && model !== undefined && model.command.length > 0;
}

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
