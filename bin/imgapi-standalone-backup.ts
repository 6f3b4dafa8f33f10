/** `imgapi-standalone-backup`, as a process. */
import { backup } from '../lib/admin/backup';
import { outliveReaders } from '../lib/admin/output';
import { runStandalone } from '../lib/admin/standalone';

outliveReaders(process);
const { argv, env, stdout, stderr } = process;
void runStandalone(backup, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
