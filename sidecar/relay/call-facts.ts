/** What permissions may look at in the header list of a call. Made only for callers whose rights depend on the call. */

import type { CallFacts } from '../core/permissions.js';
import { factsOf } from '../http2/facts.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';

export function callFacts(block: HeaderBlock): CallFacts {
  const { method, path, authority, hasAuthority } = factsOf(block);
  return {
    method,
    path,
    headers: (name) => {
      if (name === ':path') return [path];
      if (name === ':method') return [method];
      // Ours alone, and taken out before the model sees them: a caller's own prove nothing.
      if (name.startsWith('outrider-')) return [];
      const own = hasAuthority ? [authority] : [];
      if (name === ':authority') return own;
      // Envoy knows the authority by both names.
      return name === 'host' ? [...own, ...valuesOf(block, name)] : valuesOf(block, name);
    },
  };
}

function valuesOf(block: HeaderBlock, name: string): string[] {
  const values: string[] = [];
  for (const field of block.stable.toFields()) if (field.name === name) values.push(field.value);
  for (const field of block.extras) if (field.name === name) values.push(field.value);
  return values;
}
