/** The table that our matching of headers is tested by, asked of Envoy itself, configured as Consul configures it. */

import assert from 'node:assert/strict';
import { CALLS, type ConsulHeader, PERMISSION_ROWS, ROWS } from '../kit/config/header-table.js';
import { Envoy, matcherResources } from '../kit/interop/envoy.js';
import type { Program } from '../kit/interop/programs.js';
import { httpAsk } from '../kit/process/http-ask.js';
import { Scratch } from '../kit/process/outrider.js';
import { toolOrSkip } from '../kit/process/tools.js';

const ALL = [...ROWS, ...PERMISSION_ROWS];

/** Envoy's `config.route.v3.HeaderMatcher`, as Consul configures it. */
function matcherOf(header: Omit<ConsulHeader, 'Name'>): Readonly<Record<string, unknown>> {
  const { Exact, Prefix, Suffix, Contains, Regex, Invert = false, IgnoreCase = false } = header;
  const common = { name: 'X-Kind', invert_match: Invert };
  if (header.Present) return { ...common, present_match: true };
  const kinds = { exact: Exact, prefix: Prefix, suffix: Suffix, contains: Contains };
  const [kind] = Object.entries(kinds).filter(([, value]) => value !== undefined);
  const pattern = kind === undefined ? { safe_regex: { regex: Regex } } : Object.fromEntries([kind]);
  return { ...common, string_match: { ...pattern, ignore_case: IgnoreCase } };
}

describe("interop, Envoy's own matching of headers", () => {
  const programs: Program[] = [];
  let scratch: Scratch | undefined;
  let envoy: Envoy;

  before(async function () {
    const binary = await toolOrSkip(this, 'envoy');
    const made = new Scratch();
    scratch = made;
    const home = {
      file: (name: string, text: string) => Promise.resolve(made.write(name, text)),
      own(program: Program): Program {
        programs.push(program);
        return program;
      },
    };
    const resources = matcherResources(ALL.map(([, header]) => matcherOf(header)));
    envoy = await Envoy.start(home, binary, 'envoy-matchers', resources);
  });
  after(async () => {
    for (const program of programs) await program.stop();
    scratch?.remove();
  });

  const matches = async (row: number, values: readonly string[]): Promise<boolean> => {
    const headers = { 'x-kind': [...values] };
    return (await httpAsk(envoy.address, { path: `/${row}`, headers })).status === 200;
  };

  ALL.forEach(([rule, header, expected], row) => {
    it(`${rule}: ${JSON.stringify(header)}`, async () => {
      const found = await Promise.all(CALLS.map(([, values]) => matches(row, values)));
      assert.equal(found.map((each) => (each ? 'y' : '-')).join(''), expected);
    });
  });
});
