import type { InboundConfig, ModelProcessConfig } from '../../config/model.js';
import type { Revision } from '../../core/models/settled-listing.js';
import { LATEST, type VersionPolicy } from '../../core/models/version-policy.js';
import { listRevisions } from '../../health/model/model-revisions.js';
import type { ModelBackend, ServedModel } from '../../inbound/model-backend.js';
import type { Inbound } from '../../inbound.js';
import type { AppContext } from '../context.js';
import type { ModelHost } from '../model-host.js';
import type { ModelStatuses } from '../model-status.js';
import { initialRevisions } from './initial-revisions.js';
import type { LifeLog } from './life/life-log.js';
import { LoadedRevision } from './loaded-revision.js';
import type { RevisionOwner } from './loaded-revisions.js';
import { type ModelControl, ModelRepository, type RepositorySettings } from './model-repository.js';
import { RepositoryMethods } from './repository-methods.js';
import { RevisionProcesses } from './revision-processes.js';
import type { StatisticsReader } from './statistics-reader.js';

const DEFAULT_POLL_MS = 15_000;

interface ServedRepositoryOptions {
  readonly process?: ModelProcessConfig | undefined;
  readonly drainTimeoutMs: () => number;
  readonly lives: LifeLog;
}

/** A revision at the start, before `Inbound` has made its backend. */
interface Initial {
  readonly revision: Revision;
  readonly hosts: readonly ModelHost[];
}

/**
 * A repository whose models have processes of their own, with what a version needs to be served: model servers, a backend of
 * `Inbound`, and health.
 */
export class ServedRepository implements RevisionOwner {
  readonly repository: ModelRepository;
  private readonly initials: readonly Initial[];
  private inbound: Inbound | undefined;
  private statuses: ModelStatuses | undefined;
  private onChange: () => void = () => {};
  /** Called when the versions that are served may have changed. */
  onServed: () => void = () => {};
  /** Called after each look at the directory. */
  onListed: () => void = () => {};
  private startProcess: ((host: ModelHost) => void) | undefined;

  private constructor(
    private readonly settings: RepositorySettings,
    private readonly found: readonly Revision[],
    private readonly processes: RevisionProcesses,
    private readonly lives: LifeLog,
    context: AppContext,
  ) {
    this.repository = new ModelRepository(settings, this, context);
    this.initials = initialOf(settings, lives).map((revision) => ({
      revision,
      hosts: processes.hostsOf(revision),
    }));
  }

  /**
   * Undefined where models have no processes of their own.
   *
   * @throws Error of one line when the directory cannot be read or has no version to serve.
   */
  static open(
    { local, golden }: Pick<InboundConfig, 'local' | 'golden'>,
    { process: model, drainTimeoutMs, lives }: ServedRepositoryOptions,
    context: AppContext,
  ): ServedRepository | undefined {
    if (model?.isolation !== 'process' || golden === undefined) return undefined;
    const { instances = 1, versions: policy = LATEST, repository } = model;
    const { pollMs = DEFAULT_POLL_MS } = repository ?? {};
    const control: ModelControl = model.rollout === undefined ? (repository?.control ?? 'none') : 'rollout';
    const directory = golden.models;
    const settings = { directory, policy, control, pollMs, drainTimeoutMs };
    const isVersioned =
      control !== 'none' || model.recycle !== undefined || policy.kind !== 'latest' || policy.count > 1;
    const initial = initialOf(settings, lives).length * instances;
    const processes = new RevisionProcesses({ directory, local, instances, isVersioned, initial }, context);
    return new ServedRepository(settings, listRevisions(directory), processes, lives, context);
  }

  /** What `Inbound` serves at the start. */
  get initial(): readonly ServedModel[] {
    return this.initials.map(({ revision, hosts }) => this.processes.servedBy(revision, hosts));
  }

  /** `Inbound` has made the backends of `initial`, in their order. */
  attach(inbound: Inbound, statistics: StatisticsReader | undefined): void {
    this.inbound = inbound;
    inbound.state.front = new RepositoryMethods(this.repository, this.settings.control, statistics);
    const opened = this.initials.map(({ revision, hosts }, i) =>
      this.connect(revision, hosts, inbound.state.backends[i]!, true),
    );
    this.repository.begin(opened, this.found);
  }

  reportTo(statuses: ModelStatuses, onChange: () => void): void {
    this.statuses = statuses;
    this.onChange = onChange;
  }

  get hosts(): readonly ModelHost[] {
    return this.repository.loaded.all.flatMap(({ hosts }) => hosts);
  }

  /** Which versions are to be served has changed; what follows the directory rolls them out. */
  choose(policy: VersionPolicy = LATEST): void {
    this.repository.choose(policy);
    this.onListed();
  }

  /** Whether the model was there at the start. */
  isInitial(backend: ModelBackend): boolean {
    return this.repository.loaded.all.some((each) => each.backend === backend && each.isInitial);
  }

  ownModels(start: (host: ModelHost) => void): void {
    this.startProcess = start;
    for (const host of this.hosts) start(host);
  }

  start(): void {
    this.repository.start();
  }

  stop(): void {
    this.repository.stop();
  }

  // ---- RevisionOwner ----

  // A version that is loaded later: its model servers, a backend that no call goes to before it is ready, and its health.

  open(revision: Revision, isInitial: boolean): LoadedRevision {
    const hosts = this.processes.hostsOf(revision);
    const backend = this.inbound!.state.addModel(this.processes.servedBy(revision, hosts));
    return this.connect(revision, hosts, backend, isInitial);
  }

  run({ hosts }: LoadedRevision): void {
    for (const host of hosts) {
      host.start();
      this.statuses?.add(host);
      if (this.startProcess === undefined) host.refuse('this sidecar starts no model processes');
      else this.startProcess(host);
    }
  }

  close(revision: LoadedRevision): void {
    const { hosts, backend } = revision;
    // Where the same files are served by other processes, a failure says nothing against the files.
    if (this.repository.loaded.held(revision) !== undefined) this.lives.drop(revision);
    else this.lives.ended(revision, 'its calls have ended, and its processes are stopped');
    for (const host of hosts) this.statuses?.remove(host);
    this.inbound!.state.removeModel(backend);
    this.onChange();
  }

  served(): void {
    if (this.settings.control === 'rollout') this.lives.keep(PINS, this.repository.pins.versions);
    this.onServed();
  }

  moved(revision: LoadedRevision): void {
    this.lives.observe(revision, revision.lifeFacts, revision.lifeWhy);
  }

  listed(all: readonly Revision[]): void {
    this.lives.keepOnly(all);
    this.onListed();
  }

  private connect(
    revision: Revision,
    hosts: readonly ModelHost[],
    backend: ModelBackend,
    isInitial: boolean,
  ): LoadedRevision {
    const loaded = new LoadedRevision(revision, backend, hosts, isInitial);
    for (const [i, host] of hosts.entries()) {
      host.wasGivenUp = isInitial && this.lives.wasGivenUp(revision.name, revision.version);
      host.attach([{ backend, instance: backend.instances[i]! }]);
      host.onChange = ({ instance }) => {
        this.statuses?.changed(instance);
        this.repository.changed(loaded);
        this.onChange();
      };
    }
    return loaded;
  }
}

/** The name under which the versions that rollouts have left are kept. */
const PINS = 'pins';

/** What is served at the start: as rollouts have left it, without what was rejected. */
function initialOf(settings: RepositorySettings, lives: LifeLog): readonly Revision[] {
  const isRejected = (each: Revision) => lives.whyRejected(each) !== undefined;
  const kept = settings.control === 'rollout' ? lives.recall(PINS) : undefined;
  const pinned = typeof kept === 'object' && kept !== null ? (kept as Record<string, string>) : {};
  return initialRevisions(settings, { isRejected, pinned });
}
