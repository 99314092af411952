import type { Answers, RecordAnswer } from './dns-answer.js';
import type { ResolverSettings } from './resolv-conf.js';

/** A longer name cannot be asked for (RFC 1035, 2.3.4). */
const MAX_NAME = 253;

/** What a search came to. */
export interface SearchResult {
  readonly answers: Answers;
  /** The name that has the addresses, or had them before and exists without them now; absent: no name was found. */
  readonly found?: string;
}

/**
 * The names to ask for, in order: the name as it is where it has `ndots` dots or more, then with each domain of the search list, else the
 * other way round. A name that ends in a dot is whole.
 */
export function candidatesOf(name: string, { search, ndots }: ResolverSettings): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const dots = name.split('.').length - 1;
  const completed = search.map((domain) => (domain === '' ? name : `${name}.${domain}`));
  const all = dots >= ndots ? [name, ...completed] : [...completed, name];
  return [...new Set(all)].filter((each) => each.length <= MAX_NAME);
}

/** The name that was found where it is not the one that is asked for, to show; a dot at the end makes no other name. */
export function otherName(name: string, found: string | undefined): string | undefined {
  return found === name.replace(/\.$/, '') ? undefined : found;
}

/**
 * One search for the addresses of a name. As in the C library the first candidate with an address ends it, and one that does not exist,
 * has no address, or cannot be found out is followed by the next. Two things are stricter, as endpoints that serve would be replaced by
 * those of a name that is something else, often a wildcard of the company's domain:
 *
 * - A name that was found before ends the search where it exists without addresses or cannot be found out.
 * - Where an earlier candidate cannot be found out, no other name takes the place of the one found before.
 */
export class NameSearch {
  private readonly names: string[];
  private readonly asked: string[] = [];
  private failure: string | undefined;
  /** What a server said of the last candidate, or of the first one that exists without an address. */
  private none: { readonly answers: Answers; readonly exists: boolean } | undefined;

  /** @param before the name that was found last time. */
  constructor(
    candidates: readonly string[],
    private readonly before?: string,
  ) {
    this.names = [...candidates];
  }

  /** The next name to ask for; undefined: there is none. */
  next(): string | undefined {
    const name = this.names.shift();
    if (name !== undefined) this.asked.push(name);
    return name;
  }

  /** Names that are still to be asked for. */
  get left(): number {
    return this.names.length;
  }

  /** Takes the answers about the name that `next` gave last; gives the result once the search is over. */
  take(answers: Answers): SearchResult | undefined {
    const name = this.asked.at(-1)!;
    const given = Object.values(answers);
    const failed = given.find((each) => each.kind === 'failed');
    if (given.some(({ kind }) => kind === 'addresses')) {
      const isOther = this.before !== undefined && this.before !== name;
      return isOther && this.failure !== undefined ? this.failed(answers) : { answers, found: name };
    }
    const exists = given.some((each) => each.kind === 'none' && each.isName);
    if (name === this.before && failed !== undefined) return { answers };
    if (name === this.before && exists) return { answers, found: name };
    if (failed !== undefined) this.failure ??= `${name}: ${failed.why}`;
    if (this.none?.exists !== true) this.none = { answers: this.explained(name, answers, exists), exists };
    if (this.names.length > 0) return undefined;
    // No candidate has addresses. One that could not be found out may have some.
    if (this.asked.length === 1) return { answers };
    return this.failure === undefined ? { answers: this.none.answers } : this.failed(answers);
  }

  /** With the names that were asked for beside the reason: the file has another. */
  private explained(name: string, answers: Answers, exists: boolean): Answers {
    const others = this.asked.length - 1;
    const note = exists || others === 0 ? name : `${name}, and ${others} before it`;
    return mapped(answers, (each) =>
      each.kind === 'none' ? { ...each, why: `${each.why}: ${note}` } : each,
    );
  }

  private failed(answers: Answers): SearchResult {
    return { answers: mapped(answers, () => ({ kind: 'failed', why: this.failure ?? '' })) };
  }
}

function mapped(answers: Answers, change: (answer: RecordAnswer) => RecordAnswer): Answers {
  return {
    ...(answers.a && { a: change(answers.a) }),
    ...(answers.aaaa && { aaaa: change(answers.aaaa) }),
  };
}
