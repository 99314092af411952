/** What a resolver is told about names and patience. */
export interface ResolverSettings {
  /** Domains that complete a short name, in order; '' is the root. */
  readonly search: readonly string[];
  /** A name with at least so many dots is asked for as it is first, and completed afterwards. */
  readonly ndots: number;
  /** Wait for one server in the first turn, ms. */
  readonly tryMs: number;
  /** Turns through the servers. */
  readonly tries: number;
  /** AAAA records are not asked for. */
  readonly isWithoutAaaa: boolean;
}

/** What beside resolv.conf decides: the host's name, and two environment variables. */
export interface ResolverPlace {
  readonly hostname: string;
  /** `LOCALDOMAIN` takes the place of `search`; `RES_OPTIONS` is read after `options`. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** As many as Kubernetes lets a pod have; a round of queries stays bounded. */
const MAX_SEARCH = 32;
/** Limits of the C library. */
const MAX_NDOTS = 15;
const MAX_TRIES = 5;
const MAX_TRY_MS = 30_000;
/** Unless the file says otherwise: the C library waits for 5 s, in which here the whole round has to end. */
const DEFAULT_TRY_MS = 1_000;
const DEFAULT_TRIES = 2;

/**
 * Reads resolv.conf(5) as far as it is about names: the last of `search` and `domain` counts, comments begin in the first column,
 * unknown options are passed over. Without a search list the domain of the host's own name is one. The servers are read by c-ares.
 */
export function readResolvConf(text: string, { hostname, env }: ResolverPlace): ResolverSettings {
  let search = [hostname.includes('.') ? hostname.slice(hostname.indexOf('.') + 1) : undefined];
  const options: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [keyword, ...words] = line.split(/[ \t]+/).filter((word, i) => i === 0 || word !== '');
    if (keyword === 'search') search = words;
    else if (keyword === 'domain') search = words.slice(0, 1);
    else if (keyword === 'options') options.push(...words);
  }
  if (env['LOCALDOMAIN'] !== undefined) search = wordsOf(env['LOCALDOMAIN']);
  options.push(...wordsOf(env['RES_OPTIONS'] ?? ''));
  const number = (name: string, fallback: number, max: number): number =>
    Math.min(numberOf(options, name) ?? fallback, max);
  return {
    search: domainsOf(search),
    ndots: number('ndots', 1, MAX_NDOTS),
    tryMs: Math.max(1, number('timeout', DEFAULT_TRY_MS / 1_000, MAX_TRY_MS / 1_000)) * 1_000,
    tries: Math.max(1, number('attempts', DEFAULT_TRIES, MAX_TRIES)),
    isWithoutAaaa: options.includes('no-aaaa'),
  };
}

const wordsOf = (text: string): string[] => text.split(/[ \t]+/).filter((word) => word !== '');

/** Each once, without the dot that ends it. */
function domainsOf(search: readonly (string | undefined)[]): readonly string[] {
  const domains = search.flatMap((each) => (each === undefined ? [] : [each.replace(/\.$/, '')]));
  return [...new Set(domains)].slice(0, MAX_SEARCH);
}

/** The last `name:NUMBER`. */
function numberOf(options: readonly string[], name: string): number | undefined {
  const found = options
    .map((each) => /^([a-z-]+):(\d{1,9})$/.exec(each))
    .filter((each) => each?.[1] === name);
  const last = found.at(-1)?.[2];
  return last === undefined ? undefined : Number(last);
}
