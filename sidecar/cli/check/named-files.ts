/**
 * Files that a sidecar reads or writes beside its certificates and models: the token of its admin port, its access log and its audit log. Of
 * those that are missing, a log shows only once it is needed.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { readToken } from '../../admin/token.js';
import { oneLine } from '../failure.js';
import { type Finding, failed, ok, warning } from './finding.js';

/** Paths, absolute; what is absent is not asked for. */
export interface NamedFiles {
  readonly tokenFile?: string;
  readonly accessLog?: string;
  /** Its directory is made by the sidecar. */
  readonly auditDirectory?: string;
}

/** A token that cannot be read keeps a sidecar from starting; a log that cannot be written costs its lines. */
export function checkNamedFiles({ tokenFile, accessLog, auditDirectory }: NamedFiles): Finding[] {
  return [
    ...(tokenFile === undefined ? [] : [tokenFinding(tokenFile)]),
    ...(accessLog === undefined ? [] : [writableFinding('access log', accessLog, dirname(accessLog))]),
    ...(auditDirectory === undefined
      ? []
      : [writableFinding('audit log', auditDirectory, nearestExisting(auditDirectory))]),
  ];
}

function tokenFinding(file: string): Finding {
  const make = `umask 077; head -c 24 /dev/urandom | base64 > ${file}`;
  try {
    readToken(file);
  } catch (error) {
    return failed('admin', `admin_token_file: ${oneLine(error)}`, `make one: ${make}`);
  }
  return (statSync(file).mode & 0o077) === 0
    ? ok('admin', `${file} holds a token`)
    : warning('admin', `${file} may be read by other users`, `chmod 600 ${file}`);
}

/**
 * By the rights of this user, which the sidecar may not run as; what exists is asked itself.
 *
 * @param directory where the path is made if it is not there; the path itself where that is a directory.
 */
function writableFinding(of: string, path: string, directory: string): Finding {
  const place = existsSync(path) ? path : directory;
  const needsDirectory = place === directory;
  try {
    if (statSync(place).isDirectory() !== needsDirectory)
      throw new Error(`${place} is ${needsDirectory ? 'no' : 'a'} directory`);
    accessSync(place, constants.W_OK);
    return ok('log', `the ${of} ${path} can be written`);
  } catch (error) {
    const what = `the ${of} ${path} cannot be written: ${oneLine(error)}`;
    return warning(
      'log',
      what,
      'make its directory, or give the user of the sidecar the right to write there',
    );
  }
}

/** What is not there yet is made below it. */
function nearestExisting(directory: string): string {
  let at = directory;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}
