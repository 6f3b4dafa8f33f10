/** `imgapiadm`, as a process; its commands are in lib/admin. */
import { EXIT_FAILED } from '../lib/admin/command';
import { runAdmin } from '../lib/admin/main';

// Whoever reads the output may have stopped reading.
process.stdout.once('error', () => process.exit(EXIT_FAILED));
// Without a terminal there is nobody to complain to, but still something to do.
process.stderr.on('error', () => undefined);

const { argv, env, stdout, stderr } = process;
void runAdmin({ argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
