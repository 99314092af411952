/** nginx, HAProxy and Envoy, started with the committed configuration in `../peers/`. */

import { freePort } from '../../kit/process/free-port.js';
import { fillTemplate, pairOf, type Running, type Subject, scratch, startProcess } from './subject.js';
import { findEnvoy, findTool, toolEnvironment, versionOf } from './tools.js';

/** The best of 4, 8, 16 and 64 KiB, and of 16, 32 and 64 KiB, over unary calls, uploads and streams. */
const NGINX_BUFFER = '4k';
const HAPROXY_BUFFER = 32768;

type Values = Readonly<Record<string, string | number>>;

/** A program that is started with a file of `peers/`. */
interface Program {
  readonly path: string | undefined;
  readonly template: string;
  readonly values: Values;
  /** Arguments, for the folder that it runs in and its file there. */
  readonly args: (dir: string, config: string) => readonly string[];
}

async function start({ path, template, values, args }: Program, port?: number): Promise<Running> {
  const dir = scratch();
  const at = port ?? (await freePort());
  const config = fillTemplate(dir, template, { DIR: dir, PORT: at, ...values });
  const command = [path!, ...args(dir, config)];
  return startProcess({ command, port: at, dir, env: toolEnvironment(path!) });
}

/** A proxy of Debian's packages. `version`: where in the output of `-v`; `buffer`: its length, in the file. */
function packaged(
  name: string,
  {
    version,
    buffer,
    ...rest
  }: Omit<Program, 'path' | 'values'> & { version: RegExp; buffer: string | number },
): Subject {
  const path = findTool(name);
  return {
    name,
    isPeer: true,
    version: versionOf(path, ['-v'], version),
    start: ({ backendPort }) =>
      start({ ...rest, path, values: { BACKEND_PORT: backendPort, BUFFER: buffer } }),
  };
}

/** nginx as a gRPC proxy. */
export function nginx(): Subject {
  const args = (dir: string, config: string) => ['-p', dir, '-c', config];
  const version = /nginx\/(\S+)/;
  return packaged('nginx', { template: 'nginx.conf', args, version, buffer: NGINX_BUFFER });
}

/** HAProxy as an HTTP/2 proxy. */
export function haproxy(): Subject {
  const args = (_: string, config: string) => ['-db', '-f', config];
  const version = /version (\d[\d.]+)/;
  return packaged('haproxy', { template: 'haproxy.cfg', args, version, buffer: HAPROXY_BUFFER });
}

/** Envoy with a file of `peers/`, on a free port unless one is given. */
export function startEnvoy(template: string, values: Values, port?: number): Promise<Running> {
  const quiet = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
  const args = (_: string, config: string) => ['-c', config, ...quiet];
  return start({ path: findEnvoy(), template, values, args }, port);
}

export const ENVOY_VERSION = versionOf(findEnvoy(), ['--version'], /\/(\d+\.\d+\.\d+)\//);

/** Envoy, alone or as a pair with mutual TLS. */
export function envoy(): Subject {
  return {
    name: 'envoy',
    isPeer: true,
    version: ENVOY_VERSION,
    start: ({ backendPort }) => startEnvoy('envoy.yaml', { BACKEND_PORT: backendPort }),
    startPair: async ({ backendPort, certs }) => {
      const inner = await startEnvoy('envoy-inbound.yaml', { BACKEND_PORT: backendPort, CERTS: certs });
      const values = { PEER_PORT: inner.port, CERTS: certs };
      return pairOf(inner, () => startEnvoy('envoy-outbound.yaml', values));
    },
  };
}
