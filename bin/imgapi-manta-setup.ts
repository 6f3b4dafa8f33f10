/** `imgapi-manta-setup`, as a process. */
import { mantaSetup } from '../lib/admin/manta-setup';
import { outliveReaders } from '../lib/admin/output';
import { runSetup } from '../lib/admin/setup-program';
import { createLog } from '../lib/log';

outliveReaders(process);
const { argv, stdout, stderr } = process;
const log = createLog({ name: mantaSetup.name, level: 'info' });
void runSetup(mantaSetup, { argv: argv.slice(2), log, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
