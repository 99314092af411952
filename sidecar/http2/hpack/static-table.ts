import { ENOUGH_USES, HeaderField, textFault } from './field.js';
import { internName } from './name.js';
import { TOKEN_BY_NAME } from './tokens.js';

const ENTRIES = [
  ':authority',
  ':method=GET',
  ':method=POST',
  ':path=/',
  ':path=/index.html',
  ':scheme=http',
  ':scheme=https',
  ':status=200',
  ':status=204',
  ':status=206',
  ':status=304',
  ':status=400',
  ':status=404',
  ':status=500',
  'accept-charset',
  'accept-encoding=gzip, deflate',
  'accept-language',
  'accept-ranges',
  'accept',
  'access-control-allow-origin',
  'age',
  'allow',
  'authorization',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expect',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'link',
  'location',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'referer',
  'refresh',
  'retry-after',
  'server',
  'set-cookie',
  'strict-transport-security',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'www-authenticate',
];

/** Entries of the static table; dynamic indexes start one above. */
export const STATIC_COUNT = ENTRIES.length;

/** The static table of RFC 7541 appendix A by index, 1 to 61; element 0 is a filler (index 0 is an error). */
export const STATIC_FIELDS: readonly HeaderField[] = buildFields();

const STATIC_INDEX: ReadonlyMap<string, number> = new Map(
  STATIC_FIELDS.slice(1).map((field, at) => [`${field.name}=${field.value}`, at + 1]),
);

function buildFields(): HeaderField[] {
  for (const name of TOKEN_BY_NAME.keys()) internName(name);
  const fields: HeaderField[] = [];
  for (const [at, entry] of [':filler', ...ENTRIES].entries()) {
    const [name = '', value = ''] = entry.split('=');
    const info = internName(name);
    if (at > 0 && info.staticIndex === 0) info.staticIndex = at;
    const field = new HeaderField(info, value, value.length, textFault(info, value), false, null, false);
    field.uses = ENOUGH_USES;
    fields.push(field);
  }
  return fields;
}

/** Index of the entry with this name and value, 0 if there is none. */
export function staticIndexOf(name: string, value: string): number {
  return STATIC_INDEX.get(`${name}=${value}`) ?? 0;
}
