/**
 * The matching of headers as Envoy documents it (config.route.v3.HeaderMatcher), in the words of Consul's
 * service-router and service-intentions. `test/interop/envoy-header-match.test.ts` asks Envoy itself.
 */

/** Consul's `Header`. `Regex` must match the whole value. */
export interface ConsulHeader {
  readonly Name: string;
  readonly Present?: true;
  readonly Exact?: string;
  readonly Prefix?: string;
  readonly Suffix?: string;
  readonly Contains?: string;
  readonly Regex?: string;
  readonly Invert?: true;
  readonly IgnoreCase?: true;
}

/** What a call may carry under the name of the header: a name for the column, and the values in order. */
export const CALLS = [
  ['absent', []],
  ['empty', ['']],
  ['blue', ['blue']],
  ['BLUE', ['BLUE']],
  ['bluegreen', ['bluegreen']],
  ['blue, then green', ['blue', 'green']],
] as const;

/** One letter for each of CALLS: `y` matches, `-` does not. */
export const ROWS: readonly (readonly [rule: string, match: Omit<ConsulHeader, 'Name'>, expected: string])[] =
  [
    //                                                                                       absent, empty, blue, BLUE, bluegreen, blue+green
    ['present: any value, an empty one too', { Present: true }, '-yyyyy'],
    ['not present: only an absent header', { Present: true, Invert: true }, 'y-----'],
    ['exact: the whole value, in its case; of several, one', { Exact: 'blue' }, '--y--y'],
    ['exact: several values are not one, joined by a comma', { Exact: 'blue,green' }, '------'],
    ['exact: any of several, not the first alone', { Exact: 'green' }, '-----y'],
    ['not exact: no value is so, and an absent header has none', { Exact: 'blue', Invert: true }, '-y-yy-'],
    ['prefix: how the value begins', { Prefix: 'bl' }, '--y-yy'],
    ['prefix: any of several', { Prefix: 'gr' }, '-----y'],
    ['not prefix, and an absent header has no value', { Prefix: 'bl', Invert: true }, '-y-y--'],
    ['suffix: how the value ends', { Suffix: 'een' }, '----yy'],
    ['not suffix, and an absent header has no value', { Suffix: 'een', Invert: true }, '-yyy--'],
    ['regex: the whole value', { Regex: 'bl.*' }, '--y-yy'],
    ['regex: a part of the value is not enough', { Regex: 'blu' }, '------'],
    ['regex: a flag of RE2 for the case', { Regex: '(?i)blue' }, '--yy-y'],
    ['not regex, and an absent header has no value', { Regex: 'bl.*', Invert: true }, '-y-y--'],
  ];

/** Those that only permissions have (Consul 1.20 and later). */
export const PERMISSION_ROWS: typeof ROWS = [
  ['contains: a part of the value', { Contains: 'green' }, '----yy'],
  ['not contains, and an absent header has no value', { Contains: 'green', Invert: true }, '-yyy--'],
  ['exact without case', { Exact: 'Blue', IgnoreCase: true }, '--yy-y'],
  ['prefix without case', { Prefix: 'BLUE', IgnoreCase: true }, '--yyyy'],
  ['suffix without case', { Suffix: 'LUE', IgnoreCase: true }, '--yy-y'],
  ['contains without case', { Contains: 'LUE', IgnoreCase: true }, '--yyyy'],
  ['not exact without case', { Exact: 'Blue', IgnoreCase: true, Invert: true }, '-y--y-'],
];

/** Envoy refuses a configuration with it. */
export const REFUSED_ROWS: typeof ROWS = [
  ['regex: IgnoreCase has no effect on it', { Regex: 'blue', IgnoreCase: true }, '--y--y'],
];
