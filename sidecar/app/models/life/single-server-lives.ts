import type { Revision } from '../../../core/models/settled-listing.js';
import { getOrInsert } from '../../../runtime/get-or-insert.js';
import type { HostedModel, ModelHost } from '../../model-host.js';
import type { LifeLog } from './life-log.js';
import { processFactOf } from './process-fact.js';

/** What the state of a model at its server means for its life. */
const LOADS = { ready: 'ready', starting: 'loading', away: 'unavailable' } as const;

/**
 * Where the models of the only model server stand, for the log of states: one process has them all, and their versions are not
 * loaded or replaced one by one.
 */
export class SingleServerLives {
  private readonly revisions = new Map<HostedModel, Revision>();

  constructor(
    private readonly host: ModelHost,
    private readonly lives: LifeLog,
  ) {}

  /** Takes over the state of one of its models. */
  observe(hosted: HostedModel): void {
    const { host } = this;
    const { state } = hosted.instance;
    const { state: how, why } = host.report();
    const facts = {
      ...{ load: LOADS[state.kind], processes: [processFactOf(how, host.isWarming)] },
      ...{ isHeld: false, isProven: true, rejection: '', suspicion: host.suspicion },
    };
    const said = state.kind === 'away' ? state.why : why;
    const { name, version } = hosted.backend;
    const revision = getOrInsert(this.revisions, hosted, () => ({ name, version, fingerprint: '' }));
    this.lives.observe(revision, facts, said || state.kind);
  }
}
