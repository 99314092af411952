/** Files whose pods share parts by anchors, aliases and merge keys. */
import assert from 'node:assert/strict';
import { parse, parseAllDocuments } from 'yaml';
import { type InjectOptions, injectYaml } from '../../../../sidecar/cli/deploy/inject-yaml.js';

const NATIVE: InjectOptions = { as: 'native', image: 'localhost/outrider:1' };

interface Named {
  readonly name: string;
}
interface Item {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: object; readonly annotations: Readonly<Record<string, string>> };
      readonly spec: {
        readonly dnsPolicy?: string;
        readonly initContainers: readonly Named[];
        readonly containers: readonly Named[];
        readonly volumes: readonly (Named & { readonly configMap?: Named })[];
      };
    };
  };
}

const workload = (name: string, podSpec: string, more = '') =>
  `  - kind: Deployment
    metadata: { name: ${name} }
    spec: { template: { ${more}spec: { ${podSpec}, containers: [{ name: ${name} }] } } }
`;
const list = (...items: string[]) => `kind: List\nitems:\n${items.join('')}`;
const SETUP = '[{ name: migrate }]';
const VOLUMES = '[{ name: data, emptyDir: {} }]';

const injected = (source: string, options = NATIVE) => {
  const { text, notes, problems } = injectYaml(source, options);
  assert.deepEqual(problems, []);
  assert.doesNotMatch(text, /\*|<</);
  assert.equal(injectYaml(text, options).text, text, 'a second time');
  const { items } = parse(text) as { readonly items: readonly Item[] };
  return { items, specs: items.map(({ spec }) => spec.template.spec), notes };
};
const names = (of: readonly Named[] = []) => of.map(({ name }) => name);

describe('injectYaml, in a file with aliases', () => {
  it('keeps the init containers and volumes behind an alias, and adds a sidecar to each pod alone', () => {
    const { specs, notes } = injected(
      list(
        workload('a', `initContainers: &setup ${SETUP}, volumes: &v ${VOLUMES}`),
        workload('b', 'initContainers: *setup, volumes: *v'),
        workload('c', 'initContainers: *setup'),
      ),
    );
    for (const spec of specs) assert.deepEqual(names(spec.initContainers), ['outrider', 'migrate']);
    assert.deepEqual(
      specs.map(({ volumes }) => names(volumes)),
      [['data', 'outrider-config'], ['data', 'outrider-config'], ['outrider-config']],
    );
    const configs = specs.map(({ volumes }) => volumes.at(-1)!.configMap?.name);
    assert.deepEqual(configs, ['outrider-a', 'outrider-b', 'outrider-c']);
    assert.equal(notes.length, 4);
    assert.match(notes[3]!, /^document 1: its aliases are written out/);
  });

  it('adds a sidecar to each of several pods that are one by an alias', () => {
    const source = list(
      '  - { kind: Deployment, metadata: { name: a }, spec: &s { template: { spec: { containers: [{ name: x }] } } } }\n',
      '  - { kind: StatefulSet, metadata: { name: b }, spec: *s }\n',
    );
    const { specs } = injected(source);
    for (const spec of specs) assert.deepEqual(names(spec.initContainers), ['outrider']);
    assert.deepEqual(
      specs.map(({ volumes }) => volumes[0]!.configMap?.name),
      ['outrider-a', 'outrider-b'],
    );
  });

  it('keeps the metadata behind an alias, and the labels of the object whose they are', () => {
    const source = list(
      workload('a', 'dnsPolicy: Default', 'metadata: &m { labels: { app: a } }, '),
      workload('b', 'dnsPolicy: Default', 'metadata: *m, '),
    );
    const { items } = injected(source);
    for (const { spec } of items) {
      assert.deepEqual(spec.template.metadata.labels, { app: 'a' });
      assert.equal(spec.template.metadata.annotations['prometheus.io/port'], '9464');
    }
  });

  it('keeps what merge keys bring, behind what the pod says itself', () => {
    const source = list(
      workload('a', `&one initContainers: ${SETUP}, dnsPolicy: Default`).replace('{ &one', '&one {'),
      workload('b', `<<: [{ initContainers: [{ name: load }], volumes: ${VOLUMES} }, *one], dnsPolicy: None`),
    );
    const spec = injected(source).specs[1]!;
    assert.deepEqual(names(spec.initContainers), ['outrider', 'load'], 'of the first that has them');
    assert.deepEqual(names(spec.volumes), ['data', 'outrider-config']);
    assert.deepEqual([spec.dnsPolicy, names(spec.containers)], ['None', ['b']]);
  });

  it('sees a sidecar, a group of files and a port behind an alias', () => {
    const there = list(
      workload('a', 'initContainers: &i [{ name: outrider }]'),
      workload('b', 'initContainers: *i'),
    );
    const { notes } = injectYaml(there, NATIVE);
    assert.match(notes[1]!, /^Deployment b: has a container outrider already/);
    const secret: InjectOptions = { ...NATIVE, identity: { kind: 'secret', name: 'id' } };
    const grouped = list(
      workload('a', 'securityContext: &c { fsGroup: 7 }, initContainers: [{ name: outrider }]'),
      workload('b', 'securityContext: *c, initContainers: [{ name: outrider }]'),
    );
    assert.doesNotMatch(injectYaml(grouped, secret).notes.join(), /runAsGroup/);
    const ports = 'kind: Pod\nmetadata: { name: a, x: &p [{ containerPort: 9443 }] }\n';
    const taken = `${ports}spec: { containers: [{ name: a, ports: *p }] }\n`;
    assert.match(injectYaml(taken, NATIVE).problems.join(), /ports\[0\]\.containerPort: found 9443/);
  });

  it('leaves documents without pods as they are, and comments', () => {
    const config = 'kind: ConfigMap # mine\nmetadata: { name: &n x }\ndata: { a: *n } # of it\n';
    const pod = `kind: Pod # its own\nmetadata: { name: a }\nspec: { initContainers: &i ${SETUP}, containers: *i }\n`;
    const { text } = injectYaml(`${config}---\n${pod}`, NATIVE);
    assert.ok(text.startsWith(config), text);
    assert.match(text, /kind: Pod # its own\n/);
    const { spec } = parseAllDocuments(text)[1]!.toJS();
    assert.deepEqual(names(spec.containers), ['migrate']);
    assert.deepEqual(names(spec.initContainers), ['outrider', 'migrate']);
  });

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ['an alias of nothing', 'a: *x\n', /found the alias \*x; expected &x before it/],
    ['an alias within its anchor', 'a: &x [*x]\n', /found the alias \*x within &x; expected it elsewhere/],
    ['a merge key without a map', '<<: 3\n', /found a merge key << without a map; expected a map, or a list/],
    [
      'aliases of aliases that fill the memory',
      ['a0: &a0 [x, x, x, x, x, x, x, x, x]', ...[1, 2, 3, 4, 5, 6, 7, 8].map(bomb)].join('\n'),
      /found aliases of more than 100000 nodes; expected fewer/,
    ],
  ];
  for (const [what, source, says] of wrong)
    it(`refuses ${what}`, () => {
      const { problems } = injectYaml(`kind: Pod\n${source}`, NATIVE);
      assert.match(problems.join('\n'), new RegExp(`^document 1: ${says.source}`));
    });
});

function bomb(i: number): string {
  return `a${i}: &a${i} [${Array(9)
    .fill(`*a${i - 1}`)
    .join(', ')}]`;
}
