/** What a mesh file says, and what is wrong with it. */
import assert from 'node:assert/strict';
import { fillPlaceholders } from '../../../../sidecar/config/command-placeholders.js';
import {
  MODEL_PROCESS,
  meshConfig,
  meshProblems,
  meshWarnings,
  refusing,
} from '../../../kit/config/problems-of.js';

const SERVICES = 'services: {digits: {models: ../models}}';
const CALLER = 'caller: {name: app, upstreams: {digits: {listen: "127.0.0.1:8500"}}}';
const ALLOW = 'intentions: [{from: app, to: digits, action: allow}]';

const services = (block: string) => `services: {digits: ${block}}\n${CALLER}\n${ALLOW}`;

describe('a mesh file', () => {
  it('says which engine a command starts, and refuses one that is not known or not foreign', () => {
    const { services: found } = meshConfig(services('{command: [vllm, --port, "{port}"], engine: vllm}'));
    assert.equal(found[0]!.engine, 'vllm');
    for (const [block, pattern] of [
      ['{command: [vllm, "{port}"], engine: ollama}', /engine: .*"ollama".*vllm/],
      ['{models: ../models, engine: vllm}', /engine: found without command/],
      ['{models: ../models, engine_model: llama}', /engine_model: found without engine/],
    ] as const) {
      const problems = meshProblems(services(block));
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(problems[0]!, pattern);
    }
  });

  it('reads prompts only where it is known which engine they are for', () => {
    const mesh = (engine: string): string =>
      `services: {chat: {command: [vllm, "{port}"]${engine}}}
caller: {name: app, upstreams: {chat: {listen: "127.0.0.1:8500", balance: {kind: ring-hash, hash_on: {prompt: {}}}}}}
intentions: [{from: app, to: chat, action: allow}]`;
    assert.equal(meshConfig(mesh(', engine: vllm')).services[0]!.engine, 'vllm');
    const [problem, ...others] = meshProblems(mesh(''));
    assert.match(
      problem!,
      /caller\.upstreams\.chat\.balance\.hash_on\.prompt: found without engine; expected "engine"/,
    );
    assert.deepEqual(others, []);
  });

  it('resumes answers in other tokens only of an engine whose answers are resumed', () => {
    const GENERATE = '/vllm.grpc.engine.VllmEngine/Generate';
    const mesh = (engine: string, resume: string, method = GENERATE): string =>
      `services: {chat: {command: [vllm, "{port}"]${engine}}}
caller: {name: app, upstreams: {chat: {listen: "127.0.0.1:8500", routes: [{methods: ["${method}"], kind: streaming, resume: ${resume}}]}}}
intentions: [{from: app, to: chat, action: allow}]`;
    for (const method of [GENERATE, '*', '/vllm.grpc.engine.VllmEngine/*'])
      for (const resume of ['approximate', 'exact']) {
        const { caller } = meshConfig(mesh(', engine: vllm', resume, method));
        assert.equal(caller.upstreams[0]!.routes[0]!.resume, resume);
      }
    for (const [engine, resume, method, pattern] of [
      ['', 'approximate', GENERATE, /resume: found without engine; expected "engine" at the upstream/],
      [', engine: sglang', 'exact', GENERATE, /resume: found beside "sglang", whose answers are not resumed/],
      [', engine: vllm', 'yes', GENERATE, /resume: found "yes"; expected one of exact, approximate/],
      [', engine: vllm', 'approximate', '/a.B/C', /resume: found in a route without \/vllm.*Generate/],
    ] as const) {
      const problems = meshProblems(mesh(engine, resume, method));
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(problems[0]!, pattern);
      assert.match(problems[0]!, /caller\.upstreams\.chat\.routes\[0\]/);
    }
  });

  it('gives no models to callers of an engine, and holds no tokens back', () => {
    const mesh = (said: string, route: string, more: string): string =>
      `services: {chat: {command: [vllm, "{port}"], engine: vllm}}
caller: {name: app, upstreams: {chat: {listen: "127.0.0.1:8500"${said}, routes: [{methods: [${route}], kind: unary}]}}}
intentions: [{from: app, to: chat, action: allow${more}}]`;
    const SERVICE = '/vllm.grpc.engine.VllmEngine';
    assert.match(
      meshProblems(mesh('', `${SERVICE}/Abort`, ', models: [llama]')).join(),
      /^3: intentions\[0\]\.models: found beside engine; .*, and every call would be refused$/,
    );
    const toAll = mesh('', `${SERVICE}/Abort`, ', models: [llama]').replace('to: chat', 'to: "*"');
    assert.match(meshProblems(toAll).join(), /intentions\[0\]\.models: found beside engine/);
    const two = toAll.replace('services: {', 'services: {digits: {models: m}, ');
    assert.equal(meshConfig(two).services.length, 2);
    assert.match(
      meshProblems(mesh('', `${SERVICE}/*`, '')).join(),
      /^2: caller\.upstreams\.chat\.routes\[0\]\.methods\[0\]: found .* in a unary route, which takes .*Generate; expected kind streaming/,
    );
    assert.deepEqual(
      meshProblems(mesh(', engine: sglang', '/sglang.grpc.scheduler.SglangScheduler/Generate', '')).length,
      1,
    );
    assert.equal(meshConfig(mesh('', `${SERVICE}/Abort`, '')).services.length, 1);
  });

  it('gives models limits of their own, and callers some models', () => {
    const limits = '[{model: a, concurrency: 1}, {model: a, version: "2", max_waiting: 0}]';
    const file = `services: {digits: {models: ../models, queue: {models: ${limits}}}}\n${CALLER}`;
    const { services, intentions } = meshConfig(
      `${file}\nintentions: [{from: app, to: digits, action: allow, models: [a, b]}]`,
    );
    assert.deepEqual(services[0]!.queue.models, [
      { model: 'a', concurrency: 1 },
      { model: 'a', version: '2', maxWaiting: 0 },
    ]);
    assert.deepEqual(intentions, [{ from: 'app', to: 'digits', action: 'allow', models: ['a', 'b'] }]);
  });

  it('gives a caller methods that load and unload models, and refuses others and contradictions', () => {
    const LOAD = '/inference.GRPCInferenceService/RepositoryModelLoad';
    const file = (intention: string, more = ''): string =>
      `${SERVICES}\n${CALLER}\nintentions: [{from: app, to: digits, ${intention}}]\n${more}`;
    const fine = `action: allow, control_methods: [${LOAD}]`;
    assert.deepEqual(meshConfig(file(fine)).intentions, [
      { from: 'app', to: 'digits', action: 'allow', controlMethods: [LOAD] },
    ]);
    for (const [problems, pattern] of [
      [
        meshProblems(file(`action: deny, control_methods: [${LOAD}]`)),
        /control_methods: found with action: deny/,
      ],
      [meshProblems(file(`${fine}, models: [a]`)), /control_methods: found beside models/],
      [meshProblems(file('action: allow, control_methods: []')), /control_methods: .*at least one method/],
      [
        meshProblems(file('action: allow, control_methods: [/a.B/C]')),
        /control_methods\[0\]: .*expected one of/,
      ],
      [
        meshProblems(file(fine, 'consul: {}')),
        /control_methods: found with intentions from Consul, which cannot/,
      ],
    ] as const) {
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(problems[0]!, pattern);
    }
  });

  it('refuses limits and lists of models that would have no effect, or another one than they say', () => {
    const file = (queue: string, intention: string, more = ''): string => {
      const said = `services: {digits: {models: ../models, queue: {models: ${queue}}}}\n${CALLER}\n`;
      return `${said}intentions: [{from: app, to: digits, ${intention}}]\n${more}`;
    };
    const found = (...parts: Parameters<typeof file>): string[] => meshProblems(file(...parts));
    const fine = 'action: allow, models: [a]';
    meshConfig(file('[{model: a, max_waiting: 1}]', fine));
    for (const [problems, pattern] of [
      [
        found('[{model: a}]', fine),
        /queue\.models\[0\]: found no limit; expected concurrency, max_waiting or/,
      ],
      [
        found('[{model: a, concurrency: 1}, {model: a, concurrency: 2}]', fine),
        /queue\.models\[1\]: found a again, as in models\[0\]; expected each once/,
      ],
      [
        found('[]', 'action: deny, models: [a]'),
        /intentions\[0\]\.models: found with action: deny; expected an intention that allows the other/,
      ],
      [found('[]', 'action: allow, models: []'), /intentions\[0\]\.models: .*at least one model/],
      [
        found('[]', fine, 'consul: {}'),
        /intentions\[0\]\.models: found with intentions from Consul, which cannot/,
      ],
    ] as const) {
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(problems[0]!, pattern);
    }
    meshConfig(file('[]', fine, 'consul: {intentions: false}'));
  });

  it('needs services; everything else has its default', () => {
    const config = meshConfig(`${SERVICES}\n${CALLER}\nintentions: []`);
    const [digits] = config.services;
    assert.equal(config.services.length, 1);
    assert.deepEqual(
      { ...digits, routes: digits!.routes.map(({ kind }) => kind) },
      {
        name: 'digits',
        server: { kind: 'models', dir: '/etc/models', isolation: 'process', instances: 1 },
        replicas: 1,
        queue: { concurrency: 2, fair: true, maxWaiting: 128, maxWaitingBytes: 67_108_864 },
        loadReport: { trailers: false, outOfBand: true },
        routes: ['unary', 'auto'],
        tags: [],
        meta: {},
        model: MODEL_PROCESS,
      },
    );
    const { trustDomain, datacenter, intentions, defaultIntention } = config;
    assert.deepEqual(
      [trustDomain, datacenter, intentions, defaultIntention],
      ['outrider.local', 'dc1', [], 'deny'],
    );
    const { leafLifetimeMs, drainTimeoutMs, log } = config;
    assert.deepEqual([leafLifetimeMs, drainTimeoutMs, log], [3_600_000, 30_000, { level: 'info' }]);
    assert.ok(!('runDir' in config) && !('admin' in config.caller) && !('shared' in config.caller));
    assert.ok(!('endpoints' in config.caller.upstreams[0]!));
  });

  it('keeps the order of its services and resolves paths from where it lies', () => {
    const config = meshConfig(
      `services: {b: {models: b}, a: {command: [./serve.py, "{port}"]}, c: {command: [python3, "./x {address}"]}}\nrun_dir: run\ncaller: {name: app, upstreams: {a: {listen: "unix:a.sock"}}}`,
    );
    assert.deepEqual(
      config.services.map(({ name }) => name),
      ['b', 'a', 'c'],
    );
    assert.deepEqual(
      config.services.map(({ server }) => server),
      [
        { kind: 'models', dir: '/etc/mesh/b', isolation: 'process', instances: 1 },
        { kind: 'command', command: ['/etc/mesh/serve.py', '{port}'] },
        { kind: 'command', command: ['python3', './x {address}'] },
      ],
    );
    assert.equal(config.runDir, '/etc/mesh/run');
    assert.deepEqual(config.caller.upstreams[0]!.listen, { kind: 'unix', path: '/etc/mesh/a.sock' });
  });

  it('keeps what lasts out of the run directory, which is emptied', () => {
    const file = (more: string) => `${SERVICES}\nrun_dir: run\n${more}`;
    for (const [option, more] of [
      ['audit.directory', 'audit: {directory: run/audit}'],
      ['audit.directory', 'audit: {directory: ./run/}'],
      ['state_dir', 'state_dir: /etc/mesh/run/a/../state'],
    ] as const) {
      const problems = meshProblems(file(more));
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(
        problems[0]!,
        new RegExp(
          `${option}: found /etc/mesh/run.* in run_dir, which is emptied at the end; expected another`,
        ),
      );
    }
    meshConfig(file('audit: {directory: run.audit}\nstate_dir: ..runs'));
  });

  it('refuses paths with a home directory, which no shell has put in', () => {
    for (const [option, more] of [
      ['run_dir', 'run_dir: ~/run'],
      ['state_dir', 'state_dir: "~"'],
      ['caller.admin', `${CALLER.slice(0, -1)}, admin: "unix:~/admin.sock"}`],
    ] as const) {
      const problems = meshProblems(`${SERVICES}\n${more}`);
      assert.equal(problems.length, 1, `${problems}`);
      assert.match(
        problems[0]!,
        new RegExp(`${option}: found "[^"]*~[^"]*"; expected the path of a .*"~" is not replaced`),
      );
    }
    assert.equal(meshConfig(`${SERVICES}\nrun_dir: ./~/run`).runDir, '/etc/mesh/~/run');
  });

  it('needs no caller: one is implied, which may call each service and has a name of its own', () => {
    const { caller, intentions, defaultIntention } = meshConfig('services: {a: {models: m}, b: {models: m}}');
    assert.deepEqual([caller.name, caller.isImplied, caller.admin], ['client', true, undefined]);
    assert.deepEqual(
      caller.upstreams.map(({ name, listen }) => [name, listen]),
      ['a', 'b'].map((name) => [name, { kind: 'tcp', host: '127.0.0.1', port: 0 }]),
    );
    assert.deepEqual(
      intentions,
      ['a', 'b'].map((to) => ({ from: 'client', to, action: 'allow' })),
    );
    assert.equal(defaultIntention, 'deny', 'whatever else calls is refused');
    assert.equal(meshConfig('services: {client: {models: m}}').caller.name, 'caller');
  });

  it('lets its caller call its upstreams and nothing else, unless it says which callers may call', () => {
    const two = `services: {digits: {models: m}, other: {models: m}}\n${CALLER}`;
    assert.deepEqual(meshConfig(two).intentions, [{ from: 'app', to: 'digits', action: 'allow' }]);
    for (const said of ['intentions: []', 'default_intention: deny'])
      assert.deepEqual(meshConfig(`${two}\n${said}`).intentions, [], said);
    const own = 'intentions: [{from: client, to: digits, action: deny}]';
    assert.equal(meshConfig(`${SERVICES}\n${own}`).intentions.length, 1, 'the implied caller has a name');
  });

  it('names the other command when a sidecar file is given', () =>
    assert.deepEqual(meshProblems('service: s\ninbound: {}'), [
      '1: found a sidecar file; expected a mesh file; for one sidecar use "outrider sidecar -c"',
    ]));

  it('names the right commands when a model.yaml is given, and for that alone', () => {
    assert.match(meshProblems('golden: {}\nlabels: [a]').join(), /^1: found a model\.yaml.*"outrider init"/);
    assert.doesNotMatch(meshProblems('services: {}\nlabels: [a]').join(), /model\.yaml/);
  });

  const refused = refusing((text) => [meshProblems(text).join('\n')]);
  const ofService = refusing((block) => [meshProblems(services(block)).join('\n')]);
  refused('no service', `services: {}\ncaller: {name: app, upstreams: {}}`).because(/services: found none/);
  ofService('a service that is nothing', '{}').because(/services\.digits: found neither models nor command/);
  ofService('a service that is two things', '{models: a, command: [x, "{port}"]}')
    .because(/command: found beside models/)
    .also('a command that cannot know where to listen', '{command: [python3, serve.py]}')
    .because(/command: found neither \{port\} nor \{address\}/)
    .also('an isolation of what is one process', '{command: [x, "{port}"], isolation: process}')
    .because(/isolation: found without models; expected with models only/)
    .also('instances of what is one process', '{command: [x, "{port}"], instances: 2}')
    .because(/instances: found without models; expected with models only/)
    .also('versions of models that share a process', '{models: a, isolation: shared, versions: all}')
    .because(/versions: found with isolation: shared; expected isolation: process/)
    .also('versions that are none', '{models: a, versions: newest}')
    .because(/versions: found "newest"; expected "all", "latest", "latest 2" or "specific 1, 3"/)
    .also('a control that is none', '{models: a, repository: {control: watch}}')
    .because(/repository\.control: found "watch"/)
    .also('a command in one string', '{command: "python3 serve.py"}')
    .because(/command: found "python3 serve\.py"; expected a list of words/)
    .also('a command without a program', '{command: ["", "{port}"]}')
    .because(/command: the first word is empty; expected a program/)
    .also('no replica', '{models: a, replicas: 0}')
    .because(/replicas: found 0; expected a whole number from 1 to 64/)
    .also('ports of replicas that meet the caller', '{models: a, replicas: 2, port_base: 8497}')
    .because(/port_base: found 127\.0\.0\.1:8500, which caller\.upstreams\.digits\.listen takes already/)
    .also('restarts that wait longest first', '{models: a, model: {restart: {base: 1m}}}')
    .because(/restart\.max: found 30s; expected at least base \(1m\)/)
    .also('a name of a variable that is none', '{models: a, model: {env: {"A=B": x}}}')
    .because(/\["A=B"\]: found this as a name; expected an environment variable/)
    .also('a variable to inherit that is no name', '{models: a, model: {inherit: ["*"]}}')
    .because(/model\.inherit\[0\]: found "\*"; expected the name of an environment variable/)
    .also('a limit of no starts at all', '{models: a, model: {restart: {limit: {starts: 0}}}}')
    .because(/restart\.limit\.starts: found 0; expected a whole number from 1 to 1000, or none/)
    .also('a command for our own server', '{models: a, model: {command: [x]}}')
    .because(/model\.command: unknown option/);
  ofService('too many replicas', '{models: a, replicas: 65}').because(/replicas: found 65/);
  refused(
    'metrics of all sidecars on one socket',
    `services: {digits: {models: a}}\n${CALLER}\nobserve: unix:/run/o`,
  )
    .because(/observe: found a socket; expected an address such as "127\.0\.0\.1:9464"/)
    .also(
      'metrics on more ports than there are',
      `services: {a: {models: a, replicas: 3}}\nobserve: 0.0.0.0:65533`,
    )
    .because(/observe: found port 65533, .* would need port 65536; expected at most 65532/)
    .also('metrics where calls come in', `services: {digits: {models: a}}\n${CALLER}\nobserve: 0.0.0.0:8499`)
    .because(/observe: found 0\.0\.0\.0:8500, which caller\.upstreams\.digits\.listen takes already/);
  refused('a name that is no name', `services: {Digits: {models: a}, digits: {models: a}}\n${CALLER}`)
    .because(/services\.Digits: found this as a name; expected the name of a service/)
    .also('certificates that are over before they are used', `${SERVICES}\n${CALLER}\nleaf_lifetime: 1s`)
    .because(/leaf_lifetime: found "1s"; expected 10s to 8760h/);
  ofService('ports beyond the last', '{models: a, replicas: 3, port_base: 65533}').because(
    /port_base: found 65533, with which the last replica would need port 65538; expected at most 65530/,
  );
  refused(
    'an upstream that is no service',
    `${SERVICES}\ncaller: {name: app, upstreams: {digist: {listen: "127.0.0.1:1"}}}`,
  ).because(
    /upstreams\.digist: found no service of that name; expected one of digits; did you mean "digits"\?/,
  );
  refused(
    'endpoints, which the mesh knows better',
    `${SERVICES}\ncaller: {name: app, upstreams: {digits: {listen: "127.0.0.1:1", endpoints: []}}}`,
  ).because(/endpoints: unknown option/);
  refused(
    'a caller with the name of a service',
    `${SERVICES}\ncaller: {name: digits, upstreams: {digits: {listen: "127.0.0.1:1"}}}`,
  ).because(/caller\.name: found "digits", which is also a service/);
  refused(
    'an intention about no service of the mesh',
    `${SERVICES}\n${CALLER}\nintentions: [{from: apps, to: "*", action: deny}]`,
  ).because(
    /intentions\[0\]\.from: found "apps", which is no service of this mesh; .*; did you mean "app"\?/,
  );
  refused(
    'a class for a caller of no mesh',
    `services: {digits: {models: a, queue: {priority: {key: p, classes: [x, y], callers: [{class: x, callers: [apps]}]}}}}\n${CALLER}`,
  ).because(
    /queue\.priority\.callers\[0\]\.callers\[0\]: found "apps", which is no service of this mesh; .*did you mean "app"\?/,
  );
  refused(
    'a scaler that knows of no load',
    `${SERVICES}\ncaller: {name: app, scaler: {listen: "127.0.0.1:2"}, upstreams: {digits: {listen: "127.0.0.1:1", tls: plaintext}}}`,
  ).because(/caller\.scaler: found without an upstream that is asked for its load/);
  refused(
    'an admin page that no browser opens',
    `${SERVICES}\ncaller: {name: app, admin: "unix:/a", upstreams: {digits: {listen: "127.0.0.1:1"}}}`,
  ).because(/admin: found a socket/);

  it('says once that ranges of ports meet, not once for every port', () => {
    const text = `services: {a: {models: x, replicas: 20, port_base: 9000}, b: {models: x, replicas: 20, port_base: 9002}}\ncaller: {name: app, upstreams: {a: {listen: "127.0.0.1:1"}}}`;
    assert.equal(meshProblems(text).length, 1);
  });

  it('lets a service listen where its environment says', () =>
    meshConfig(services('{command: [serve], model: {env: {PORT: "{port}"}}}')));
});

describe('warnings about a mesh file', () => {
  const warnings = (more: string) => meshWarnings(`${SERVICES}\n${CALLER}\n${more}`);

  it('says which service the caller may not call', () => {
    assert.deepEqual(warnings(''), [], 'it says nothing of intentions');
    assert.deepEqual(warnings('intentions: []'), [
      '2: caller.upstreams.digits: no intention lets app call it; every call will be answered with PERMISSION_DENIED',
    ]);
  });

  it('is content with an intention, a wildcard or an open default', () => {
    for (const more of [
      ALLOW,
      'intentions: [{from: "*", to: "*", action: allow}]',
      'default_intention: allow',
    ])
      assert.deepEqual(warnings(more), [], more);
  });

  it('reads intentions as the sidecar does: the more specific decides', () => {
    const deny = 'intentions: [{from: "*", to: "*", action: allow}, {from: app, to: digits, action: deny}]';
    assert.equal(warnings(deny).length, 1);
  });
});

describe('upstreams of a service in a mesh file', () => {
  const chain = (more: string) =>
    `services: {a: {models: x, ${more}}, b: {models: x}, c-1: {models: x}, c_1: {models: x}}`;

  it('are those of a caller, and need no listener', () => {
    const [a, b] = meshConfig(
      chain('upstreams: {b: {routes: [{methods: [/s/M], idempotent: true}]}}'),
    ).services;
    const [upstream] = a!.upstreams!;
    assert.deepEqual([upstream!.name, upstream!.listen, upstream!.consul], ['b', undefined, undefined]);
    assert.equal(upstream!.routes[0]!.idempotent, true);
    assert.ok(!('upstreams' in b!));
  });

  it('are looked for in Consul where the mesh is', () => {
    const { services } = meshConfig(`${chain('upstreams: {b: {}, away: {consul: {}}}')}\nconsul: {}`);
    assert.deepEqual(
      services[0]!.upstreams!.map(({ consul }) => consul!.service),
      ['b', 'away'],
    );
  });

  it('may be called where the file says nothing of intentions, and are warned of where it does', () => {
    const { intentions } = meshConfig(
      `${chain('upstreams: {b: {}}')}\n${'caller: {name: app, upstreams: {a: {listen: "127.0.0.1:1"}}}'}`,
    );
    assert.deepEqual(
      intentions.map(({ from, to }) => `${from} ${to}`),
      ['app a', 'a b'],
    );
    assert.match(
      meshWarnings(`${chain('upstreams: {b: {}}')}\nintentions: [{from: "*", to: a, action: allow}]`).at(-1)!,
      /services\.a\.upstreams\.b: no intention lets a call it/,
    );
  });

  it('may form a cycle, with a warning that shows it', () => {
    const text =
      'services: {a: {models: x, upstreams: {b: {}}}, b: {models: x, upstreams: {c: {}}}, c: {models: x, upstreams: {a: {}}}}';
    assert.equal(meshConfig(text).services.length, 3);
    const warnings = meshWarnings(text);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /services\.c\.upstreams\.a: closes a cycle of calls: c → a → b → c;/);
    assert.match(
      meshWarnings(chain('upstreams: {a: {}}'))[0]!,
      /upstreams\.a: closes a cycle of calls: a → a;/,
    );
    assert.deepEqual(meshWarnings(chain('upstreams: {b: {}, c-1: {}}')), []);
  });

  const refused = refusing(meshProblems);
  refused('an upstream of a service that is no service', chain('upstreams: {bb: {}}')).because(
    /services\.a\.upstreams\.bb: found no service of that name; expected one of a, b, c-1, c_1/,
  );
  refused('two upstreams with one variable', chain('upstreams: {c-1: {}, c_1: {}}')).because(
    /upstreams\.c_1: found beside c-1, and both are OUTRIDER_UPSTREAM_C_1 to the model/,
  );
  refused('one port for several sidecars', chain('replicas: 2, upstreams: {b: {listen: "127.0.0.1:9000"}}'))
    .because(
      /upstreams\.b\.listen: found one address for the sidecars of 2 replicas; expected port 0, or no listen/,
    )
    .also('a port of two listeners', chain('port_base: 9000, upstreams: {b: {listen: "127.0.0.1:9001"}}'))
    .because(/found 127\.0\.0\.1:9001, which services\.a\./)
    .also('a target in Consul without Consul', chain('upstreams: {b: {consul: {}}}'))
    .because(/services\.a\.upstreams\.b\.consul: found without a block consul/)
    .also(
      'a fallback to no upstream',
      chain(
        'upstreams: {b: {routes: [{methods: [/s/M], kind: unary, fallback: [{kind: upstream, upstream: d}]}]}}',
      ),
    )
    .because(
      /services\.a\.upstreams\.b\.routes\[0\]\.fallback\[0\]\.upstream: found "d", which is no upstream/,
    );
});

describe('places in a command', () => {
  it('are filled wherever they stand, and nothing else is touched', () => {
    const places = { address: '127.0.0.1:7001', port: 7001, replica: 2 };
    assert.equal(
      fillPlaceholders('--at={address} {port}/{port} #{replica} {other} {{port}}', places),
      '--at=127.0.0.1:7001 7001/7001 #2 {other} {7001}',
    );
  });
});
