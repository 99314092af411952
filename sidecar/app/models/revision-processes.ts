import { join } from 'node:path';
import type { Address } from '../../config/model.js';
import type { Revision } from '../../core/models/settled-listing.js';
import type { ServedModel } from '../../inbound/model-backend.js';
import type { AppContext } from '../context.js';
import { siblingOf } from '../model-addresses.js';
import { ModelHost } from '../model-host.js';

export interface RevisionProcessesOptions {
  readonly directory: string;
  /** The socket of the only process, or the beginning of the paths of several. */
  readonly local: Address;
  /** Processes for each revision. */
  readonly instances: number;
  /** Versions are told apart: by requests, in reports and in metrics. */
  readonly isVersioned: boolean;
  /** Processes at the start. */
  readonly initial: number;
}

/**
 * Makes the model servers of revisions, each with a socket of its own: `PATH.1`, `PATH.2` and so on. A number is used once,
 * because a revision that is loaded again begins while the one before it still drains. The only process of a sidecar whose
 * models never change is at `PATH` itself.
 */
export class RevisionProcesses {
  private sockets = 0;

  constructor(
    private readonly options: RevisionProcessesOptions,
    private readonly context: AppContext,
  ) {}

  /** One for each instance; nothing is started yet. */
  hostsOf({ name, version }: Revision): readonly ModelHost[] {
    const { directory, instances, isVersioned, initial } = this.options;
    const models = [{ name, version, card: join(directory, name, version, 'model.yaml') }];
    const hasOthers = isVersioned || initial > 1;
    return Array.from({ length: instances }, (_, i) => {
      const which = instances === 1 ? {} : { instance: i + 1 };
      const spec = { address: this.nextAddress(), models, only: name, version, ...which };
      return new ModelHost(spec, this.context, { hasOthers, isVersioned });
    });
  }

  /** What `Inbound` is told of them. */
  servedBy({ name, version }: Revision, hosts: readonly ModelHost[]): ServedModel {
    const pools = hosts.map(({ pool }) => pool);
    return this.options.isVersioned ? { name, version, pools } : { name, pools };
  }

  private nextAddress(): Address {
    const { local, initial, isVersioned } = this.options;
    if (initial === 1 && !isVersioned) return local;
    this.sockets++;
    return siblingOf(local, this.sockets);
  }
}
