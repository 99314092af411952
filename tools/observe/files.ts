import type { GeneratedFile } from '../generated-file.js';
import { alertsPage } from './alerts-page.js';
import { boardJson } from './board-json.js';
import { ENGINE_BOARD } from './engine-board.js';
import { MESH_BOARD } from './mesh-board.js';
import { MODEL_BOARD } from './model-board.js';
import type { Board } from './panel.js';
import { rulesFile, rulesTestFile, thresholdsFile } from './rules-file.js';
import { SERVICE_BOARD } from './service-board.js';
import { SIDECAR_BOARD } from './sidecar-board.js';

/** Every board. */
export const BOARDS: readonly Board[] = [MESH_BOARD, SERVICE_BOARD, MODEL_BOARD, ENGINE_BOARD, SIDECAR_BOARD];

/** Rules, their tests, boards and the page about alerts, by their paths from mesh-config/. */
export function observeFiles(): GeneratedFile[] {
  return [
    { name: 'observe/outrider.rules.yml', content: rulesFile() },
    { name: 'observe/outrider.rules.test.yml', content: rulesTestFile() },
    { name: 'observe/outrider.thresholds.yml', content: thresholdsFile() },
    { name: '../docs/ALERTS.md', content: alertsPage() },
    ...BOARDS.map((board) => ({
      name: `observe/grafana/outrider-${board.name}.json`,
      content: `${JSON.stringify(boardJson(board), null, 2)}\n`,
    })),
  ];
}
