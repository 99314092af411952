import { readFileSync, statSync } from 'node:fs';
import type { Identity } from '../../identity/identity.js';
import { MappedIds } from '../../identity/mapped-ids.js';
import { assembleIdentity, problemInFiles } from '../../identity/sources/assemble-identity.js';
import { isProblem } from '../../identity/spiffe.js';
import { readCertificate } from '../../identity/x509/certificate.js';
import { certificatesFromPem } from '../../identity/x509/pem.js';
import { oneLine } from '../failure.js';
import { type Finding, failed, ok, warning } from './finding.js';
import type { Subject } from './subject.js';

/** Milliseconds of a day, in which certificates are counted. */
const DAY_MS = 86_400_000;
/** A certificate is warned of in the last tenth of its life, and at most this long before its end. */
const LAST_SHARE = 0.1;
const LONGEST_WARNING_MS = 14 * DAY_MS;
/** Roots take longer to replace: all sidecars need the new one before the old one ends. */
const ROOT_WARNING_MS = 30 * DAY_MS;

/** The certificate files of a sidecar: whether peers would accept them, until when, and whether the key is private. */
export function checkCertificates(
  { identity, trustDomain, services }: Subject,
  wallNowMs: number,
): Finding[] {
  if (identity === undefined) return [];
  const { cert, key, roots } = identity;
  const renew = 'issue it again: `outrider certs`, or what else issues your certificates';
  try {
    const parts = {
      certChainPem: readFileSync(cert, 'utf8'),
      keyPem: readFileSync(key, 'utf8'),
      rootsPem: readFileSync(roots, 'utf8'),
    };
    const ids = identity.ids && new MappedIds(identity.ids);
    const expected = { trustDomain, service: services[0] ?? '', ids };
    const found = assembleIdentity(parts, expected, wallNowMs);
    if (isProblem(found)) return [failed('certificate', problemInFiles(found.problem, identity), renew)];
    return [
      leafFinding(cert, found, wallNowMs),
      ...rootFindings(roots, parts.rootsPem, wallNowMs),
      ...keyFinding(key),
    ];
  } catch (error) {
    return [
      failed(
        'certificate',
        oneLine(error),
        'check the paths under `identity`, and that this user may read them',
      ),
    ];
  }
}

/**
 * When the certificate itself ends. How early that is worth a warning follows its lifetime: a certificate of a year is renewed
 * by people, in weeks; one of an hour by a program, in minutes.
 */
function leafFinding(file: string, { id, notBeforeMs, notAfterMs }: Identity, nowMs: number): Finding {
  const leftMs = notAfterMs - nowMs;
  const what = `${file}: ${id.uri}, ends in ${timeText(leftMs)}`;
  const noticeMs = Math.min((notAfterMs - notBeforeMs) * LAST_SHARE, LONGEST_WARNING_MS);
  if (leftMs > noticeMs) return ok('certificate', what);
  return warning('certificate', what, 'renew it; the sidecar takes new files over without a restart');
}

/**
 * Roots that end soon. A leaf cannot outlive its root, and a root is replaced in two steps: all sidecars take the new one beside
 * the old one before the first leaf comes from it.
 */
function rootFindings(file: string, pem: string, nowMs: number): Finding[] {
  return certificatesFromPem(pem).flatMap((der) => {
    const facts = readCertificate(der);
    if (isProblem(facts)) return [];
    const leftMs = facts.notAfterMs - nowMs;
    if (leftMs > ROOT_WARNING_MS) return [];
    const what = leftMs > 0 ? `ends in ${timeText(leftMs)}` : 'has ended';
    return [
      warning(
        'certificate',
        `${file}: a root ${what}`,
        'add the next root to every sidecar before the old one ends',
      ),
    ];
  });
}

/** The key has to be readable by the sidecar alone; a copy of it is the service. */
function keyFinding(file: string): Finding[] {
  const isOpen = (statSync(file).mode & 0o077) !== 0;
  return isOpen ? [warning('certificate', `${file} may be read by other users`, `chmod 600 ${file}`)] : [];
}

/** A time that is left, in its largest unit. */
export function timeText(ms: number): string {
  if (ms >= 2 * DAY_MS) return `${Math.floor(ms / DAY_MS)} days`;
  if (ms >= 7_200_000) return `${Math.floor(ms / 3_600_000)} hours`;
  return `${Math.max(0, Math.ceil(ms / 60_000))} min`;
}
