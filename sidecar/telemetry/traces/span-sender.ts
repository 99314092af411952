/** Longest time that a collector has for a request, ms. */
export const SEND_TIMEOUT_MS = 10_000;
/** Of an answer so much is read, bytes: more is no answer to this request. */
export const MAX_ANSWER_BYTES = 64 * 1024;

/** What became of a request. */
export type SendResult =
  /** `rejected`: spans of it that the collector does not want. */
  | { readonly kind: 'taken'; readonly rejected: number }
  /** Another try gives the same. */
  | { readonly kind: 'refused'; readonly why: string }
  /** It may be tried again, at the earliest after so long where the collector says it. */
  | { readonly kind: 'failed'; readonly why: string; readonly waitMs?: number };

/** Brings requests to a collector, one at a time. */
export interface SpanSender {
  /** Never rejects. */
  send(body: Buffer): Promise<SendResult>;
  /** Ends the connection; a request under way fails. */
  close(): void;
}

/** Where a collector is, and what requests to it carry. */
export interface CollectorSettings {
  /** `http://…` or `https://…`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
}
