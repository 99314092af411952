import { nearest } from '../../config/suggest.js';
import { LocalReplyReasons, ModelReplyReasons } from '../../core/outcome/local-reply-reason.js';
import { parseStatus, Status, statusName } from '../../core/outcome/status.js';
import type { Explanation } from '../../telemetry/reasons/explanation.js';
import { EXPLANATIONS } from '../../telemetry/reasons/explanations.js';
import { consulOutput } from './consul-outputs.js';
import { HANDSHAKE_REASONS } from './handshake-reasons.js';

/** What `outrider explain` found for a word; the kinds are those of the places where an operator meets words. */
export type Explained =
  | ({
      readonly kind: 'outrider-reason';
      readonly name: string;
      /** Names of the gRPC statuses that it comes with. */
      readonly statuses: readonly string[];
      /** The model has certainly not seen the call. */
      readonly isUnprocessed: boolean;
    } & Explanation)
  | {
      readonly kind: 'grpc-status';
      readonly name: string;
      /** The reasons with which a sidecar gives this status; empty: it never does. */
      readonly reasons: readonly string[];
    }
  | {
      readonly kind: 'handshake' | 'consul-check';
      readonly name: string;
      readonly meaning: string;
      readonly remedy: readonly string[];
    }
  | { readonly kind: 'unknown'; readonly word: string; readonly near?: string };

const REPLIES = [...Object.values(LocalReplyReasons), ...Object.values(ModelReplyReasons)];

/** Names of all gRPC statuses: they are numbered without gaps. */
const STATUS_NAMES = Object.values(Status).map((status) => statusName(status));

/** Every `outrider-reason`, in the order of the page. */
export const REASON_NAMES = Object.keys(EXPLANATIONS) as readonly (keyof typeof EXPLANATIONS)[];

/**
 * Looks a reason, a gRPC status, a reason of a handshake or the output of a check in Consul up.
 *
 * In the order of what an operator most likely means: a reason goes before the output of a check that has the same word
 * (`draining`), and a word goes before a pattern. The spelling of statuses is that of files: any case, `-` or `_`, or a number.
 */
export function lookUp(word: string): Explained {
  const text = word.trim();
  const name = text.toLowerCase().replaceAll('_', '-');
  if (isKeyOf(EXPLANATIONS, name)) return reasonNamed(name);
  if (isKeyOf(HANDSHAKE_REASONS, name)) {
    const [meaning, remedy] = HANDSHAKE_REASONS[name];
    return { kind: 'handshake', name, meaning, remedy: [remedy] };
  }
  const status = parseStatus(text);
  if (status !== undefined)
    return { kind: 'grpc-status', name: statusName(status), reasons: withStatus(status) };
  const output = consulOutput(text);
  if (output !== undefined) {
    const { shown, meaning, remedy } = output;
    return { kind: 'consul-check', name: shown, meaning, remedy: [remedy] };
  }
  const known = [...REASON_NAMES, ...Object.keys(HANDSHAKE_REASONS), ...STATUS_NAMES];
  const near = nearest(text, known);
  return near === undefined ? { kind: 'unknown', word: text } : { kind: 'unknown', word: text, near };
}

/** The whole entry of one reason. */
export function reasonNamed(
  name: keyof typeof EXPLANATIONS,
): Extract<Explained, { kind: 'outrider-reason' }> {
  const replies = REPLIES.filter((each) => each.name === name);
  const statuses = [...new Set(replies.map(({ status }) => statusName(status)))];
  const isUnprocessed = replies.every((each) => each.isUnprocessed);
  return { kind: 'outrider-reason', name, statuses, isUnprocessed, ...EXPLANATIONS[name] };
}

function withStatus(status: Status): string[] {
  return [...new Set(REPLIES.filter((each) => each.status === status).map(({ name }) => name))];
}

function isKeyOf<T extends object>(table: T, key: string): key is keyof T & string {
  return Object.hasOwn(table, key);
}
