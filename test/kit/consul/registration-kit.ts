/** A service instance whose state the test sets, a log that can be read, and settings with all their defaults. */

import type { Address, ConsulConfig, RegistrationConfig } from '../../../sidecar/config/model.js';
import type { ServiceInstance } from '../../../sidecar/discovery/consul/registration/instance.js';
import type { Logger } from '../../../sidecar/runtime/log/logger.js';
import { silentLogger } from '../stack/silent-logger.js';
import { CONFIG } from './scripted-agent.js';

export const SETTINGS: RegistrationConfig = {
  tags: [],
  meta: {},
  weights: { passing: 1, warning: 1 },
  deregisterAfterMs: 600_000,
  propagationMs: 2_000,
};

export function consulConfig(registration: Partial<RegistrationConfig> = {}): ConsulConfig {
  return { ...CONFIG, maxAnswerBytes: 32 << 20, registration: { ...SETTINGS, ...registration } };
}

export function tcp(port: number, host = '127.0.0.1'): Extract<Address, { kind: 'tcp' }> {
  return { kind: 'tcp', host, port };
}

/** An upstream that the sidecar of an instance calls. */
export const OCR = { name: 'ocr', service: 'ocr', listen: tcp(9001) };

export class TestInstance implements ServiceInstance {
  service = 'digits';
  instance = '1';
  version = '0.1.0';
  inbound: ServiceInstance['inbound'] = tcp(8001);
  local: ServiceInstance['local'] = tcp(7001);
  observe: ServiceInstance['observe'];
  upstreams: ServiceInstance['upstreams'] = [];
  models: ServiceInstance['models'] = [{ name: 'digits', version: '1' }];
  answers = { ok: true, why: '' };
  reasons: string[] = [];

  model(): { ok: boolean; why: string } {
    return this.answers;
  }

  sidecar(): readonly string[] {
    return this.reasons;
  }
}

export class LogLines {
  readonly lines: string[] = [];

  readonly logger: Logger = {
    ...silentLogger,
    info: (fields, message) => this.add('info', fields, message),
    warn: (fields, message) => this.add('warn', fields, message),
    error: (fields, message) => this.add('error', fields, message),
  };

  private add(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
}
