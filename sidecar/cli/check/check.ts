import { resolve } from 'node:path';
import { present } from '../../config/present.js';
import { descriptorLimit } from '../../runtime/process/descriptors.js';
import { systemClock } from '../../runtime/time/clock.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { CommandFailure } from '../failure.js';
import { packageVersion } from '../package-info.js';
import type { SidecarStatus } from '../status/sidecar-table.js';
import { adminTargets, fetchAll, namedTargets, sidecarsOf, type Target } from '../status/status.js';
import { paletteFor } from '../terminal.js';
import { meshesHere } from '../up/chosen-meshes.js';
import { runningMeshes } from '../up/run-directory.js';
import { adoptedSubject } from './adopted-registration.js';
import { checkAsked } from './asked-sidecars.js';
import { catalogSubject } from './catalog-subject.js';
import { checkCertificates } from './certificates.js';
import { checkConsul } from './consul.js';
import { checkCollectors, checkFileIntentions, checkName, checkReach, checkService } from './endpoints.js';
import { aboutCall, withFallbacks } from './fallbacks.js';
import type { Finding } from './finding.js';
import { checkDescriptors } from './machine.js';
import { checkModels } from './models.js';
import { checkNamedFiles } from './named-files.js';
import { checkPorts } from './ports.js';
import { checkText } from './report.js';
import { checkRunning, reachedCalls } from './running.js';
import { checkSpire } from './spire.js';
import { type Call, readSubject, type Subject } from './subject.js';

export interface CheckOptions {
  /** Mesh or sidecar files; empty: those of the mesh of this folder that `up` runs. */
  readonly mesh: readonly string[];
  /** Address of a Consul agent in place of the one in the files; `true`: the one of the environment. */
  readonly consul?: string | true;
  /** Admin addresses; empty: those of running meshes of the files. */
  readonly admin: readonly string[];
  readonly json: boolean;
}

/** What a check takes from its surroundings; a test sets it. */
export interface CheckWorld {
  /** Wall clock, ms. */
  wallNow(): number;
  /** Files that this user may have open; Infinity: not known. */
  readonly descriptorLimit: number;
  /** Of this program, which sidecars should have too. */
  readonly version: string;
}

/**
 * `outrider check`: looks at everything that has to be right for calls to succeed, changes nothing, and prints a line for each thing
 * with the next step.
 *
 * @returns the exit code: 1 where something failed, else 0.
 */
export async function checkCommand(options: CheckOptions): Promise<number> {
  const world = {
    wallNow: systemClock.wallNow,
    descriptorLimit: descriptorLimit(),
    version: packageVersion(),
  };
  const findings = await findAll(options, world);
  const text = options.json
    ? JSON.stringify({ findings }, null, 2)
    : checkText(findings, paletteFor(process.stdout, process.env));
  process.stdout.write(`${text}\n`);
  return findings.some(({ level }) => level === 'failed') ? 1 : 0;
}

/**
 * All findings, in the order in which causes come before effects: the machine, the files, what they say of ports, certificates and
 * models, then Consul, and last what running sidecars say. Parts that wait for the network run side by side; nothing
 * waits longer than a few seconds (ten for models that are run), so that the command can be run repeatedly while something is being fixed.
 *
 * @throws CommandFailure where there is nothing to check. */
export async function findAll(options: CheckOptions, world: CheckWorld): Promise<Finding[]> {
  const { mesh, admin, consul } = options;
  const isNamed = admin.length > 0 || mesh.length > 0 || consul !== undefined;
  const files = isNamed ? mesh : meshesHere().map(({ meshFile }) => meshFile);
  if (files.length === 0 && consul === undefined && admin.length === 0)
    throw new CommandFailure(
      'no mesh of `outrider up` runs here; name what to check: --mesh FILE, --consul ADDR or --admin ADDR',
    );
  const read = files.map(readSubject);
  const inFiles = read.flatMap(({ subject }) => subject ?? []);
  const targets = await namedTargets(targetsOf(options, inFiles));
  const seen = await fetchAll(targets);
  const agent = consul ?? agentOf(seen);
  const whole = await Promise.all(inFiles.map((subject) => withRegistration(subject, agent)));
  const subjects = whole.map(({ subject }) => subject);
  const findings = [
    checkDescriptors(world.descriptorLimit),
    ...[...read, ...whole].flatMap(({ findings }) => findings),
    ...(await Promise.all(subjects.map((subject) => checkFile(subject, world)))).flat(),
    ...(await consulFindings({ ...options, ...present('consul', agent) }, subjects, world)),
    ...checkRunning(seen, world.version),
    ...(await checkAsked(targets, world.wallNow)),
  ];
  return withFallbacks(
    findings,
    subjects.flatMap(({ calls }) => calls),
    reachedCalls(seen),
  );
}

/** A file with what the registration adds that it adopts, where it adopts one. */
async function withRegistration(
  subject: Subject,
  consul: string | true | undefined,
): Promise<{ readonly subject: Subject; readonly findings: Finding[] }> {
  const { adopt } = subject.consul ?? {};
  if (adopt === undefined) return { subject, findings: [] };
  const agent = AskedAgent.open(consul === true ? undefined : consul, subject.consul);
  return await asked(agent, () => adoptedSubject(agent, adopt, subject));
}

/** What a file says by itself: ports, certificates, models, intentions, and endpoints that it lists. */
async function checkFile(subject: Subject, world: CheckWorld): Promise<Finding[]> {
  const isRunning = runningMeshes().some(({ meshFile }) => meshFile === resolve(subject.file));
  return [
    ...(await checkPorts(subject)),
    ...checkCertificates(subject, world.wallNow()),
    ...(await checkSpire(subject, world.wallNow())),
    ...checkNamedFiles(subject.files),
    ...(await checkModels(subject, { isRunning })),
    ...checkFileIntentions(subject),
    ...(await Promise.all(subject.calls.map(checkEndpoints))).flat(),
    ...(await checkCollectors(subject.collectors)),
  ];
}

/** What a call goes to by the file, by DNS or by the Kubernetes API. */
async function checkEndpoints({ from, to, endpoints, dns, kubernetes }: Call): Promise<Finding[]> {
  return aboutCall(from, to, [
    ...(endpoints.length === 0 ? [] : [await checkReach(to, endpoints)]),
    ...(dns === undefined ? [] : await checkName(to, dns)),
    ...(kubernetes === undefined ? [] : await checkService(to, kubernetes)),
  ]);
}

/** The agent that running sidecars ask, which `up --consul dev` has started; undefined where there is none. */
function agentOf(seen: readonly SidecarStatus[]): string | undefined {
  return seen.flatMap((each) => ('report' in each ? (each.report.registry?.where ?? []) : []))[0];
}

/** Each file's agent, or the one of the command line for all of them; without a file that can be read, what is in its catalogue. */
async function consulFindings(
  { consul }: CheckOptions,
  subjects: readonly Subject[],
  { wallNow }: CheckWorld,
): Promise<Finding[]> {
  const address = consul === true ? undefined : consul;
  const withConsul = subjects.filter((subject) => subject.consul !== undefined || consul !== undefined);
  if (subjects.length === 0 && consul !== undefined)
    return await asked(AskedAgent.open(address), async (agent) =>
      checkConsul(agent, await catalogSubject(agent), wallNow),
    );
  const found = withConsul.map((subject) => {
    const settings = {
      services: subject.services,
      calls: subject.calls.map((call) =>
        call.endpoints.length > 0 || (call.dns ?? call.kubernetes) !== undefined
          ? call
          : { inConsul: call.to, ...call },
      ),
      hasConsulIdentity: (subject.identity ?? subject.spire) === undefined,
      hasConsulIntentions: subject.consul?.intentions !== false,
      hasConsulRules: subject.consul?.rules !== false,
    };
    return asked(AskedAgent.open(address, subject.consul), (agent) => checkConsul(agent, settings, wallNow));
  });
  return (await Promise.all(found)).flat();
}

/** Closes the agent's connections after the work, also where it fails: they would keep the process alive. */
async function asked<T>(agent: AskedAgent, work: (agent: AskedAgent) => Promise<T>): Promise<T> {
  try {
    return await work(agent);
  } finally {
    agent.close();
  }
}

/** The admin servers of the command line, else those of running meshes of the files. */
function targetsOf({ admin, mesh, consul }: CheckOptions, subjects: readonly Subject[]): Target[] {
  if (admin.length > 0) return adminTargets({ admin });
  if (mesh.length === 0 && consul !== undefined) return [];
  const files = subjects.map(({ file }) => resolve(file));
  const notes = runningMeshes().filter(({ meshFile }) => files.includes(meshFile));
  return sidecarsOf(notes);
}
