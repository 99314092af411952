import type { Intention } from '../../../core/authorization/intentions.js';
import {
  type HeaderCondition,
  type Permission,
  unsupported,
} from '../../../core/authorization/permissions.js';
import { compileRe2 } from '../../re2-pattern.js';
import { decodeJson, fieldIn, isObject, textIn } from '../parser/json-fields.js';

/** The intentions of an answer. */
export interface Rules {
  readonly intentions: readonly Intention[];
  /** What is not held to as written, one sentence each. */
  readonly notes: readonly string[];
  /** The entries as they came, to be read again from a cache. */
  readonly raw: readonly unknown[];
}

/** Reads `/v1/connect/intentions`, see `readIntentions`. @throws Error when it is not JSON, or no list. */
export function parseIntentionsAnswer(body: Buffer, service: string): Rules {
  const problem = `the answer is not JSON (${body.length} bytes)`;
  return readIntentions(decodeJson(body.toString('utf8'), problem), service);
}

/**
 * Intentions as Consul lists them: those of 1.8, and the permissions of 1.9 and later by their documentation. What is not
 * known fails closed and is noted: an allow that asks for more than can be checked allows nothing, a deny denies all the
 * same. Intentions about other namespaces, partitions and peered clusters are left out: no caller from there gets in.
 * @throws Error for an entry without names: passed over, a deny would silently not hold.
 */
export function readIntentions(answer: unknown, service: string): Rules {
  if (!Array.isArray(answer)) throw new Error('the answer is not a list of intentions');
  const intentions: Intention[] = [];
  const notes: string[] = [];
  const raw: unknown[] = [];
  for (const entry of answer as unknown[]) {
    const destination = nameIn(entry, 'DestinationName');
    if (destination !== service && destination !== '*') continue;
    raw.push(entry);
    const source = nameIn(entry, 'SourceName');
    if (!isOurs(entry, 'Destination') || !isOurs(entry, 'Source')) continue;
    const found: string[] = [];
    intentions.push({ from: source, to: destination, ...whatOf(entry, found) });
    notes.push(...found.map((what) => `intention ${source} → ${destination}: ${what}`));
  }
  return { intentions, notes, raw };
}

/** A partial wildcard is not Consul's. */
function nameIn(entry: unknown, field: string): string {
  const name = fieldIn(entry, field);
  if (typeof name !== 'string' || name === '') throw new Error(`an intention has no ${field}`);
  if (name !== '*' && name.includes('*')) throw new Error(`${field}: a service or "*" is expected`);
  return name;
}

/** Whether one side of an entry is in the default namespace and partition, and not behind a peering. */
function isOurs(entry: unknown, side: 'Source' | 'Destination'): boolean {
  const isDefault = (field: string): boolean => ['', 'default', '*'].includes(textIn(entry, field));
  return isDefault(`${side}NS`) && isDefault(`${side}Partition`) && textIn(entry, `${side}Peer`) === '';
}

/** The action or the permissions of an entry. @param notes gets what is not applied as written */
function whatOf(entry: unknown, notes: string[]): Pick<Intention, 'action' | 'permissions'> {
  const doubts = doubtsOf(entry);
  const listed = fieldIn(entry, 'Permissions');
  if (Array.isArray(listed) && listed.length > 0) {
    const permissions = listed.map((each) => readPermission(each, doubts.length > 0));
    notes.push(...doubts, ...unsupported(permissions, compileRe2));
    return { action: 'deny', permissions };
  }
  const action = textIn(entry, 'Action');
  if (action === 'deny') return { action };
  if (action !== 'allow') doubts.push(`the action ${JSON.stringify(action.slice(0, 40))} is not known`);
  notes.push(...doubts.map((doubt) => `${doubt}; it denies`));
  return { action: doubts.length === 0 ? 'allow' : 'deny' };
}

/** What an intention asks beyond the name of the caller, in words. */
function doubtsOf(entry: unknown): string[] {
  const doubts: string[] = [];
  const type = textIn(entry, 'SourceType');
  if (type !== '' && type !== 'consul')
    doubts.push(`sources of the type ${JSON.stringify(type.slice(0, 40))}`);
  if (textIn(entry, 'SourceSamenessGroup') !== '') doubts.push('a sameness group');
  if (isSet(fieldIn(entry, 'JWT'))) doubts.push('a JWT is asked for');
  return doubts;
}

/** The fields that are read. Another one that is set makes the permission foreign, which fails closed. */
const PERMISSION_FIELDS = ['Action', 'HTTP'];
const PATHS = { PathExact: 'pathExact', PathPrefix: 'pathPrefix', PathRegex: 'pathRegex' } as const;
const HTTP_FIELDS = [...Object.keys(PATHS), 'Header', 'Methods'];
const HEADER_KINDS = ['Exact', 'Prefix', 'Suffix', 'Contains', 'Regex'];
const HEADER_FIELDS = ['Name', 'Present', ...HEADER_KINDS, 'Invert', 'IgnoreCase'];

/** One permission. @param isDoubtful the intention asks for more than can be checked */
function readPermission(entry: unknown, isDoubtful: boolean): Permission {
  const http = fieldIn(entry, 'HTTP');
  const paths = Object.entries(PATHS).filter(([field]) => textIn(http, field) !== '');
  const methods = listOf(http, 'Methods');
  const headers = listOf(http, 'Header')?.map(readHeader);
  const action = textIn(entry, 'Action');
  const isForeign =
    isDoubtful ||
    (action !== 'allow' && action !== 'deny') ||
    !isObject(http) ||
    hasOthers(entry, PERMISSION_FIELDS) ||
    hasOthers(http, HTTP_FIELDS) ||
    paths.length > 1 ||
    methods?.every((method) => typeof method === 'string') !== true ||
    headers?.includes(undefined) !== false;
  return {
    action: action === 'allow' ? 'allow' : 'deny',
    ...Object.fromEntries(paths.map(([field, name]) => [name, textIn(http, field)])),
    methods: (methods ?? []).filter((method) => typeof method === 'string'),
    headers: (headers ?? []).filter((header) => header !== undefined),
    isForeign,
  };
}

/** Undefined: not a match we know. */
function readHeader(entry: unknown): HeaderCondition | undefined {
  const name = textIn(entry, 'Name');
  if (name === '' || hasOthers(entry, HEADER_FIELDS)) return undefined;
  const kinds = HEADER_KINDS.filter((field) => textIn(entry, field) !== '');
  if (fieldIn(entry, 'Present') === true) kinds.push('Present');
  const [kind, ...others] = kinds;
  if (kind === undefined || others.length > 0) return undefined;
  return {
    name,
    invert: fieldIn(entry, 'Invert') === true,
    ignoreCase: fieldIn(entry, 'IgnoreCase') === true,
    kind: kind.toLowerCase() as HeaderCondition['kind'],
    value: textIn(entry, kind),
  };
}

/** Whether there is a field beyond these that says something. */
function hasOthers(value: unknown, known: readonly string[]): boolean {
  if (!isObject(value)) return false;
  return Object.entries(value).some(([field, said]) => !known.includes(field) && isSet(said));
}

/** Whether a field says something: empty values are what Consul writes for absent ones. */
function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== null && value !== undefined && value !== '' && value !== false && value !== 0;
}

/** Empty where there is none; undefined where there is something else. */
function listOf(value: unknown, field: string): readonly unknown[] | undefined {
  const found = fieldIn(value, field);
  if (found === undefined || found === null) return [];
  return Array.isArray(found) ? (found as unknown[]) : undefined;
}
