import { Status } from '../../core/outcome/status.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { EndedCall } from '../call-record.js';
import { reasonOf } from '../ended-call.js';

/** Which calls a tap shows; each part that is given must fit. */
export interface TapFilter {
  readonly direction?: 'inbound' | 'outbound';
  /** The upstream of an outbound call, or the service of an inbound one. */
  readonly service?: string;
  /** A part of `/package.Service/Method`. */
  readonly method?: string;
  /** Where calls are told apart by their model: its name. */
  readonly model?: string;
  readonly status?: Status;
  /** The `outrider-reason` of this sidecar or of the one that answered. */
  readonly reason?: string;
  /** Calls whose status is not OK, or that were answered by a fallback. */
  readonly isFailed?: boolean;
  /** Calls that took this long at least, ms. */
  readonly slowMs?: number;
}

/** Whether a call fits. The cheap parts are looked at first: it is asked of every call while a tap is open. */
export function fits(filter: TapFilter, call: EndedCall, status: number, nowMs: number): boolean {
  const { stats } = call;
  const { direction, service, method, model, reason, slowMs = 0 } = filter;
  if (direction !== undefined && (stats?.direction ?? 'inbound') !== direction) return false;
  if (service !== undefined && stats?.service !== service) return false;
  if (model !== undefined && stats?.model !== model) return false;
  if (filter.status !== undefined && filter.status !== status) return false;
  if (filter.isFailed === true && status === Status.OK && call.degraded === '') return false;
  if (nowMs - call.startMs < slowMs) return false;
  if (method !== undefined && !headerViewOf(call.block).path.includes(method)) return false;
  return reason === undefined || reasonOf(call) === reason;
}
