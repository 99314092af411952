/** What a person sees of a running mesh in Consul's own UI, in a real browser. */

import assert from 'node:assert/strict';
import { browserOrSkip, type TestBrowser, type TestPage } from '../../kit/browser/browser.js';
import {
  allPassing,
  allWell,
  CHECKS,
  FrozenModel,
  follow,
  INSTANCES,
  INTENTIONS,
  MESH_FILE,
  type Row,
  rowsOnce,
  SERVICES,
  type UiFacts,
} from '../../kit/browser/consul-ui.js';
import { consulOrSkip } from '../../kit/consul/consul.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { admin, Mesh, outputOf, Scratch, startOutrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';

const FROZEN_LIMIT_MS = 50_000;
const SILENT =
  /Output (the model has not answered for \d+ s: no inference completed and the golden input got no answer|the process has been stopped \(state T\) for \d)/;

describe("a mesh in Consul's UI", function () {
  this.timeout(90_000);
  let mesh: Mesh;
  let facts: UiFacts;
  let browser: TestBrowser;
  let page: TestPage;

  before(async function () {
    await consulOrSkip(this);
    browser = await browserOrSkip(this);
    this.timeout(90_000);
    mesh = Mesh.start(MESH_FILE, ['--consul', 'dev']);
    facts = (await mesh.ready()) as UiFacts;
    await allPassing(facts);
  });

  beforeEach(async () => {
    page = await browser.open(facts.consul.ui);
    await page.shows(['Services']);
  });

  afterEach(async () => {
    assert.deepEqual(page.problems, []);
    await page.close();
  });

  after(async () => {
    await Promise.allSettled([browser?.close(), mesh?.discard()]);
  });

  it('has the services on one page: instances, tags, and that all are well', async () => {
    const services = await rowsOnce(page, SERVICES, allWell(3));
    assert.deepEqual(services, [
      { text: 'Health client 1 Instance connected with proxy outrider', mark: 'passing' },
      { text: 'Health consul 1 Instance', mark: 'passing' },
      {
        text: 'Health digits 2 Instances connected with proxy handwriting model-digits outrider',
        mark: 'passing',
      },
    ]);
  });

  it('says of an instance what is checked, that it passes, and which models it serves', async () => {
    await page.click('digits');
    const instances = await rowsOnce(page, INSTANCES, allWell(2));
    for (const [i, { text, mark }] of instances.entries()) {
      const wanted = `^digits-${i + 1} All service checks passing All node checks passing connected with proxy `;
      assert.match(text, new RegExp(wanted));
      assert.equal(mark, 'passing');
    }
    await page.click('digits-1');
    const [model] = await rowsOnce(page, CHECKS, allWell(2));
    assert.equal(model!.mark, 'passing');
    assert.match(model!.text, /^model ServiceName digits CheckID digits-1:health /);
    assert.match(model!.text, /Notes Outrider: inferences are answered, or a probe while there are none /);
    assert.match(model!.text, /Output the model answers$/);
    await page.click('Tags & Meta');
    await page.shows(['handwriting', 'outrider', 'size large', 'models digits:1']);
  });

  it('draws the sidecar of an instance with it: its health, and which upstream it calls from which listener', async () => {
    await page.click('client');
    await follow(page, 'client');
    await page.click('Proxy Info');
    await page.shows(['Upstreams', `digits ${facts.call['digits']}`, 'Proxy health']);
    const checks = await rowsOnce(page, CHECKS, allWell(3));
    const texts = checks.map(({ text }) => text).join('\n');
    assert.match(texts, /^sidecar .*Output the sidecar can take calls$/m);
    assert.match(texts, /^service behind the sidecar .*Output All checks passing\.$/m);
  });

  it('has the rules of the mesh file as intentions', async () => {
    await page.click('Intentions');
    const intentions = await rowsOnce(page, INTENTIONS, (all) => all.length === 2);
    const rules = intentions.map(({ text }) => text.replace(/ default\b/g, '').replace(/ \d+ More.*$/, ''));
    assert.deepEqual(rules, ['client allow digits', 'All Services (*) deny All Services (*)']);
  });

  it('is on the page of outrider too, from another machine by its metrics: drills, and what is not known', async () => {
    const scratch = new Scratch();
    afterTest(() => scratch.remove());
    // In a temporary directory of its own it knows no mesh of this machine, and no admin port.
    const server = startOutrider(['page', '--consul', facts.consul.address, '--listen', '127.0.0.1:0'], {
      TMPDIR: scratch.path,
    });
    afterTest(() => server.kill('SIGTERM'));
    const output = outputOf(server);
    const url = await until('the page is served', () => /http:\S+/.exec(output.stdout)?.[0]);
    const struck = facts.sidecars.find(({ name }) => name === 'digits-2')!.admin;
    const fault = '/faults?side=inbound&abort=unavailable&ratio=1&for=30s';
    assert.equal((await admin(struck, fault, 'POST')).status, 201);
    try {
      await page.page.goto(url);
      await page.shows(
        ['A fault drill is on', 'digits-2: inbound calls are aborted', 'digits-2 ready 0 of 2 run'],
        10_000,
      );
      await page.shows([/\d of 3 are shown by their metrics/]);
    } finally {
      await admin(struck, '/faults', 'DELETE');
    }
  });

  it('shows which model stopped answering, says why, and takes it back when it answers again', async () => {
    const replica = facts.sidecars.find(({ name }) => name === 'digits-2')!;
    const model = new FrozenModel(mesh, replica);
    await page.click('digits');
    const held = (selector: string, isWanted: (all: readonly Row[]) => boolean) =>
      rowsOnce(page, selector, isWanted, FROZEN_LIMIT_MS);
    // Its successor is frozen as well, as long as the page is looked at.
    const holding = setInterval(() => model.hold(), 50);
    try {
      const instances = await held(INSTANCES, (all) => all.some(({ mark }) => mark === 'critical'));
      assert.deepEqual(instances.map(({ text, mark }) => `${text.split(' All node')[0]}: ${mark}`).sort(), [
        'digits-1 All service checks passing: passing',
        'digits-2 All service checks failing: critical',
      ]);
      await page.click('digits-2');
      const [check] = await held(CHECKS, (all) => SILENT.test(all[0]?.text ?? ''));
      assert.equal(check!.mark, 'critical');
      // The page of the proxy does not follow: it is opened anew.
      await until(
        'the check that follows the model fails',
        async () => {
          await page.click('Health Checks');
          await page.click('Proxy Info');
          const text = await page.shows(['service behind the sidecar']);
          return /Aliased check "model" failing: the (model has not answered|process has been stopped)/.test(
            text,
          );
        },
        FROZEN_LIMIT_MS,
      );
    } finally {
      clearInterval(holding);
      model.release();
    }
    await page.click('Health Checks');
    await rowsOnce(page, CHECKS, ([check]) => /Output the model answers/.test(check?.text ?? ''));
  });
});
