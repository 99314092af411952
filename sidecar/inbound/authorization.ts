import type { AuthorizationDecision, IntentionTable } from '../core/authorization/intentions.js';
import type { PermissionList } from '../core/authorization/permissions.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { callFacts } from '../relay/call-facts.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import { AuditKind, type AuditTrail } from '../telemetry/audit/trail.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import type { Caller } from './caller.js';

/**
 * Whether a peer may call, by Consul's intentions. The decision about a caller is kept on its connection until the
 * intentions change; only where they have permissions on path or header is each call looked at.
 */
export class InboundAuthorization {
  constructor(
    public intentions: IntentionTable,
    private readonly service: string,
    private readonly audit: AuditTrail,
  ) {}

  /** The reply to a call that is not allowed; null: it is. `caller` null: a peer without identity. */
  check(caller: Caller | null, block: HeaderBlock): LocalReply | null {
    if (this.isAllowed(caller) || this.permits(caller, block)) return null;
    if (this.intentions.isLoaded) return this.notAllowed(caller);
    return makeLocalReply(LocalReplyReasons.notLoaded, { service: this.service });
  }

  /** Ends the calls on these connections that are no longer allowed. */
  recheck(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      const caller = session.identity as Caller | null;
      if (this.isAllowed(caller)) continue;
      for (const { owner } of session.connection.state.table.all()) {
        if (!(owner instanceof InboundCall)) continue;
        const refusal = this.check(caller, owner.block);
        if (refusal === null) continue;
        // `intentions-not-loaded` says that the model has not seen the call.
        sendLocalReply(owner, owner.attempt === null ? refusal : this.notAllowed(caller));
      }
    }
  }

  private notAllowed(caller: Caller | null): LocalReply {
    const source = caller?.service ?? 'a caller without identity';
    this.audit.record(AuditKind.denied, { source, destination: this.service });
    return makeLocalReply(LocalReplyReasons.notAllowed, { source, destination: this.service });
  }

  private isAllowed(caller: Caller | null): boolean {
    if (caller === null) return this.intentions.allows('', this.service);
    if (caller.decidedVersion !== this.intentions.version) this.decide(caller);
    return caller.isAllowed;
  }

  /** Whether permissions allow this one call. */
  private permits(caller: Caller | null, block: HeaderBlock): boolean {
    const list =
      caller === null ? permissionsOf(this.intentions.decisionFor('', this.service)) : caller.permissions;
    return list !== null && list.decide(callFacts(block)) === 'allow';
  }

  private decide(caller: Caller): void {
    const decision = this.intentions.decisionFor(caller.service, this.service);
    caller.isAllowed = decision === 'allow';
    caller.permissions = permissionsOf(decision);
    caller.decidedVersion = this.intentions.version;
  }
}

function permissionsOf(decision: AuthorizationDecision): PermissionList | null {
  return typeof decision === 'string' ? null : decision;
}
