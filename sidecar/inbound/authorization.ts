import { HEALTH_CHECK, HEALTH_WATCH } from '../codec/health.js';
import type { AuthorizationDecision, IntentionTable } from '../core/authorization/intentions.js';
import { ModelGrant } from '../core/authorization/model-grant.js';
import { PermissionList } from '../core/authorization/permissions.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { MODEL_CONTROL_METHODS } from '../core/routing/method.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { callFacts } from '../relay/call-facts.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import { AuditKind, type AuditTrail } from '../telemetry/audit/trail.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import type { Caller } from './caller.js';
import { isOpenToSomeModels, targetOf } from './model-methods.js';
import { ModelRoutedCall } from './model-routed-call.js';

/**
 * Whether a peer may call, by Consul's intentions. The decision about a caller is kept on its connection until the
 * intentions change; only where they have permissions on path or header is each call looked at. Where they allow some models,
 * a call is looked at twice: its method when it comes, and the model that it names once that has been read.
 */
export class InboundAuthorization {
  constructor(
    public intentions: IntentionTable,
    private readonly service: string,
    private readonly audit: AuditTrail,
  ) {}

  /** The reply to a call that is not allowed; null: it is. `caller` null: a peer without identity. */
  check(caller: Caller | null, block: HeaderBlock): LocalReply | null {
    if (MODEL_CONTROL_METHODS.has(headerViewOf(block).path)) return this.checkControl(caller, block);
    return this.isAllowed(caller) || this.permits(caller, block) ? null : this.refusal(caller);
  }

  private refusal(caller: Caller | null): LocalReply {
    if (this.grantOf(caller) !== null)
      return this.modelNotAllowed(caller, 'this method may be about any of them');
    if (this.intentions.isLoaded) return this.notAllowed(caller);
    return makeLocalReply(LocalReplyReasons.notLoaded, { service: this.service });
  }

  /** A call that would load or unload models: leave to call the service is not enough. */
  private checkControl(caller: Caller | null, block: HeaderBlock): LocalReply | null {
    const { service: destination, intentions } = this;
    if (intentions.allowsControl(caller?.service ?? '', destination, callFacts(block))) return null;
    if (!this.isAllowed(caller) && !this.permits(caller, block)) return this.refusal(caller);
    const source = sourceOf(caller);
    this.audit.record(AuditKind.denied, { source, destination });
    const { path } = headerViewOf(block);
    return makeLocalReply(LocalReplyReasons.controlNotAllowed, { source, destination, path });
  }

  /** The models that a caller may call; null: there is no such list. */
  grantOf(caller: Caller | null): ModelGrant | null {
    if (this.intentions.hasModels && !this.isAllowed(caller)) {
      if (caller !== null) return caller.models;
      return grantIn(this.intentions.decisionFor('', this.service));
    }
    return null;
  }

  /** The reply to a call that names a model which its caller may not call, or whose model cannot be read; null: it may. */
  checkModel(call: ModelRoutedCall): LocalReply | null {
    const grant = this.grantOf(call.caller);
    if (grant === null || call.method.isHealth) return null;
    const { problem, model } = call;
    if (problem === '' && grant.permits(model)) return null;
    if (problem !== '')
      return this.modelNotAllowed(call.caller, `the name of the model cannot be read: ${problem}`);
    return this.modelNotAllowed(
      call.caller,
      model === '' ? 'this call names none' : `'${model}' is none of them`,
    );
  }

  /** The reply to a call whose method is about all models, or about one that is not read. */
  modelNotAllowed(caller: Caller | null, detail: string): LocalReply {
    const source = sourceOf(caller);
    this.audit.record(AuditKind.denied, { source, destination: this.service });
    return makeLocalReply(LocalReplyReasons.modelNotAllowed, { source, destination: this.service, detail });
  }

  /** A call under way by changed intentions. What was not read when it came is not known, and ends. */
  private recheckModel(call: InboundCall, caller: Caller | null): LocalReply | null {
    if (this.grantOf(caller) === null) return null;
    const { path } = headerViewOf(call.block);
    if (call instanceof ModelRoutedCall) {
      const isUnbound = call.method.isStream && call.grant === null;
      if (!isUnbound) return call.isModelKnown ? this.checkModel(call) : null;
    } else if (targetOf(path).kind !== 'named' || path === HEALTH_CHECK || path === HEALTH_WATCH) return null;
    return this.modelNotAllowed(caller, 'this call began when it could call all');
  }

  /** Ends the calls on these connections that are no longer allowed. */
  recheck(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      const caller = session.identity as Caller | null;
      const isAllowed = this.isAllowed(caller);
      for (const { owner } of session.connection.state.table.all()) {
        if (!(owner instanceof InboundCall)) continue;
        if (isAllowed && !MODEL_CONTROL_METHODS.has(headerViewOf(owner.block).path)) continue;
        const refusal = this.check(caller, owner.block) ?? this.recheckModel(owner, caller);
        if (refusal === null) continue;
        // `intentions-not-loaded` says that the model has not seen the call.
        const isUndecided = refusal.reason === LocalReplyReasons.notLoaded;
        sendLocalReply(owner, isUndecided && owner.attempt !== null ? this.notAllowed(caller) : refusal);
      }
    }
  }

  private notAllowed(caller: Caller | null): LocalReply {
    const source = sourceOf(caller);
    this.audit.record(AuditKind.denied, { source, destination: this.service });
    return makeLocalReply(LocalReplyReasons.notAllowed, { source, destination: this.service });
  }

  private isAllowed(caller: Caller | null): boolean {
    if (caller === null) return this.intentions.allows('', this.service);
    if (caller.decidedVersion !== this.intentions.version) this.decide(caller);
    return caller.isAllowed;
  }

  /** Whether permissions allow this one call, or its method may be called by one that may call some models. */
  private permits(caller: Caller | null, block: HeaderBlock): boolean {
    const list =
      caller === null ? permissionsIn(this.intentions.decisionFor('', this.service)) : caller.permissions;
    if (list !== null) return list.decide(callFacts(block)) === 'allow';
    return this.grantOf(caller) !== null && isOpenToSomeModels(headerViewOf(block).path);
  }

  private decide(caller: Caller): void {
    const decision = this.intentions.decisionFor(caller.service, this.service);
    caller.isAllowed = decision === 'allow';
    caller.permissions = permissionsIn(decision);
    caller.models = grantIn(decision);
    caller.decidedVersion = this.intentions.version;
  }
}

function sourceOf(caller: Caller | null): string {
  return caller?.service ?? 'a caller without identity';
}

function permissionsIn(decision: AuthorizationDecision): PermissionList | null {
  return decision instanceof PermissionList ? decision : null;
}

function grantIn(decision: AuthorizationDecision): ModelGrant | null {
  return decision instanceof ModelGrant ? decision : null;
}
