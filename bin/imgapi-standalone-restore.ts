/** `imgapi-standalone-restore`, as a process. */
import { restore } from '../lib/admin/restore';
import { runStandalone } from '../lib/admin/standalone';

const { argv, env, stdout, stderr } = process;
void runStandalone(restore, { argv: argv.slice(2), environment: env, stdout, stderr }).then((code) => {
    process.exitCode = code;
});
