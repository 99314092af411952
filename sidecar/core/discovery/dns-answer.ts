/** What came of the query for one record type. */
export type RecordAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** The server says that there are none: the name does not exist, or has no record of this type. */
  | {
      readonly kind: 'none';
      readonly why: string /** The name exists, without such a record. */;
      readonly isName: boolean;
    }
  /** No answer, or one that says nothing about the name, such as SERVFAIL. */
  | { readonly kind: 'failed'; readonly why: string };

/** The answers of one round, of the record types that were asked for. */
export interface Answers {
  readonly a?: RecordAnswer;
  readonly aaaa?: RecordAnswer;
}

/** What is known of a name: its addresses by record type, each once, in a stable order. */
export interface KnownAddresses {
  readonly a: readonly string[];
  readonly aaaa: readonly string[];
}

/** What a round of queries has changed. */
export interface Reading {
  /** Undefined: nothing is known, now as before. */
  readonly known: KnownAddresses | undefined;
  /** Both types are empty, and a server said so. */
  readonly isEmpty: boolean;
  /** The round told nothing new of at least one type. */
  readonly isFailure: boolean;
  /** It told something of the other type, which is in `known`. */
  readonly isPartial: boolean;
  /** Why it failed or what is left out, one line; absent: all is well. */
  readonly problem?: string;
}

/** Names of the record types, by key. */
const TYPES = { a: 'A', aaaa: 'AAAA' } as const;

/**
 * Reads the answers of one round. A type whose query failed keeps the addresses that it had; without knowledge from before, the
 * other type serves alone. A failure never makes an upstream empty: with one type gone and the other not known, all stays as it was.
 *
 * @param answers of the types that were asked for; one that was not is empty.
 */
export function readAnswers(before: KnownAddresses | undefined, answers: Answers): Reading {
  const problems: string[] = [];
  let hasFailed = false;
  const whys = Object.values(answers).map((each) => (each.kind === 'failed' ? each.why : undefined));
  if (whys.every((why) => why !== undefined))
    return {
      known: before,
      isEmpty: false,
      isFailure: true,
      isPartial: false,
      problem: [...new Set(whys)].join('; '),
    };
  const read = (type: keyof typeof TYPES): readonly string[] => {
    const answer = answers[type];
    if (answer === undefined || answer.kind === 'none') return [];
    if (answer.kind === 'addresses') return usable(answer.addresses, problems);
    hasFailed = true;
    problems.push(`${TYPES[type]}: ${answer.why}`);
    return before?.[type] ?? [];
  };
  const known = { a: read('a'), aaaa: read('aaaa') };
  const isEmpty = known.a.length === 0 && known.aaaa.length === 0;
  const problem = problems.length === 0 ? {} : { problem: problems.join('; ') };
  if (isEmpty && hasFailed)
    return { known: before, isEmpty: false, isFailure: true, isPartial: false, ...problem };
  if (isEmpty)
    return { known, isEmpty, isFailure: false, isPartial: false, problem: whyNone(answers), ...problem };
  return { known, isEmpty, isFailure: hasFailed, isPartial: hasFailed, ...problem };
}

/** Each address once, sorted. A sinkhole answers with the unspecified address, which would lead to this machine. */
function usable(addresses: readonly string[], problems: string[]): readonly string[] {
  const kept = [...new Set(addresses)].filter((each) => each !== '0.0.0.0' && each !== '::');
  if (kept.length < new Set(addresses).size) problems.push('the unspecified address is left out');
  return kept.sort();
}

function whyNone(answers: Answers): string {
  const whys = Object.values(answers).flatMap((each) => (each.kind === 'none' ? [each.why] : []));
  return [...new Set(whys)].join('; ');
}
