import type { CallFacts } from '../core/authorization/permissions.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { isOwnToken, tokenOf } from '../http2/hpack/tokens.js';

/** What permissions and traffic rules may read of a header list. Made only where there are any. */
export function callFacts(block: HeaderBlock): CallFacts {
  const { method, path } = headerViewOf(block);
  return {
    method,
    path,
    // Ours alone, and taken out before the model sees them: a caller's own prove nothing.
    headers: (name) => (isOwnToken(tokenOf(name)) ? [] : headerValues(block, name)),
  };
}

/** Every value of a header: those that may be indexed in their order, then those that may not. */
export function headerValues(block: HeaderBlock, name: string): string[] {
  const { method, path, authority, hasAuthority } = headerViewOf(block);
  if (name === ':path') return [path];
  if (name === ':method') return [method];
  const own = hasAuthority ? [authority] : [];
  if (name === ':authority') return own;
  const values = valuesOf(block, name);
  // Envoy knows the authority by both names, and a `host` beside it is dropped.
  if (name === 'host') return hasAuthority ? own : values;
  // The parts of a cookie are one value (RFC 9113 section 8.2.3).
  return name === 'cookie' && values.length > 1 ? [values.join('; ')] : values;
}

function valuesOf(block: HeaderBlock, name: string): string[] {
  const values: string[] = [];
  for (const field of block.stable.toFields()) if (field.name === name) values.push(field.value);
  for (const field of block.extras) if (field.name === name) values.push(field.value);
  return values;
}
