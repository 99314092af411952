import type { Address, InboundConfig, ModelProcessConfig } from '../config/model.js';
import { type ListedModel, listModelFolders } from '../health/model/model-directory.js';

/** One model server: its address and the models it serves. */
export interface ModelServerSpec {
  readonly address: Address;
  /** Empty for a server of another make, whose models are not listed. */
  readonly models: readonly ListedModel[];
  /**
   * Name of the model, for a process that serves one model only; absent: the process serves all.
   */
  readonly only?: string;
  /** The version that the process of one model serves. */
  readonly version?: string;
  /** Number of this instance of the model, from 1; absent: the model has one. */
  readonly instance?: number;
}

/**
 * The model server of a sidecar whose models have no processes of their own: one that is not asked which models it has, or
 * with `isolation: shared` one for all models of the directory.
 *
 * @throws Error of one line when the model directory cannot be read or has no model.
 */
export function modelServer(
  { local, golden }: Pick<InboundConfig, 'local' | 'golden'>,
  isolation: ModelProcessConfig['isolation'],
): ModelServerSpec {
  if (isolation === undefined || golden === undefined) return { address: local, models: [] };
  const models = listModelFolders(golden.models);
  if (!models.some(({ version }) => version !== ''))
    throw new Error(`${golden.models}: found no models, expected <name>/<version>/model.yaml`);
  return { address: local, models };
}

/** A socket in the same private directory. */
export function siblingOf(address: Address, number: number): Address {
  return address.kind === 'unix' ? { ...address, path: `${address.path}.${number}` } : address;
}
