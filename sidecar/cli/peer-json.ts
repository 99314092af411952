import { visibleText } from '../runtime/log/visible-text.js';

/** The JSON of a sidecar or of Consul for a command that shows it: what its texts hold for a terminal is made visible. */
export function parsePeerJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => (typeof value === 'string' ? visibleText(value) : value));
}
