import { makeField } from '../../http2/hpack/field.js';
import { StableList } from '../../http2/hpack/header-list.js';
import { encodeName } from '../../http2/hpack/name-field.js';

/** A unary call or a stream that a sidecar begins for itself. */
export interface Question {
  /** Default: `https`. */
  readonly scheme?: 'http' | 'https';
  readonly path: string;
  readonly authority: string;
  /** Default: none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Its headers, encoded once for each endpoint that is asked. */
export function questionHeaders({ scheme = 'https', path, authority, metadata }: Question): StableList {
  const target = { ':method': 'POST', ':scheme': scheme, ':path': path, ':authority': encodeName(authority) };
  const fields = { ...target, te: 'trailers', 'content-type': 'application/grpc', ...metadata };
  return StableList.of(Object.entries(fields).map(([name, value]) => makeField(name, value)));
}
