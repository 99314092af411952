/**
 * Lists of methods that an option is about.
 */
import { z } from 'zod';
import { isValidPattern } from '../../core/routing/method.js';
import { misspelled, quoted, type Spelled, spelled } from '../codecs/parse-result.js';
import { value } from './option.js';
import { spelling } from './values.js';

/** For the JSON Schema; `readMethod` is what decides. */
const METHOD_PATTERN = '^(\\*|/\\w+(\\.\\w+)*/(\\*|\\w+))$';
const METHOD_EXPECTED = '"/package.Service/Method", "/package.Service/*" or "*"';

function readMethod(method: string): Spelled<string> {
  if (isValidPattern(method)) return spelled(method);
  const hint = isValidPattern(`/${method}`) ? `; did you mean ${quoted(`/${method}`)}?` : '';
  return misspelled(`found ${quoted(method)}; expected ${METHOD_EXPECTED}${hint}`);
}

/** At least one. */
export function methodList() {
  const method = value(spelling(METHOD_EXPECTED, METHOD_PATTERN, readMethod), { type: 'method' });
  return z.array(method, { error: 'a list of methods' }).min(1, { error: 'at least one method' });
}
