/** `imgapi-standalone-backup`, as a process. */
import { backup } from '../lib/admin/backup';
import { runStandalone } from '../lib/admin/standalone';

const { argv, env, stdout, stderr } = process;
void runStandalone(backup, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
