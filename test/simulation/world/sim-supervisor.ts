/** Starts the process of one version of a model for a sidecar, and starts it again when it has ended, as the product's supervisor does. */
import type { OwnedModel } from '../../../sidecar/app/running-sidecar.js';
import type { ModelReport } from '../../../sidecar/telemetry/reports.js';
import type { SimModel } from './sim-model.js';
import type { SimProcess } from './sim-process.js';

/** From the start of a process until it serves. */
const LOAD_MS = 300;
const RESTART_MS = 100;

export class SimSupervisor {
  private state: ModelReport['state'] = 'starting';
  private why = 'it starts';
  private restarts = 0;

  constructor(
    private readonly host: OwnedModel,
    private readonly sidecar: SimProcess,
    private readonly model: SimModel,
  ) {
    host.superviseBy({
      report: () => this.report(),
      stop: () => this.stop(),
      strike: () => ({ kind: 'spared', why: 'no drills here' }),
      thaw: () => {},
    });
    model.onEnd = () => this.ended();
    this.launch();
  }

  private report(): ModelReport {
    return { state: this.state, why: this.why, restarts: this.restarts };
  }

  private launch(): void {
    this.move('starting', 'it starts');
    this.sidecar.after(LOAD_MS, () => {
      if (this.state !== 'starting') return;
      this.model.start();
      this.move('ready', '');
    });
  }

  /** The process has ended without being asked to. */
  private ended(): void {
    if (this.state === 'stopped') return;
    this.sidecar.run(() => {
      this.restarts++;
      this.host.processEnded({ class: 'ended', how: 'killed by SIGKILL' });
      this.move('backoff', 'killed by SIGKILL');
      this.sidecar.after(RESTART_MS, () => this.launch());
    });
  }

  private async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.model.kill();
  }

  /** The sidecar was killed: nothing is left of what it had started. */
  kill(): void {
    this.state = 'stopped';
    this.model.kill();
  }

  private move(state: ModelReport['state'], why: string): void {
    this.state = state;
    this.why = why;
    this.host.processChanged(this.report());
  }
}
