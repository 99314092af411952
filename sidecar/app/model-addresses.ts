/** Where the models of this sidecar are served: one process for all of them, or one for each. */

import type { Address, InboundConfig, ModelProcessConfig } from '../config/model.js';
import { type ListedModel, listModelFolders } from '../health/model/model-directory.js';

export interface ModelServerSpec {
  readonly address: Address;
  /** Empty: a server that is not asked which models it has. */
  readonly models: readonly ListedModel[];
  /** The name of the one model that a process of its own serves; absent: the process serves all there are. */
  readonly only?: string;
}

/** @throws Error of one line when the directory of models cannot be read, or has none. */
export function modelServers(
  { local, golden }: Pick<InboundConfig, 'local' | 'golden'>,
  isolation: ModelProcessConfig['isolation'],
): readonly ModelServerSpec[] {
  if (isolation === undefined || golden === undefined) return [{ address: local, models: [] }];
  const models = listModelFolders(golden.models);
  if (!models.some(({ version }) => version !== ''))
    throw new Error(`${golden.models}: found no models, expected <name>/<version>/model.yaml`);
  if (isolation === 'shared') return [{ address: local, models }];
  return models.map((model, i) => ({
    address: models.length === 1 ? local : besides(local, i + 1),
    models: [model],
    only: model.name,
  }));
}

/** A socket in the same private directory. */
function besides(address: Address, number: number): Address {
  return address.kind === 'unix' ? { kind: 'unix', path: `${address.path}.${number}` } : address;
}
