/** nginx, HAProxy and Envoy, started with the committed configuration in `../peers/`. */

import {
  fillTemplate,
  freePort,
  joined,
  type Running,
  type Subject,
  scratch,
  startProcess,
  type Target,
} from './subject.js';
import { findEnvoy, findTool, toolEnvironment, versionOf } from './tools.js';

/** The best of 4, 8, 16 and 64 KiB, and of 16, 32 and 64 KiB, over unary calls, uploads and streams. */
const NGINX_BUFFER = '4k';
const HAPROXY_BUFFER = 32768;

const INSTALL = 'run `npm run bench -- install`';

/** nginx as a gRPC proxy. */
export function nginx(): Subject {
  const path = findTool('nginx');
  return {
    name: 'nginx',
    isPeer: true,
    version: path === undefined ? { missing: INSTALL } : { found: versionOf(path, ['-v'], /nginx\/(\S+)/) },
    start: async (target) => {
      const dir = scratch();
      const port = await freePort();
      const values = { DIR: dir, PORT: port, BACKEND_PORT: target.backendPort, BUFFER: NGINX_BUFFER };
      const config = fillTemplate(dir, 'nginx.conf', values);
      return startProcess({
        command: [path!, '-p', dir, '-c', config],
        port,
        dir,
        env: toolEnvironment(path!),
      });
    },
  };
}

/** HAProxy as an HTTP/2 proxy. */
export function haproxy(): Subject {
  const path = findTool('haproxy');
  return {
    name: 'haproxy',
    isPeer: true,
    version:
      path === undefined ? { missing: INSTALL } : { found: versionOf(path, ['-v'], /version (\d[\d.]+)/) },
    start: async (target) => {
      const dir = scratch();
      const port = await freePort();
      const values = { PORT: port, BACKEND_PORT: target.backendPort, BUFFER: HAPROXY_BUFFER };
      const config = fillTemplate(dir, 'haproxy.cfg', values);
      return startProcess({ command: [path!, '-db', '-f', config], port, dir, env: toolEnvironment(path!) });
    },
  };
}

/** Envoy, alone or as a pair with mutual TLS. */
export function envoy(): Subject {
  const path = findEnvoy();
  const start = async (template: string, values: Record<string, string | number>): Promise<Running> => {
    const dir = scratch();
    const port = await freePort();
    const config = fillTemplate(dir, template, { PORT: port, ...values });
    const quiet = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
    return startProcess({ command: [path!, '-c', config, ...quiet], port, dir });
  };
  const startPair = async (target: Target): Promise<Running> => {
    const inbound = await start('envoy-inbound.yaml', {
      BACKEND_PORT: target.backendPort,
      CERTS: target.certs,
    });
    const outbound = await start('envoy-outbound.yaml', { PEER_PORT: inbound.port, CERTS: target.certs });
    return joined(outbound, inbound);
  };
  return {
    name: 'envoy',
    isPeer: true,
    version:
      path === undefined
        ? { missing: INSTALL }
        : { found: versionOf(path, ['--version'], /\/(\d+\.\d+\.\d+)\//) },
    start: (target) => start('envoy.yaml', { BACKEND_PORT: target.backendPort }),
    startPair,
  };
}
