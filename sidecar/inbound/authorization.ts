/** Who may call: what intentions say of a caller, remembered on its connection, and of one call where that matters. */

import type { AuthorizationDecision, IntentionTable } from '../core/authorization/intentions.js';
import type { PermissionList } from '../core/authorization/permissions.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { callFacts } from '../relay/call-facts.js';

/** Who is at the other end of a connection, and what was last decided about it. */
export class Caller {
  readonly field: HeaderField;
  decidedVersion = -1;
  /** Whatever the call. */
  isAllowed = false;
  /** Where it depends on the call. */
  permissions: PermissionList | null = null;
  constructor(readonly service: string) {
    this.field = makeField('outrider-caller', service);
  }
}

export class InboundAuthorization {
  constructor(
    public intentions: IntentionTable,
    private readonly service: string,
  ) {}

  /** Whether all its calls are let in. */
  isAllowed(caller: Caller | null): boolean {
    if (caller === null) return this.intentions.allows('', this.service);
    if (caller.decidedVersion !== this.intentions.version) this.judge(caller);
    return caller.isAllowed;
  }

  /** Asked after `isAllowed` said no: whether this one call is let in all the same. */
  permits(caller: Caller | null, block: HeaderBlock): boolean {
    const list = caller === null ? listIn(this.intentions.verdict('', this.service)) : caller.permissions;
    return list !== null && list.decide(callFacts(block)) === 'allow';
  }

  private judge(caller: Caller): void {
    const verdict = this.intentions.verdict(caller.service, this.service);
    caller.isAllowed = verdict === 'allow';
    caller.permissions = listIn(verdict);
    caller.decidedVersion = this.intentions.version;
  }
}

function listIn(verdict: AuthorizationDecision): PermissionList | null {
  return typeof verdict === 'string' ? null : verdict;
}
