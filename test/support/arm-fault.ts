/**
 * To be preloaded into a server (`node -r`): notes every fault point it reaches in the file named by
 * IMGAPI_TEST_FAULT_LOG, one a line, and kills the process at the one numbered IMGAPI_TEST_FAULT_AT (from 1), or at the
 * first of that name, if given.
 */
import { appendFileSync } from 'node:fs';
import { armFault } from '../../lib/fault';

const { IMGAPI_TEST_FAULT_LOG: log, IMGAPI_TEST_FAULT_AT: at } = process.env;

if (log === undefined) {
    throw new Error('IMGAPI_TEST_FAULT_LOG names no file to note the fault points in.');
}

let reached = 0;

armFault((point) => {
    appendFileSync(log, `${point}\n`);
    reached++;
    if (String(reached) === at || point === at) {
        process.kill(process.pid, 'SIGKILL');
    }
});
