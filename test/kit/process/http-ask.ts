import http from 'node:http';
import type { Address } from '../../../sidecar/config/model.js';

const LIMIT_MS = 5000;

export type HttpAnswer = { readonly status: number; readonly text: string };

/** One HTTP/1.1 request on a connection of its own. Fails with the path when it takes over 5 s. */
export function httpAsk(
  address: Address,
  options: Pick<http.RequestOptions, 'path' | 'method' | 'headers'>,
): Promise<HttpAnswer> {
  const where =
    address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...where, agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.setTimeout(LIMIT_MS, () => request.destroy(new Error(`${options.path} took over 5 s`)));
    request.on('error', reject);
    request.end();
  });
}
