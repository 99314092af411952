import { randomBytes } from 'node:crypto';
import type { Answer } from '../answers.js';
import { escapeHtml } from '../escape.js';
import { pageAssets } from './assets.js';
import type { PageUpdate } from './series.js';

/** What a document is made of. What is in `body` has been escaped where it was written. */
export interface PageDocument {
  readonly title: string;
  readonly body: string;
  readonly status?: number;
  /** Whether it sends forms. */
  readonly forms: "'self'" | "'none'";
  /** `still`: without the script. */
  readonly kind: 'live' | 'still';
}

/** A whole document. It loads nothing; its nonce is that of no other answer, so that nothing that a sidecar says can run as a script. */
export function documentAnswer({ title, body, status = 200, forms, kind }: PageDocument): Answer {
  const nonce = randomBytes(16).toString('base64');
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; form-action ${forms}; frame-ancestors 'none'; base-uri 'none'`;
  const { style, script } = pageAssets();
  const live = kind === 'live' ? `\n<script nonce="${nonce}">${script}</script>` : '';
  return {
    status,
    type: HTML,
    headers: { 'content-security-policy': policy, 'referrer-policy': 'same-origin' },
    body: `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style nonce="${nonce}">${style}</style></head>
<body>${body}${live}</body></html>
`,
  };
}

const HTML = 'text/html; charset=utf-8';

/** What the script asks for every 2 s. */
export function updateAnswer(update: PageUpdate): Answer {
  return { status: 200, type: 'application/json; charset=utf-8', body: `${JSON.stringify(update)}\n` };
}

/** The slot of `?since`; -1: everything. */
export function sinceOf(query: URLSearchParams): number {
  const since = Number(query.get('since') ?? -1);
  return Number.isSafeInteger(since) ? since : -1;
}
