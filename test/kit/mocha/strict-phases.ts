/** An event that is impossible in the phase of its call throws, in every test and in the simulator. */
import { checkPhases } from '../../../sidecar/relay/call-phase.js';

checkPhases();
