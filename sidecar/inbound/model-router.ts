import { compareVersions } from '../core/models/version-policy.js';
import { LocalReplyReasons, ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { NO, YES } from '../health/model/responder.js';
import { headerViewOf } from '../http2/header-view.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import type { StoredResponse } from '../relay/response.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { Random } from '../runtime/random.js';
import type { InboundCall } from './call.js';
import type { ModelBackend } from './model-backend.js';
import { targetOf } from './model-methods.js';
import { ModelRoutedCall } from './model-routed-call.js';
import { sequenceOf } from './sequence-of.js';

/**
 * Which of several models a call is for. Its first message says so; a method that names no model goes to any model that
 * is ready, or is answered for all of them.
 */
export class ModelRouter {
  /** The versions of each model, the highest first, and of the same version the newest first. */
  private readonly byName = new Map<string, ModelBackend[]>();

  constructor(
    private readonly backends: readonly ModelBackend[],
    private readonly service: string,
    private readonly random: Random = () => 1,
  ) {
    for (const backend of backends) this.add(backend);
  }

  /** One more model, or one more version of a model. */
  add(backend: ModelBackend): void {
    const versions = getOrInsert(this.byName, backend.name, () => []);
    const at = versions.findIndex((each) => compareVersions(each.version, backend.version) <= 0);
    versions.splice(at < 0 ? versions.length : at, 0, backend);
  }

  /** Calls do not find it from now on. */
  remove(backend: ModelBackend): void {
    const versions = this.byName.get(backend.name) ?? [];
    const left = versions.filter((each) => each !== backend);
    if (left.length === 0) this.byName.delete(backend.name);
    else this.byName.set(backend.name, left);
  }

  /** ServerLive and ServerReady of the inference protocol, answered for all models; null: another method. */
  serverResponse(path: string): StoredResponse | null {
    const { kind } = targetOf(path);
    if (kind === 'live') return YES;
    return kind === 'ready' ? (this.anyReady() === undefined ? NO : YES) : null;
  }

  /** Sets the call's model, or returns the reply to a call that is for none. A named call has been read before. */
  route(call: InboundCall): LocalReply | null {
    const { path } = headerViewOf(call.block);
    if (call instanceof ModelRoutedCall) return this.routeByName(call);
    if (targetOf(path).kind === 'none')
      return makeLocalReply(ModelReplyReasons.noModelMethod, { path, service: this.service });
    return this.routeToAny(call);
  }

  private routeByName(call: ModelRoutedCall): LocalReply | null {
    const { problem, model, method } = call;
    if (problem !== '') {
      const reason = call.isMalformed ? ModelReplyReasons.noMessage : ModelReplyReasons.unreadable;
      return makeLocalReply(reason, { detail: problem });
    }
    // The health of the server as a whole, where that is not known here.
    if (method.isHealth && model === '') return this.routeToAny(call);
    const versions = this.byName.get(model);
    const backend = versions && this.preferred(versions, call);
    if (backend === undefined) return this.unknown(call, versions);
    call.backend = backend;
    return null;
  }

  /** NOT_FOUND in the protocol's words, with the versions that are served where the model is known. */
  private unknown(
    { model, version, method }: ModelRoutedCall,
    versions: readonly ModelBackend[] = [],
  ): LocalReply {
    const { unknownService, unknownModel, unknownVersion } = ModelReplyReasons;
    if (method.isHealth) return makeLocalReply(unknownService, { model });
    const served = versions
      .filter(({ isRetired, share }) => !isRetired && share > 0)
      .map((each) => each.version);
    if (served.length === 0) return makeLocalReply(unknownModel, { model });
    return makeLocalReply(unknownVersion, {
      model,
      version,
      served: [...new Set(served)].reverse().join(', '),
    });
  }

  /**
   * The backend for a call: of those that take calls the one that is ready with all of its instances, the highest version
   * first; else the best there is, for its reply says why. One that is tried out takes its share of the calls that name no
   * version and belong to no sequence.
   */
  private preferred(versions: readonly ModelBackend[], call: ModelRoutedCall): ModelBackend | undefined {
    const { version } = call;
    let best: ModelBackend | undefined;
    let bestRank = -1;
    for (const each of versions) {
      if (each.isRetired || each.share === 0 || !isVersion(each, version)) continue;
      if (each.share < 1 && version === '') {
        if (this.random() >= each.share || rankOf(each) < WHOLE || sequenceOf(call) !== null) continue;
        return each;
      }
      const rank = rankOf(each);
      if (rank > bestRank) {
        best = each;
        bestRank = rank;
      }
    }
    return best;
  }

  private routeToAny(call: InboundCall): LocalReply | null {
    call.backend = this.anyReady() ?? this.backends[0] ?? null;
    if (call.backend !== null) return null;
    return makeLocalReply(LocalReplyReasons.modelUnavailable, {
      service: this.service,
      detail: 'no model is loaded',
    });
  }

  private anyReady(): ModelBackend | undefined {
    return this.backends.find(
      ({ state, isRetired, share }) => state.kind === 'ready' && !isRetired && share === 1,
    );
  }
}

/** A backend whose version is not told apart takes all of them: its process knows which it has. */
function isVersion(backend: ModelBackend, version: string): boolean {
  return version === '' || backend.version === '' || backend.version === version;
}

/** The rank of a version that is ready with all of its instances. */
const WHOLE = 4;

/** With some of its instances a version takes calls only where no other is whole, and one on standby only where none is ready. */
function rankOf({ instances, isStandby, state: { kind } }: ModelBackend): number {
  if (kind === 'away') return 0;
  if (kind === 'starting') return 1;
  if (isStandby) return 2;
  return instances.some(({ state }) => state.kind === 'starting') ? 3 : WHOLE;
}
