import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse, parseAllDocuments } from 'yaml';
import { type InjectOptions, injectYaml } from '../../../../sidecar/cli/deploy/inject-yaml.js';

const NATIVE: InjectOptions = { as: 'native', image: 'localhost/outrider:1' };
const CONTAINER: InjectOptions = { ...NATIVE, as: 'container' };

/** As people write it: lists at the column of their key, comments, quotes. */
const DEPLOYMENT = `# The shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2 # two zones
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      # calls 127.0.0.1:8800
      - name: web
        image: "web:1"
        ports:
        - containerPort: 80
`;
const SERVICE =
  'apiVersion: v1\nkind: Service\nmetadata: {name: web}   # as it was\nspec: {ports: [{port: 80}]}\n';

const JOB_POD = { spec: { containers: [{ name: 'a' }] } };

const pod = (text: string) => parse(text).spec.template;

describe('injectYaml', () => {
  it('gives the sidecar alone the token of the account, and the account a Role, where it watches endpoints', () => {
    const source = `${DEPLOYMENT.replace('    spec:\n', '    spec:\n      serviceAccountName: shop\n')}---\n${SERVICE}`;
    const { text, notes } = injectYaml(source, { ...NATIVE, watchesEndpoints: true });
    assert.ok(notes.includes('Role and RoleBinding of the account shop: added'), notes.join());
    const [deployment, service, role, binding, ...rest] = parseAllDocuments(text).map((each) => each.toJS());
    const { spec } = deployment.spec.template;
    assert.equal(spec.volumes[1].projected.sources.length, 3);
    const mounts = spec.initContainers[0].volumeMounts.map(({ name }: { name: string }) => name);
    assert.deepEqual(mounts, ['outrider-config', 'outrider-account']);
    assert.equal(spec.containers[0].volumeMounts, undefined);
    assert.deepEqual([service.kind, role.kind, binding.kind, rest], ['Service', 'Role', 'RoleBinding', []]);
    assert.deepEqual(role.rules[0].verbs, ['get', 'list', 'watch']);
    assert.equal(binding.roleRef.name, role.metadata.name);
    assert.deepEqual(binding.subjects, [{ kind: 'ServiceAccount', name: 'shop' }]);
    const again = injectYaml(text, { ...NATIVE, watchesEndpoints: true });
    assert.equal(again.text, text);
    const spaced = DEPLOYMENT.replace('  name: web', '  name: web\n  namespace: front');
    const named = injectYaml(spaced, { ...NATIVE, watchesEndpoints: true }).text;
    const { metadata, subjects } = parseAllDocuments(named)[2]!.toJS();
    assert.equal(metadata.namespace, 'front');
    assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: 'default', namespace: 'front' }]);
  });

  it('takes the token from the other containers of such a pod, unless it says that they have it', () => {
    const said = (more: string, watchesEndpoints = true) => {
      const { text, notes } = injectYaml(DEPLOYMENT.replace('    spec:\n', `    spec:\n${more}`), {
        ...NATIVE,
        watchesEndpoints,
      });
      return [pod(text.split('---')[0]!).spec.automountServiceAccountToken, notes.join('\n')] as const;
    };
    const [none, taken] = said('');
    assert.equal(none, false);
    assert.match(taken, /its other containers get no token of its account any more/);
    assert.match(taken, /account default: added; all pods of the namespace without serviceAccountName have/);
    const [kept, warned] = said('      automountServiceAccountToken: true\n      serviceAccountName: shop\n');
    assert.equal(kept, true);
    assert.match(
      warned,
      /other containers have the token of its account too: spec\.template\.spec\.automountServiceAccountToken is true/,
    );
    assert.doesNotMatch(warned, /all pods/);
    const [off, silent] = said('      automountServiceAccountToken: false\n');
    assert.equal(off, false);
    assert.doesNotMatch(silent, /token/);
    assert.equal(said('', false)[0], undefined);
  });

  it('adds a native sidecar before the other init containers, its volumes and annotations', () => {
    const source = DEPLOYMENT.replace(
      '      containers:',
      '      initContainers:\n      - name: migrate\n      containers:',
    );
    const { text, notes, problems } = injectYaml(source, NATIVE);
    assert.deepEqual(problems, []);
    const [note = '', ...others] = notes;
    assert.deepEqual(others, []);
    assert.match(
      note,
      /^Deployment web: the sidecar is added; its file is .* in the ConfigMap outrider-web; /,
    );
    const { spec, metadata } = pod(text);
    assert.deepEqual(
      spec.initContainers.map((each: { name: string; restartPolicy?: string }) => [
        each.name,
        each.restartPolicy,
      ]),
      [
        ['outrider', 'Always'],
        ['migrate', undefined],
      ],
    );
    assert.equal(spec.containers.length, 1);
    assert.equal(spec.volumes[0].configMap.name, 'outrider-web');
    assert.equal(metadata.annotations['prometheus.io/port'], '9464');
  });

  const startOf = (text: string) =>
    parse(text).spec.template.spec.initContainers[0].startupProbe.httpGet.path;
  const job = (kind: string) => DEPLOYMENT.replace('kind: Deployment', `kind: ${kind}`);

  it('lets a job begin once its upstreams have been reached, and nothing else wait for them', () => {
    assert.equal(startOf(injectYaml(job('Job'), NATIVE).text), '/started');
    for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet'])
      assert.equal(startOf(injectYaml(job(kind), NATIVE).text), '/live', kind);
  });

  it('says of a job without a time limit that it may wait for ever', () => {
    const noteOf = (source: string) => injectYaml(source, NATIVE).notes[0] ?? '';
    const says = /; it waits for its upstreams without an end, as spec\.activeDeadlineSeconds is not set: /;
    assert.match(noteOf(job('Job')), says);
    assert.doesNotMatch(noteOf(job('Job').replace('spec:', 'spec:\n  activeDeadlineSeconds: 60')), says);
    assert.doesNotMatch(noteOf(DEPLOYMENT), says);
    const cron = `kind: CronJob
metadata: { name: nightly }
spec: { jobTemplate: { spec: { template: { spec: { containers: [{ name: a, image: b }] } } } } }
`;
    assert.match(noteOf(cron), / as spec\.jobTemplate\.spec\.activeDeadlineSeconds is not set: /);
  });

  /** Of the pod, and of its sidecar. */
  const groupsOf = (text: string) => {
    const { securityContext, initContainers, containers } = pod(text).spec;
    const all: { name: string; securityContext?: object }[] = [...(initContainers ?? []), ...containers];
    const own = all.find(({ name }) => name === 'outrider')!.securityContext as { runAsGroup?: number };
    return { pod: securityContext, own: own.runAsGroup };
  };
  const SECRET: InjectOptions = { ...NATIVE, identity: { kind: 'secret', name: 'identity-web' } };
  const CSI: InjectOptions = {
    ...NATIVE,
    identity: { kind: 'csi', id: 'spiffe://a.b/svc/web', issuer: { kind: 'Issuer', name: 'mesh' } },
  };
  const within = (more: string) =>
    DEPLOYMENT.replace('      containers:', `      ${more}\n      containers:`);

  it('lets the sidecar alone read its Secret, and changes the group of no volume of the pod', () => {
    const claims = 'volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]';
    const keys = 'volumes: [{ name: keys, secret: { secretName: keys, defaultMode: 0400 } }]';
    const templates = DEPLOYMENT.replace('kind: Deployment', 'kind: StatefulSet').replace(
      '  replicas: 2',
      '  volumeClaimTemplates: [{ metadata: { name: data } }]\n  replicas: 2',
    );
    for (const source of [DEPLOYMENT, within(claims), within(keys), templates])
      for (const as of ['native', 'container'] as const) {
        const { text, notes } = injectYaml(source, { ...SECRET, as });
        assert.deepEqual(groupsOf(text), { pod: undefined, own: 0 });
        assert.doesNotMatch(notes.join(), /fsGroup|runAsGroup/);
      }
    const own = injectYaml(within('securityContext: { fsGroup: 7 }'), SECRET).text;
    assert.deepEqual(groupsOf(own), { pod: { fsGroup: 7 }, own: 0 });
  });

  it('leaves the group of a sidecar to its image and its pod where something else writes its certificate', () => {
    const pods = [DEPLOYMENT, within('securityContext: { runAsGroup: 10001 }')];
    for (const options of [NATIVE, CONTAINER, { ...NATIVE, consulAgent: 'node' } as const])
      for (const source of pods) {
        const { text } = injectYaml(source, options);
        assert.equal(groupsOf(text).own, undefined);
        assert.equal(injectYaml(text, options).text, text);
      }
  });

  it('names a Secret that a sidecar mounts and cannot read, by the group that it has', () => {
    const saidOf = (volume: string, ofSidecar = '', ofPod = '') => {
      const source = `kind: Deployment
metadata: { name: web }
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 40
      securityContext: { ${ofPod} }
      initContainers:
        - name: outrider
          securityContext: { ${ofSidecar} }
          volumeMounts: [{ name: token, mountPath: /token }]
      containers: [{ name: web, image: web }]
      volumes: [{ name: token, ${volume} }, { name: other, secret: { secretName: other, defaultMode: 0400 } }]
`;
      const { text, notes } = injectYaml(source, NATIVE);
      assert.equal(text, source);
      return notes[0]!.replace('Deployment web: has a container outrider already', '');
    };
    const secret = (mode: string) => `secret: { secretName: token, defaultMode: ${mode} }`;
    const cannot = (group: number, mode: string, expected: string) =>
      `; it cannot read the Secret of spec.template.spec.volumes[0] as group ${group}: found mode ${mode}; expected one by which ${expected}`;
    const others = (mode: string) => cannot(10_001, mode, 'others may read, such as 0444');
    const group = (mode: string) => cannot(0, mode, 'the group may read, such as 0440');
    const ROOT = 'runAsGroup: 0';
    for (const usual of ['secret: { secretName: token }', secret('0444')])
      for (const of of ['', 'runAsGroup: 10001', ROOT]) assert.equal(saidOf(usual, of), '', usual + of);
    // As people write it, and as `kubectl get` and YAML 1.2 do.
    for (const mode of ['0440', '288', '0o440']) {
      assert.equal(saidOf(secret(mode)), others('0440'), mode);
      assert.equal(saidOf(secret(mode), ROOT), '', mode);
      assert.equal(saidOf(secret(mode), '', ROOT), '', mode);
    }
    assert.equal(saidOf(secret('0400'), ROOT), group('0400'));
    const one =
      'secret: { secretName: token, items: [{ key: a, path: a }, { key: b, path: b, mode: 0400 }] }';
    assert.deepEqual([saidOf(one), saidOf(one, ROOT)], [others('0400'), group('0400')]);
    const projected = (source: string) =>
      `projected: { defaultMode: 0440, sources: [{ ${source}: { name: a } }] }`;
    assert.deepEqual([saidOf(projected('secret')), saidOf(projected('configMap'))], [others('0440'), '']);
    assert.equal(saidOf(secret('0400'), '', 'fsGroup: 7'), '');
    assert.equal(saidOf(secret('0400'), 'runAsUser: 0'), '');
  });

  it('gives the sidecar the group that the driver of cert-manager gives its files', () => {
    const { text } = injectYaml(DEPLOYMENT, CSI);
    assert.deepEqual(groupsOf(text), { pod: undefined, own: 10_001 });
    const { volumeAttributes } = pod(text).spec.volumes[1].csi;
    assert.equal(volumeAttributes['csi.cert-manager.io/fs-group'], '10001');
  });

  it('gives a sidecar that is there the group for its certificate, unless it may read it already', () => {
    const without = injectYaml(DEPLOYMENT, NATIVE).text;
    const later = injectYaml(without, CSI);
    assert.deepEqual(groupsOf(later.text), { pod: undefined, own: 10_001 });
    assert.match(later.notes[0]!, /; its runAsGroup is 10001, for its certificate/);
    assert.equal(injectYaml(later.text, CSI).text, later.text);
    const old = injectYaml(DEPLOYMENT, SECRET).text.replace(/ *runAsGroup: 0\n/, '');
    assert.equal(groupsOf(old).own, undefined);
    const again = injectYaml(old, SECRET);
    assert.deepEqual(groupsOf(again.text), { pod: undefined, own: 0 });
    assert.match(again.notes[0]!, /; its runAsGroup is 0, for its certificate/);
    const shared = old.replace(
      '      containers:',
      '      securityContext: { fsGroup: 10001 }\n      containers:',
    );
    assert.equal(injectYaml(shared, SECRET).text, shared);
    const chosen = injectYaml(DEPLOYMENT, SECRET).text.replace('runAsGroup: 0', 'runAsGroup: 7');
    assert.equal(injectYaml(chosen, SECRET).text, chosen);
  });

  it('adds an ordinary container after the others, without a restart policy of its own', () => {
    const { spec } = pod(injectYaml(DEPLOYMENT, { ...CONTAINER, config: 'mine' }).text);
    assert.deepEqual(
      spec.containers.map((each: { name: string }) => each.name),
      ['web', 'outrider'],
    );
    assert.ok(!('restartPolicy' in spec.containers[1]) && spec.initContainers === undefined);
    assert.equal(spec.volumes[0].configMap.name, 'mine');
  });

  it('changes no line that was there, comments and quotes included', () => {
    for (const options of [NATIVE, CONTAINER]) {
      const left = injectYaml(DEPLOYMENT, options).text.split('\n');
      for (const line of DEPLOYMENT.split('\n')) {
        assert.ok(left.includes(line), line);
        left.splice(left.indexOf(line), 1);
      }
    }
  });

  it('keeps the modes of files, which are octal to Kubernetes', () => {
    const volume = 'volumes: [{ name: a, secret: { secretName: a, defaultMode: 0400 } }]';
    const { text } = injectYaml(within(volume), SECRET);
    assert.match(text, /name: a, secret: \{ secretName: a, defaultMode: 0400 \}/);
    const modes = parse(text, { version: '1.1' }).spec.template.spec.volumes.map(
      ({ secret }: { secret?: { defaultMode: number } }) => secret?.defaultMode,
    );
    assert.deepEqual(modes, [0o400, undefined, 0o440]);
  });

  it('gives the sidecar the agent of its node, or a certificate, and says so where it has neither', () => {
    const partsOf = (options: Partial<InjectOptions>) => {
      const { text, notes } = injectYaml(DEPLOYMENT, { ...NATIVE, ...options });
      const { initContainers, volumes } = pod(text).spec;
      const [{ env, volumeMounts }] = initContainers;
      return { env, mounts: volumeMounts, volumes, note: notes.join() };
    };
    const [none, node] = [partsOf({}), partsOf({ consulAgent: 'node' })];
    assert.match(none.note, /neither a certificate nor an agent of Consul/);
    assert.doesNotMatch(node.note, /neither/);
    assert.deepEqual(node.env.slice(-2), [
      { name: 'NODE_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
      { name: 'CONSUL_HTTP_ADDR', value: 'http://$(NODE_IP):8500' },
    ]);
    const mount = { name: 'outrider-identity', mountPath: '/var/run/secrets/outrider', readOnly: true };
    const secret = partsOf({ identity: { kind: 'secret', name: 'identity-{name}' } });
    assert.deepEqual(secret.mounts[1], mount);
    assert.deepEqual(secret.volumes[1].secret, { secretName: 'identity-web', defaultMode: 0o440 });
    assert.doesNotMatch(secret.note, /neither/);
    const issuer = { kind: 'ClusterIssuer', name: 'mesh' };
    const csi = partsOf({ identity: { kind: 'csi', id: 'spiffe://a.b/svc/{name}', issuer } });
    assert.deepEqual(csi.mounts[1], mount);
    const { driver, volumeAttributes } = csi.volumes[1].csi;
    assert.equal(driver, 'csi.cert-manager.io');
    assert.equal(volumeAttributes['csi.cert-manager.io/uri-sans'], 'spiffe://a.b/svc/web');
    assert.equal(volumeAttributes['csi.cert-manager.io/issuer-kind'], 'ClusterIssuer');
  });

  it('asks cert-manager for the same as the files of the examples', () => {
    const issuer = { kind: 'Issuer', name: 'outrider' };
    const id = 'spiffe://outrider.local/ns/default/dc/dc1/svc/{name}';
    const source = DEPLOYMENT.replaceAll('web', 'digits');
    const { text } = injectYaml(source, { ...NATIVE, identity: { kind: 'csi', id, issuer } });
    const example = readFileSync('mesh-config/deploy/kubernetes/native/digits.patch.yaml', 'utf8');
    const volumeIn = (yaml: string) => pod(yaml).spec.volumes[1];
    assert.deepEqual(volumeIn(text), volumeIn(example));
  });

  it('gives a pod more time to end than a drain takes, and never less than it has', () => {
    const graceOf = (more: string, options: Partial<InjectOptions> = {}) => {
      const source = DEPLOYMENT.replace('      containers:', `${more}      containers:`);
      const { text, notes } = injectYaml(source, { ...NATIVE, ...options });
      return [pod(text).spec.terminationGracePeriodSeconds, /terminationGrace/.test(notes.join())];
    };
    const seconds = (s: number) => `      terminationGracePeriodSeconds: ${s}\n`;
    assert.deepEqual(graceOf(''), [40, true]);
    assert.deepEqual(graceOf(seconds(30)), [40, true]);
    assert.deepEqual(graceOf(seconds(300)), [300, false]);
    assert.deepEqual(graceOf(seconds(300), { graceS: 600 }), [600, true]);
  });

  it('adds to a sidecar that is there what the options ask for and it lacks', () => {
    const asked: InjectOptions = {
      ...NATIVE,
      watchesEndpoints: true,
      consulAgent: 'node',
      identity: { kind: 'secret', name: 'identity-web' },
    };
    for (const before of [NATIVE, CONTAINER]) {
      const once = injectYaml(DEPLOYMENT, before).text;
      const { text, notes, problems } = injectYaml(once, asked);
      assert.deepEqual(problems, []);
      assert.match(
        notes[0]!,
        /^Deployment web: has a container outrider already; .*CONSUL_HTTP_ADDR is added/,
      );
      assert.match(notes[1]!, /^Role and RoleBinding of the account default: added/);
      const whole = injectYaml(DEPLOYMENT, { ...asked, as: before.as }).text;
      const objects = (yaml: string) => parseAllDocuments(yaml).map((each) => each.toJS());
      assert.deepEqual(objects(text), objects(whole));
      assert.equal(injectYaml(text, asked).text, text, 'and nothing the next time');
    }
  });

  it('adds the Role for a sidecar that has the token already, where the file has no Role', () => {
    const asked = { ...NATIVE, watchesEndpoints: true };
    const [deployment, ...roles] = injectYaml(DEPLOYMENT, asked).text.split('---\n');
    const again = injectYaml(deployment!, asked);
    assert.equal(again.text, [deployment, ...roles].join('---\n'));
    assert.match(again.notes[0]!, /already$/);
  });

  it('refuses a sidecar that is there with another certificate', () => {
    const secret = (name: string): InjectOptions => ({ ...NATIVE, identity: { kind: 'secret', name } });
    const once = injectYaml(DEPLOYMENT, secret('a')).text;
    assert.deepEqual(injectYaml(once, secret('b')).problems, [
      'document 1: spec.template.spec.volumes[1]: found outrider-identity of a; expected b, or no such volume',
    ]);
    assert.equal(injectYaml(once, secret('a')).text, once);
  });

  it('puts the Role where the services are, by a name that says whose it is', () => {
    const asked: InjectOptions = { ...NATIVE, watchesEndpoints: true, endpointsIn: ['models', 'front'] };
    assert.deepEqual(injectYaml(DEPLOYMENT, asked).problems, [
      'document 1: metadata.namespace: found none; expected that of the workload, which a RoleBinding elsewhere has to name',
    ]);
    const spaced = DEPLOYMENT.replace('  name: web', '  name: web\n  namespace: front');
    const { text, notes } = injectYaml(spaced, asked);
    const [, ...objects] = parseAllDocuments(text).map((each) => each.toJS());
    assert.deepEqual(
      objects.map(({ kind, metadata: { name, namespace } }) => [kind, name, namespace]),
      [
        ['Role', 'outrider-endpoints-front-default', 'models'],
        ['RoleBinding', 'outrider-endpoints-front-default', 'models'],
        ['Role', 'outrider-endpoints-default', 'front'],
        ['RoleBinding', 'outrider-endpoints-default', 'front'],
      ],
    );
    assert.deepEqual(objects[1].subjects, [{ kind: 'ServiceAccount', name: 'default', namespace: 'front' }]);
    assert.equal(objects[1].roleRef.name, 'outrider-endpoints-front-default');
    assert.match(notes[1]!, /^Role and RoleBinding of the account default in the namespace models: added/);
    assert.equal(injectYaml(text, asked).text, text);
  });

  it('changes nothing the second time', () => {
    for (const options of [NATIVE, CONTAINER]) {
      const once = injectYaml(DEPLOYMENT, options).text;
      for (const again of [NATIVE, CONTAINER]) {
        const twice = injectYaml(once, again);
        assert.equal(twice.text, once);
        assert.deepEqual(twice.notes, ['Deployment web: has a container outrider already']);
      }
    }
  });

  it('keeps annotations of its own names that are there', () => {
    const source = DEPLOYMENT.replace(
      '      labels:',
      "      annotations:\n        prometheus.io/scrape: 'false'\n      labels:",
    );
    assert.equal(pod(injectYaml(source, NATIVE).text).metadata.annotations['prometheus.io/scrape'], 'false');
  });

  it('leaves other kinds alone beside one that it knows, and says so', () => {
    const { text, notes, problems } = injectYaml(`${SERVICE}---\n${DEPLOYMENT}`, NATIVE);
    assert.deepEqual(problems, []);
    assert.equal(notes[0], 'Service web: left as it is');
    const [service, deployment] = parseAllDocuments(text).map((each) => each.toJS());
    assert.deepEqual(service, parse(SERVICE));
    assert.equal(deployment.spec.template.spec.initContainers[0].name, 'outrider');
    assert.match(text, /# as it was/);
  });

  it('knows where a CronJob and a Job have their pods', () => {
    const job = {
      kind: 'Job',
      metadata: { name: 'j' },
      spec: { template: { spec: { containers: [{ name: 'a' }] } } },
    };
    const cron = { kind: 'CronJob', metadata: { name: 'c' }, spec: { jobTemplate: { spec: job.spec } } };
    assert.equal(pod(injectYaml(JSON.stringify(job), NATIVE).text).spec.initContainers[0].name, 'outrider');
    const made = parse(injectYaml(JSON.stringify(cron), NATIVE).text).spec.jobTemplate.spec.template;
    assert.equal(made.spec.initContainers[0].name, 'outrider');
  });

  it('refuses an ordinary container in a Job or CronJob, which would never end', () => {
    for (const kind of ['Job', 'CronJob']) {
      const below = kind === 'Job' ? { template: JOB_POD } : { jobTemplate: { spec: { template: JOB_POD } } };
      const source = JSON.stringify({ kind, metadata: { name: 'j' }, spec: below });
      assert.deepEqual(injectYaml(source, NATIVE).problems, []);
      assert.deepEqual(injectYaml(source, CONTAINER).problems, [
        `document 1: kind: found ${kind}, which would never end beside an ordinary container; expected another kind, or --as native`,
      ]);
    }
  });

  it('names the ConfigMap by a prefix that Kubernetes makes a name of, and by nothing where there is none', () => {
    const object = (metadata: object) =>
      JSON.stringify({ kind: 'Job', metadata, spec: { template: JOB_POD } });
    const { text } = injectYaml(object({ generateName: 'nightly-' }), NATIVE);
    assert.equal(pod(text).spec.volumes[0].configMap.name, 'outrider-nightly');
    assert.deepEqual(injectYaml(object({}), NATIVE).problems, [
      'document 1: metadata.name: found none; expected the name of the workload, or --config',
    ]);
    assert.deepEqual(injectYaml(object({}), { ...NATIVE, config: 'mine' }).problems, []);
  });

  it('adds it to a Pod, and to the objects of a List, as `kubectl get -o yaml` prints them', () => {
    const single = `kind: Pod
metadata: { name: one }
spec: { containers: [{ name: a }] }
`;
    const { text: made, notes: noted } = injectYaml(single, NATIVE);
    assert.match(noted.join(), /^Pod one: the sidecar is added; .* outrider-one; /);
    assert.equal(parse(made).spec.initContainers[0].name, 'outrider');
    assert.equal(parse(made).metadata.annotations['prometheus.io/port'], '9464');
    const items = [parse(DEPLOYMENT), parse(SERVICE), parse(single)];
    const list = { kind: 'List', apiVersion: 'v1', items, metadata: { resourceVersion: '' } };
    const { text, notes, problems } = injectYaml(JSON.stringify(list, undefined, 2), NATIVE);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      notes.map((note) => note.split(';', 1)[0]),
      ['Deployment web: the sidecar is added', 'Service web: left as it is', 'Pod one: the sidecar is added'],
    );
    const [web, service, one] = parse(text).items;
    assert.equal(web.spec.template.spec.initContainers[0].name, 'outrider');
    assert.deepEqual(service, parse(SERVICE));
    assert.deepEqual(one.spec, parse(made).spec);
    const { kind, ...bare } = parse(DEPLOYMENT);
    const ofOneKind = injectYaml(JSON.stringify({ kind: `${kind}List`, items: [bare] }), NATIVE);
    assert.match(ofOneKind.notes.join(), /^Deployment web: the sidecar is added/);
    assert.equal(injectYaml(ofOneKind.text, NATIVE).text, ofOneKind.text);
  });

  it('makes the maps that are there without content', () => {
    const source = DEPLOYMENT.replace('      labels:\n        app: web\n', '');
    for (const more of ['', '      annotations:\n']) {
      const { text, problems } = injectYaml(source.replace('    spec:\n', `${more}    spec:\n`), NATIVE);
      assert.deepEqual(problems, []);
      assert.equal(pod(text).metadata.annotations['prometheus.io/port'], '9464');
    }
  });

  it('refuses a port of another native sidecar, and of init containers that have not ended before', () => {
    const withInit = (more: string) =>
      DEPLOYMENT.replace(
        '      containers:',
        `      initContainers: [{ name: other, ports: [{ containerPort: 9443 }]${more} }]\n      containers:`,
      );
    const says =
      /^document 1: spec\.template\.spec\.initContainers\[0\]\.ports\[0\]\.containerPort: found 9443; expected another/;
    const problems = (more: string, options: InjectOptions) =>
      injectYaml(withInit(more), options).problems.join('\n');
    for (const options of [NATIVE, CONTAINER])
      assert.match(problems(', restartPolicy: Always', options), says);
    assert.match(problems('', NATIVE), says);
    assert.equal(problems('', CONTAINER), '');
  });

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [
      'a file without a kind that has pods',
      SERVICE,
      /^found Service web; expected one of CronJob, DaemonSet, Deployment/,
    ],
    ['an empty file', '', /^found an empty file/],
    ['a sidecar file', 'service: web\n', /^document 1: found a file of Outrider; .* goes into a ConfigMap/],
    ['an object without a kind', 'a: 1\n', /^document 1: kind: found none/],
    ['one in a List', 'kind: List\nitems: [{ a: 1 }]\n', /^document 1: items\[0\]\.kind: found none/],
    ['an empty List', 'kind: List\nitems: []\n', /^found an empty file/],
    ['text that is no YAML', 'kind: [1\n', /^document 1: not YAML: /],
    [
      'a Deployment without containers',
      'kind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: 3}}}\n',
      /^document 1: spec\.template\.spec\.containers: found 3; expected a list of containers$/,
    ],
    [
      'init containers that are no list',
      DEPLOYMENT.replace('      containers:', '      initContainers: { name: a }\n      containers:'),
      /^document 1: spec\.template\.spec\.initContainers: found a map; expected a list$/,
    ],
    [
      'metadata that is no map',
      DEPLOYMENT.replace('      labels:\n        app: web', '      annotations: [a]'),
      /^document 1: spec\.template\.metadata\.annotations: found a list; expected a map$/,
    ],
    [
      'a container at a port of the sidecar',
      DEPLOYMENT.replace('containerPort: 80', 'containerPort: 9464'),
      /^document 1: spec\.template\.spec\.containers\[0\]\.ports\[0\]\.containerPort: found 9464; expected another/,
    ],
  ];
  for (const [what, source, says] of wrong)
    it(`refuses ${what}, by field, what was found and what is expected`, () => {
      const { problems, text } = injectYaml(source, NATIVE);
      assert.match(problems.join('\n'), says);
      assert.equal(text, source);
    });
});
