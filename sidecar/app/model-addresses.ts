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
  /** Number of this instance of the model, from 1; absent: the model has one. */
  readonly instance?: number;
}

/**
 * The model servers of a sidecar: one, or with `isolation: process` one for each instance of each model of the directory, at
 * `PATH.1`, `PATH.2` and so on.
 *
 * @throws Error of one line when the model directory cannot be read or has no model.
 */
export function modelServers(
  { local, golden }: Pick<InboundConfig, 'local' | 'golden'>,
  model: Pick<ModelProcessConfig, 'isolation' | 'instances'> | undefined,
): readonly ModelServerSpec[] {
  const { isolation, instances = 1 } = model ?? {};
  if (isolation === undefined || golden === undefined) return [{ address: local, models: [] }];
  const models = listModelFolders(golden.models);
  if (!models.some(({ version }) => version !== ''))
    throw new Error(`${golden.models}: found no models, expected <name>/<version>/model.yaml`);
  if (isolation === 'shared') return [{ address: local, models }];
  const count = models.length * instances;
  return models.flatMap((each, i) =>
    Array.from({ length: instances }, (_, n) => ({
      address: count === 1 ? local : siblingOf(local, i * instances + n + 1),
      models: [each],
      only: each.name,
      ...(instances === 1 ? {} : { instance: n + 1 }),
    })),
  );
}

/** A socket in the same private directory. */
function siblingOf(address: Address, number: number): Address {
  return address.kind === 'unix' ? { kind: 'unix', path: `${address.path}.${number}` } : address;
}
