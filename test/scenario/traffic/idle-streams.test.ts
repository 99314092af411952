/** Streams that stay open while nothing moves on them take no place at their replica: it keeps its share of the other calls. */
import assert from 'node:assert/strict';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aSafeRoute, aStreamRoute, type Backend, MESSAGE } from '../../kit/stack/stack.js';

const TALK = '/talk.Service/Talk';
const LOAD_REPORTS = { intervalMs: 1_000, forward: false };
const IDLE = 4;

describe('Scenario: one of three replicas has streams on which nothing moves', () => {
  let mesh: Mesh;
  let answers: readonly Backend['answer'][];

  beforeEach(() => {
    const routes = [aStreamRoute({ methods: [TALK] }), aSafeRoute()];
    mesh = new Mesh({ routes, queue: { concurrency: 8 }, loadReports: LOAD_REPORTS });
    answers = mesh.replicas.map(({ model }) => model.answer);
    mesh.load(1_000, 20);
    for (const { model } of mesh.replicas) model.answer = () => {};
    const isOpen = ({ model }: (typeof mesh.replicas)[number]): number =>
      model.requests.filter(({ isOver }) => !isOver).length;
    for (let i = 0; i < 60 && isOpen(mesh.replicas[0]!) < IDLE; i += 1) {
      mesh.app.call({ path: TALK, body: null }).data(MESSAGE);
      mesh.advance(20);
    }
    assert.equal(isOpen(mesh.replicas[0]!), IDLE);
    for (const { model } of mesh.replicas.slice(1))
      for (const each of model.requests) if (!each.isOver) each.reply();
    mesh.replicas.forEach(({ model }, i) => {
      model.answer = answers[i]!;
    });
    mesh.load(1_600, 20);
  });
  afterEach(() => {
    for (const { model } of mesh.replicas) for (const each of model.requests) if (!each.isOver) each.reply();
    mesh.advance(3_000);
    mesh.close();
  });

  /** Of the calls that follow, the part that the first replica gets. */
  const share = (calls: number): number => {
    const before = mesh.endpoint(0).attempts;
    mesh.load(calls * 20, 20);
    return (mesh.endpoint(0).attempts - before) / calls;
  };

  it('it keeps its share of the calls', () => {
    assert.equal(mesh.endpoint(0).inFlight, IDLE);
    const got = share(200);
    assert.ok(got > 0.2 && got < 0.5, `${got}`);
    assert.deepEqual(mesh.failures(), {});
  });

  it('it has no more than its share when they are gone', () => {
    for (const each of mesh.replicas[0]!.model.requests) if (!each.isOver) each.reply();
    mesh.advance(300);
    const got = share(200);
    assert.ok(got > 0.2 && got < 0.5, `${got}`);
  });

  it('where it answers nothing at all, it is not the least loaded', () => {
    mesh.replicas[0]!.model.answer = () => {};
    const got = share(100);
    assert.ok(got <= 0.05, `${got}`);
  });
});
