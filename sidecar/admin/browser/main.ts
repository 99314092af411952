/** The script of the pages: fetches what is new every 2 s, changes the document in place, and draws charts and lines. */
import type { PageUpdate } from '../look/series.js';
import { Charts, moveByKeys } from './charts.js';
import { drawEdges, followNode } from './edges.js';
import { morph } from './morph.js';

const PERIOD_MS = 2_000;
const charts = new Charts();

async function look(since: number): Promise<void> {
  const answer = await fetch(`main?since=${since}`);
  if (!answer.ok) throw new Error(String(answer.status));
  const { html, series } = (await answer.json()) as PageUpdate;
  if (!charts.take(series)) return await look(-1);
  const fresh = new DOMParser().parseFromString(html, 'text/html').querySelector('main');
  const now = document.querySelector('main');
  if (fresh !== null && now !== null) morph(now, fresh);
  draw();
}

const title = document.title;

function draw(): void {
  // A tab that is left open says by its name that something is wrong.
  const state = document.querySelector('#state');
  document.title = `${state?.matches('.bad') ? '■ ' : state?.matches('.warn') ? '▲ ' : ''}${title}`;
  charts.draw();
  drawEdges();
}

/** A link to a service that is closed opens it. */
function openTarget(): void {
  const target = document.getElementById(location.hash.slice(1));
  const closed = target?.closest('details');
  if (closed != null && !closed.open) closed.open = true;
}

function showLost(): void {
  const state = document.querySelector('#state');
  if (state === null) return;
  state.textContent = 'This page gets no answer: what it shows is old';
  state.className = 'tone bad';
}

let isBusy = false;
async function tick(): Promise<void> {
  // A page that nobody sees asks for nothing; an answer that is late is not overtaken.
  if (document.hidden || isBusy) return;
  isBusy = true;
  await look(charts.newest).catch(showLost);
  isBusy = false;
}

document.addEventListener('toggle', draw, true);
document.addEventListener('visibilitychange', () => void tick());
addEventListener('hashchange', openTarget);
new ResizeObserver(drawEdges).observe(document.documentElement);
followNode();
moveByKeys(charts);
openTarget();
void tick();
setInterval(() => void tick(), PERIOD_MS);
