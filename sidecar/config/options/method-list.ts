/**
 * Lists of methods that an option is about.
 */
import { isValidPattern } from '../../core/routing/method.js';
import { invalid, ok, type Parsed, quoted } from '../codecs/parse-result.js';
import { value } from './option.js';
import { checkedText, listOf } from './values.js';

/** For the JSON Schema; `readMethod` is what decides. */
const METHOD_PATTERN = '^(\\*|/\\w+(\\.\\w+)*/(\\*|\\w+))$';
const METHOD_EXPECTED = '"/package.Service/Method", "/package.Service/*" or "*"';

function readMethod(method: string): Parsed<string> {
  if (isValidPattern(method)) return ok(method);
  const hint = isValidPattern(`/${method}`) ? `; did you mean ${quoted(`/${method}`)}?` : '';
  return invalid(`found ${quoted(method)}; expected ${METHOD_EXPECTED}${hint}`);
}

/** At least one. */
export function methodList() {
  const method = value(checkedText(METHOD_EXPECTED, METHOD_PATTERN, readMethod), { type: 'method' });
  return listOf(method, 'methods').min(1, { error: 'at least one method' });
}
