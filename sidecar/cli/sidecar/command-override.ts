import type { SidecarConfig } from '../../config/model.js';
import { defaultModelProcess } from '../../config/options/model-process.js';
import { CommandFailure } from '../failure.js';
import { commandOf, SELF } from '../self.js';

/**
 * The configuration of a successor: its models listen at sockets of their own (`PATH.gGENERATION`),
 * because those of the predecessor still listen at `PATH`, or at `PATH.1`, `PATH.2` and so on.
 *
 * @param generation number of takeovers before this process, plus 1; 1 changes nothing.
 */
export function ofGeneration(config: SidecarConfig, generation: number): SidecarConfig {
  return atGeneration(withSocketOwner(config), generation);
}

/** Where the model listens, with whose socket that may be: all that connect to it know only the address. */
function withSocketOwner(config: SidecarConfig): SidecarConfig {
  const { inbound } = config;
  if (inbound?.local.kind !== 'unix' || inbound.localOwner === undefined) return config;
  return { ...config, inbound: { ...inbound, local: { ...inbound.local, owner: inbound.localOwner } } };
}

function atGeneration(config: SidecarConfig, generation: number): SidecarConfig {
  const { inbound } = config;
  if (generation === 1 || inbound?.local.kind !== 'unix' || !ownsModel(config)) return config;
  const local = { ...inbound.local, path: `${inbound.local.path}.g${generation}` };
  return { ...config, inbound: { ...inbound, local } };
}

/** What the place of a sidecar says of it: names of pods and their addresses are not known when the file is written. */
export interface PlaceVariables {
  /** In the place of `instance`. */
  readonly OUTRIDER_INSTANCE?: string | undefined;
  /** In the place of `consul.registration.address`. */
  readonly OUTRIDER_ADDRESS?: string | undefined;
}

/** The configuration with what the environment says of the place. Empty variables count as absent. */
export function inPlace(config: SidecarConfig, env: PlaceVariables): SidecarConfig {
  const { OUTRIDER_INSTANCE: instance, OUTRIDER_ADDRESS: address } = env;
  const named = instance ? { ...config, instance } : config;
  const registration = named.consul?.registration;
  if (!address || named.consul === undefined || registration === undefined) return named;
  return { ...named, consul: { ...named.consul, registration: { ...registration, address } } };
}

/** Whether the sidecar starts its model processes itself. */
export function ownsModel({ model, inbound }: SidecarConfig): boolean {
  return inbound !== undefined && model !== undefined && model.command.length > 0;
}

/**
 * The configuration with the model's command of the command line (after `--`), if there is one. A
 * command that begins with `outrider` runs this program, wherever it is installed.
 *
 * @throws CommandFailure when the file has no `inbound` block, which states where the model
 * listens.
 */
export function withCommand(config: SidecarConfig, command: readonly string[], file: string): SidecarConfig {
  if (command.length === 0) {
    const { model } = config;
    return model === undefined
      ? config
      : { ...config, model: { ...model, command: resolved(model.command) } };
  }
  if (config.inbound === undefined)
    throw new CommandFailure(
      `${file}: a model command needs an inbound block, which says where the model listens`,
    );
  return { ...config, model: { ...defaultModelProcess(), ...config.model, command: resolved(command) } };
}

function resolved(command: readonly string[]): readonly string[] {
  return command[0] === 'outrider' ? commandOf(SELF, command.slice(1)) : command;
}
