import type { ModelGrant } from '../core/authorization/model-grant.js';
import type { PermissionList } from '../core/authorization/permissions.js';
import { MetadataKey } from '../core/metadata-key.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { nameField } from '../http2/hpack/name-field.js';

/** The mesh service at the other end of a connection, and the last authorization decision about it. */
export class Caller {
  /** `outrider-caller`, for the model: the service as `encodeName` writes it. */
  readonly field: HeaderField;
  /** Version of the intentions that the decision is by; −1: none yet. */
  decidedVersion = -1;
  /** Every call is allowed. */
  isAllowed = false;
  /** What decides where it depends on the call; null: nothing does. */
  permissions: PermissionList | null = null;
  /** The models that it may call; null: there is no such list. */
  models: ModelGrant | null = null;
  constructor(readonly service: string) {
    this.field = nameField(MetadataKey.caller, service);
  }
}

/** The service that calls, for limits of one caller and for messages. All without identity are one caller. */
export function serviceOf(caller: Caller | null): string {
  return caller?.service ?? 'a caller without identity';
}
