/** `imgapi-external-manta-setup`, as a process. */
import { externalMantaSetup } from '../lib/admin/external-manta-setup';
import { outliveReaders } from '../lib/admin/output';
import { runSetup } from '../lib/admin/setup-program';
import { createLog } from '../lib/log';

outliveReaders(process);
const { argv, stdout, stderr } = process;
const log = createLog({ name: externalMantaSetup.name, level: 'info' });
void runSetup(externalMantaSetup, { argv: argv.slice(2), log, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
