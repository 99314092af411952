import { connect } from 'node:net';
import { writeAddress } from '../../config/codecs/address.js';
import type { Address, DnsConfig, KubernetesConfig } from '../../config/model.js';
import { IntentionTable } from '../../core/authorization/intentions.js';
import { readAnswers } from '../../core/discovery/dns-answer.js';
import { mergeSlices } from '../../core/discovery/endpoint-slices.js';
import { otherName } from '../../core/discovery/name-search.js';
import { ROUND_LIMIT_MS } from '../../core/discovery/round-time.js';
import { dnsQueries } from '../../discovery/dns/query.js';
import { ResolverFiles } from '../../discovery/dns/resolver-files.js';
import { MAX_SERVICE_BYTES, servicePath, whyAbsent } from '../../discovery/kubernetes/absence-check.js';
import { ApiClient } from '../../discovery/kubernetes/api-client.js';
import { type Reply, readBody } from '../../discovery/kubernetes/api-reads.js';
import { ApiFiles } from '../../discovery/kubernetes/api-settings.js';
import { listSlices, placeOf, refusal, type SliceList } from '../../discovery/kubernetes/slice-list.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { SYSTEM } from '../../runtime/system.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { Subject } from './subject.js';

/** Within a datacenter a connection takes milliseconds; across the world a third of this. */
const CONNECT_TIMEOUT_MS = 1_000;
/** Of an upstream with more, the first ones are tried. */
const MAX_TRIED = 16;

/** Whether connections can be made to the endpoints of one upstream. Nothing is sent over them. */
export async function checkReach(upstream: string, endpoints: readonly Address[]): Promise<Finding> {
  const tried = endpoints.slice(0, MAX_TRIED);
  const problems = await Promise.all(tried.map(connectProblem));
  const bad = tried.flatMap((address, i) =>
    problems[i] === undefined ? [] : [`${writeAddress(address)} (${problems[i]})`],
  );
  const reached = `${tried.length - bad.length} of ${tried.length} endpoints of ${upstream} can be reached`;
  const next =
    'start what should listen there, or look for a firewall in between; `outrider explain connect-failed`';
  if (bad.length === 0) return ok('upstream', reached);
  const what = `${reached}; not ${bad.join(', ')}`;
  return bad.length === tried.length ? failed('upstream', what, next) : warning('upstream', what, next);
}

/** Whether connections can be made to collectors. Calls do not need them, so that it is a warning where none can. */
export async function checkCollectors({ traces, metrics }: Subject['collectors']): Promise<Finding[]> {
  return [
    ...(traces === undefined ? [] : [await checkCollector('traces', traces)]),
    ...(metrics === undefined ? [] : [await checkCollector('metrics', metrics)]),
  ];
}

/** What is lost while the collector is away. */
const LOST = { traces: 'spans', metrics: 'data points' } as const;

async function checkCollector(option: keyof typeof LOST, url: string): Promise<Finding> {
  const { hostname, protocol, port } = new URL(url);
  // That of its scheme is left out by `URL`.
  const usual = protocol === 'https:' ? 443 : 80;
  const host = hostname.replace(/^\[|\]$/g, '');
  const problem = await connectProblem({ kind: 'tcp', host, port: Number(port || usual) });
  if (problem === undefined) return ok(option, `the collector ${url} can be reached`);
  const next = `start it, or name another: \`${option}.endpoint\`; until then ${LOST[option]} are dropped and counted`;
  return warning(option, `the collector ${url} cannot be reached (${problem})`, next);
}

/** What DNS says of the name of an upstream, and whether connections can be made to its addresses. */
export async function checkName(upstream: string, config: DnsConfig): Promise<Finding[]> {
  const query = dnsQueries(new ResolverFiles(process.env), SYSTEM)(config);
  const limit = setTimeout(() => query.cancel(), ROUND_LIMIT_MS);
  const { answers, found: by } = await query.result;
  clearTimeout(limit);
  const { known, problem } = readAnswers(undefined, answers);
  const addresses = known === undefined ? [] : [...known.a, ...known.aaaa];
  const whole = otherName(config.name, by);
  const what = `${config.name}${whole === undefined ? '' : ` (${whole})`}, the DNS name of ${upstream}`;
  const next =
    'look it up: `dig +search NAME`, or `dig +search @SERVER NAME` with `servers`; its service has to be headless, with ready pods';
  if (addresses.length === 0) return [failed('upstream', `${what}: ${problem}`, next)];
  const found = `${what}, has ${addresses.length} address${addresses.length === 1 ? '' : 'es'}`;
  const answer =
    problem === undefined ? ok('upstream', found) : warning('upstream', `${found}; ${problem}`, next);
  const places = addresses.map((host): Address => ({ kind: 'tcp', host, port: config.port }));
  return [answer, await checkReach(upstream, places)];
}

/** What the Kubernetes API says of the Service of an upstream, and whether connections can be made to its ready endpoints. */
export async function checkService(upstream: string, config: KubernetesConfig): Promise<Finding[]> {
  const deps = { api: new ApiClient(new ApiFiles(process.env)), timers: SYSTEM.timers };
  const what = `the Service ${config.service} of ${upstream}`;
  const next =
    '`kubectl get endpointslices`, and `kubectl auth can-i list endpointslices --as=system:serviceaccount:NAMESPACE:NAME`';
  const bad = (why: string): Finding[] => [failed('upstream', `${what}: ${why}`, next)];
  let listed: SliceList | Reply;
  try {
    listed = await new Promise((resolve, reject) => {
      try {
        listSlices(deps, config, resolve);
      } catch (error) {
        reject(error);
      }
    });
  } catch (error) {
    return bad(messageOf(error));
  }
  if ('status' in listed) return bad(refusal(listed));
  const { endpoints, problem } = mergeSlices(listed.slices.values(), config);
  const ready = endpoints.filter(({ condition }) => condition === 'ready');
  if (listed.slices.size === 0) {
    const place = placeOf(deps.api, config);
    const reply = await new Promise<Reply>((resolve) => {
      readBody(deps, config, { path: servicePath(place), maxBytes: MAX_SERVICE_BYTES }, resolve);
    });
    return bad(whyAbsent(reply, place) ?? refusal(reply));
  }
  if (ready.length === 0) return bad(problem ?? 'found no ready endpoint');
  const found = ok('upstream', `${what} has ${ready.length} ready endpoint${ready.length === 1 ? '' : 's'}`);
  const places = ready.map(({ host, port }): Address => ({ kind: 'tcp', host, port }));
  return [found, await checkReach(upstream, places)];
}

/** Each call of a file against the intentions of the same file. A caller whose callee is described elsewhere is not judged. */
export function checkFileIntentions({ rules, calls, services, kind }: Subject): Finding[] {
  if (rules === undefined || kind !== 'mesh') return [];
  const table = new IntentionTable(rules.intentions, rules.byDefault, 1);
  return calls
    .filter(({ to, tls }) => services.includes(to) && tls !== 'plaintext')
    .map(({ from, to }) =>
      table.decisionFor(from, to) === 'deny'
        ? failed(
            'intention',
            `${from} may not call ${to}`,
            `add to intentions: { from: ${from}, to: ${to}, action: allow }`,
          )
        : ok('intention', `${from} may call ${to}`),
    );
}

/** Why no connection can be made; undefined: one can. */
function connectProblem(address: Address): Promise<string | undefined> {
  const target = address.kind === 'unix' ? { path: address.path } : address;
  return new Promise((done) => {
    const socket = connect({ ...target, timeout: CONNECT_TIMEOUT_MS });
    const end = (problem?: string): void => {
      socket.destroy();
      done(problem);
    };
    socket.once('connect', () => end());
    socket.once('timeout', () => end(`no answer in ${CONNECT_TIMEOUT_MS} ms`));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
