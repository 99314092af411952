/** Which options of a sidecar file runs have, and why they have no others: `npm run simulate -- --options` prints it. */
import { sidecarFile } from '../../../sidecar/config/options/sidecar-file.js';
import { optionsOf, type ValueShape } from '../../../tools/option-tree.js';
import { drawFiles } from './draw.js';

/** Options by their paths, such as `outbound.upstreams.*.balance.kind`; a choice by its path and value, `….kind=ring-hash`. */
export interface NotDrawn {
  /** With all that is below them. */
  readonly options: readonly string[];
  readonly why: string;
}

const UPSTREAM = 'outbound.upstreams.*';
const ROUTE = `${UPSTREAM}.routes[]`;
const BY_NAME = 'Only calls of a rollout name a model, and their only model is digits';

export const NOT_DRAWN: readonly NotDrawn[] = [
  {
    options: [
      ...['trust_domain', 'identity.spire', 'identity.spire_owner', 'identity.hint', 'identity.ids'],
      ...['inbound.mtls', `${UPSTREAM}.tls=plaintext`],
    ],
    why: 'Connections carry the name that their dialler proves: TLS and its identities are tested in test/stack/identity',
  },
  {
    options: ['admin', 'admin_token_file', 'observe', 'scaler'],
    why: 'Ports for operators and KEDA, which Node serves and no call goes through: test/unit/admin, test/unit/app/scaler, test/e2e',
  },
  {
    options: ['consul.token_file', 'consul.tls', 'inbound.local_owner'],
    why: 'They are about files and sockets of a real machine: test/stack/discovery, test/unit/runtime/process',
  },
  {
    options: [...['datacenter', `${UPSTREAM}.consul`, 'consul.adopt', 'consul.registration.address']],
    why: 'The simulated Consul has one datacenter, and services that sidecars or its operator register under their own names',
  },
  {
    options: [`${UPSTREAM}.kubernetes`, `${UPSTREAM}.dns.servers`, `${UPSTREAM}.dns.family=ipv6`],
    why: 'There is no API server, one set of name servers, and no address of IPv6 in a simulation',
  },
  {
    options: [`${UPSTREAM}.cold_start.wake`],
    why: 'It asks a real program, or a server outside of the mesh, to start replicas: test/unit/app/wake.test.ts',
  },
  {
    options: [`${ROUTE}.resume=exact`],
    why: 'The default. A file that says so could not be read by a version before, which half of the sidecars may have',
  },
  {
    options: ['outbound.shared'],
    why: 'Applications of a simulation call the listener of each upstream',
  },
  {
    options: [
      ...['inbound.engine=sglang', 'inbound.engine=trtllm'],
      ...[`${UPSTREAM}.engine=sglang`, `${UPSTREAM}.engine=trtllm`],
    ],
    why: 'Models of a simulation speak the protocol of vLLM; of the others only Abort is read',
  },
  {
    options: ['inbound.intentions[].control_methods', 'inbound.intentions[].models'],
    why: 'Where models have versions, intentions are those of Consul; and no caller loads or unloads one',
  },
  {
    options: [
      ...[
        `${UPSTREAM}.balance.hash_on.parameter`,
        `${ROUTE}.split.match[].model`,
        `${ROUTE}.split.match[].version`,
      ],
      ...[`${UPSTREAM}.endpoints[].models`, `${UPSTREAM}.endpoints[].versions`],
    ],
    why: BY_NAME,
  },
  {
    options: ['inbound.routes[].kind=auto', `${ROUTE}.kind=auto`],
    why: 'A method that no route names is of this kind; what it then does is learnt by reflection, which models of a simulation have not',
  },
  {
    options: [
      ...[
        'model.instances',
        'model.env',
        'model.inherit',
        'model.recycle',
        'model.restart',
        'model.longest_run',
      ],
      ...['model.start_timeout', 'model.stop_timeout', 'model.not_serving_timeout', 'model.isolation=shared'],
    ],
    why: 'They are for the supervisor of a process, in whose place the simulation has its own: test/unit/supervise, test/stack/supervise',
  },
  {
    options: [
      'model.versions',
      'model.repository',
      'model.rollout.agreement',
      'model.rollout.max_latency',
      'model.rollout.follow',
    ],
    why: 'The oracle of rollouts knows which version has to be served in the end by the defaults of these',
  },
  {
    options: ['inbound.golden.interval'],
    why: 'A golden input is sent when a version is new, which is what a rollout shows',
  },
  {
    options: ['inbound.default_intention=allow'],
    why: 'Without a denial by default nothing could be denied; the default policies of Consul are drawn',
  },
];

/** A plain value of a block, and its choices; a map has one name, `*`. */
function leavesOf(at: string, shape: ValueShape): string[] {
  switch (shape.kind) {
    case 'plain':
      return [at, ...choicesOf(shape.doc.type).map((choice) => `${at}=${choice}`)];
    case 'block':
      return shape.options.flatMap(({ name, value }) => leavesOf(at === '' ? name : `${at}.${name}`, value));
    case 'either':
      return [...new Set(shape.of.flatMap((each) => leavesOf(at, each)))];
    default:
      return leavesOf(`${at}${shape.kind === 'list' ? '[]' : '.*'}`, shape.of);
  }
}

/** The words of a type such as "`enforce`, `observe`". */
function choicesOf(type: string): string[] {
  if (!/^`[^`]+`(?:, `[^`]+`)*$/.test(type)) return [];
  return [...type.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);
}

/** What a file says, by the same paths. */
function saidIn(at: string, value: unknown, shape: ValueShape): string[] {
  if (value === undefined) return [];
  const isBlock = typeof value === 'object' && value !== null && !Array.isArray(value);
  switch (shape.kind) {
    case 'plain':
      return isBlock || Array.isArray(value) ? [] : [at, `${at}=${value}`];
    case 'block':
      if (!isBlock) return [];
      return shape.options.flatMap((each) =>
        saidIn(
          at === '' ? each.name : `${at}.${each.name}`,
          (value as Record<string, unknown>)[each.name],
          each.value,
        ),
      );
    case 'either':
      return shape.of.flatMap((each) => saidIn(at, value, each));
    case 'list':
      return Array.isArray(value) ? value.flatMap((each) => saidIn(`${at}[]`, each, shape.of)) : [];
    default:
      return isBlock ? Object.values(value).flatMap((each) => saidIn(`${at}.*`, each, shape.of)) : [];
  }
}

const FILE: ValueShape = { kind: 'block', options: optionsOf(sidecarFile) };

/** All that a sidecar file may say. */
export function allOptions(): readonly string[] {
  return leavesOf('', FILE);
}

/** In how many of the first runs a file says it. */
export function drawnOptions(runs: number): ReadonlyMap<string, number> {
  const drawn = new Map<string, number>();
  for (let seed = 0; seed < runs; seed++) {
    const said = new Set(drawFiles(seed).flatMap((file) => saidIn('', file, FILE)));
    for (const each of said) drawn.set(each, (drawn.get(each) ?? 0) + 1);
  }
  return drawn;
}

/** The reason why an option is not drawn; undefined: none is known. */
export function reasonOf(option: string): string | undefined {
  return NOT_DRAWN.find(({ options }) => options.some((each) => covers(each, option)))?.why;
}

/** An option and what is below it. */
export function covers(option: string, other: string): boolean {
  return other === option || (other.startsWith(option) && /^[.[=]/.test(other.slice(option.length)));
}

/** A table for people. */
export function optionTable(runs: number): string {
  const drawn = drawnOptions(runs);
  const lines = allOptions().map((option) => {
    const count = drawn.get(option) ?? 0;
    return `${`${count}`.padStart(6)}  ${option}${count > 0 ? '' : `: ${reasonOf(option) ?? 'NO REASON'}`}`;
  });
  return [`in the files of how many of ${runs} runs`, ...lines].join('\n');
}
