import { type Field, fieldsOf } from '../protobuf.js';
import type { LoadsLayout } from './engine-codec.js';

/** More is not believed. */
const MOST = 1e12;

/** What an engine has to do, as it says itself. */
export interface EngineLoad {
  /** Requests. */
  running: number;
  waiting: number;
  /** Tokens in its cache of keys and values, and how many fit; 0: it does not say it. */
  usedTokens: number;
  mostTokens: number;
}

/** The load of an engine, all of its parts together; undefined: this is none. */
export function readEngineLoad(layout: LoadsLayout, message: Buffer): EngineLoad | undefined {
  const load: EngineLoad = { running: 0, waiting: 0, usedTokens: 0, mostTokens: 0 };
  let parts = 0;
  try {
    for (const field of fieldsOf(message)) {
      if (field.number !== layout.parts || field.type !== 'bytes') continue;
      parts++;
      for (const each of fieldsOf(field.value)) add(load, layout, each);
    }
  } catch {
    return undefined;
  }
  return parts > 0 && Object.values(load).every((value) => value <= MOST) ? load : undefined;
}

function add(load: EngineLoad, layout: LoadsLayout, field: Field): void {
  if (field.type !== 'varint') return;
  const value = Number(field.value);
  if (field.number === layout.running) load.running += value;
  else if (field.number === layout.waiting) load.waiting += value;
  else if (field.number === layout.usedTokens) load.usedTokens += value;
  else if (field.number === layout.mostTokens) load.mostTokens += value;
}
